"""
Many people at their browsers, in a process of its own: what did each of them see?

`python -m tests.faults.crowd '{"port": ..., "hosts": [...], "path": "/quick/", ...}'` prints a
JSON list of [seconds since the beginning, milliseconds, status] for each request; the status
is 0 where there was no answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

PATIENCE_SECONDS = 30
RETRY_AFTER = re.compile(rb"\r\nRetry-After: (\d+)\r\n", re.IGNORECASE)


class Seen(NamedTuple):
    at: float
    milliseconds: float
    status: int


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """So many clients, each at one of the hosts in turn, asking again after a pause."""

    port: int
    hosts: list[str]
    path: str
    clients: int
    seconds: float
    pause: float
    """What each client waits between an answer and its next request; after a 429, as told."""

    niceness: str = "0"

    def start(self) -> Callable[[], list[Seen]]:
        """Let them begin; what is returned waits for their end."""
        program = [sys.executable, "-m", "tests.faults.crowd", json.dumps(asdict(self))]
        process = subprocess.Popen(["nice", "-n", self.niceness, *program], stdout=subprocess.PIPE)

        def wait() -> list[Seen]:
            said, _ = process.communicate(timeout=self.seconds + 2 * PATIENCE_SECONDS)
            assert process.returncode == 0
            return [Seen(*each) for each in json.loads(said)]

        return wait

    async def work(self) -> list[Seen]:
        began = time.monotonic()
        clients = [
            self._client(self.hosts[number % len(self.hosts)], number, began)
            for number in range(self.clients)
        ]
        return [seen for each in await asyncio.gather(*clients) for seen in each]

    async def _client(self, host: str, number: int, began: float) -> list[Seen]:
        seen: list[Seen] = []
        await asyncio.sleep(number / self.clients)  # not all in the same moment
        while time.monotonic() - began < self.seconds:
            start = time.monotonic()
            try:
                status, retry_after = await asyncio.wait_for(self._ask(host), PATIENCE_SECONDS)
            except (OSError, EOFError, TimeoutError):
                status, retry_after = 0, 0
            seen.append(Seen(start - began, (time.monotonic() - start) * 1000, status))
            await asyncio.sleep(retry_after or self.pause)
        return seen

    async def _ask(self, host: str) -> tuple[int, int]:
        """Return the status of the answer, and for how long it says to stay away."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(
                f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            answer = await reader.read()
            if not answer:
                raise EOFError
            told = RETRY_AFTER.search(answer)
            return int(answer.split(b" ", 2)[1]), int(told[1]) if told else 0
        finally:
            writer.close()


def percentile(seen: list[Seen], share: float) -> float:
    """Return how many milliseconds this share of the requests took at most."""
    taken = sorted(each.milliseconds for each in seen)
    return taken[min(len(taken) - 1, int(len(taken) * share))]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Crowd(**json.loads(sys.argv[1])).work())))  # noqa: T201
