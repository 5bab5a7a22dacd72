"""
What do people see while something breaks?

Requests come at a steady rate whether those before them were answered or not, as people do not
wait for each other; each is on a connection of its own.
"""

from __future__ import annotations

import http.client
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

RATE = 50
PATH = "/api/v1/patients/"
# Long enough that what hangs is seen to hang.
TIMEOUT_SECONDS = 40
NO_ANSWER = 0


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in at a clinic."""

    host: str
    session: str


@dataclass(frozen=True)
class Answer:
    host: str
    asked_at: float
    seconds: float
    status: int
    retry_after: str | None = None

    @property
    def answered_at(self) -> float:
        return self.asked_at + self.seconds


@dataclass
class Traffic:
    """What was answered to people, and to the probe that asks whether the pod lives."""

    port: int
    visitors: Sequence[Visitor]
    answers: list[Answer] = field(default_factory=list)
    probes: list[Answer] = field(default_factory=list)

    @contextmanager
    def running(self, *, rate: int = RATE) -> Iterator[None]:
        """Send requests while the block runs, and return when all are answered."""
        ended = Event()
        with ThreadPoolExecutor(rate * 4) as people:
            sources = [
                Thread(target=self._send, args=[people, ended, 1 / rate]),
                Thread(target=self._probe, args=[ended]),
            ]
            for source in sources:
                source.start()
            try:
                yield
            finally:
                ended.set()
                for source in sources:
                    source.join()

    def warm_up(self) -> None:
        """Let each worker have answered, which takes longer for the first time."""
        for visitor in (*self.visitors, *self.visitors):
            self._ask(visitor)

    def between(self, begin: float, end: float) -> list[Answer]:
        """Return the answers to what was asked between two times, of time.monotonic()."""
        return [each for each in self.answers if begin <= each.asked_at < end]

    def is_served_since(self, begin: float) -> bool:
        """Tell whether somebody was answered with 200 who asked after `begin`."""
        return any(each.status == http.HTTPStatus.OK for each in self.between(begin, math.inf))

    def _send(self, people: ThreadPoolExecutor, ended: Event, pause: float) -> None:
        due, number = time.monotonic(), 0
        while not ended.wait(max(0.0, due - time.monotonic())):
            visitor = self.visitors[number % len(self.visitors)]
            people.submit(lambda visitor=visitor: self.answers.append(self._ask(visitor)))
            due, number = due + pause, number + 1

    def _probe(self, ended: Event) -> None:
        kubelet = Visitor(host="10.0.0.1:8080", session="")
        while not ended.wait(0.5):
            self.probes.append(self._ask(kubelet, path="/health/live"))

    def _ask(self, visitor: Visitor, *, path: str = PATH) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        headers = {
            "Host": visitor.host,
            "X-Forwarded-Proto": "https",
            "Cookie": f"__Host-sessionid={visitor.session}",
        }
        began = time.monotonic()
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            response.read()
            status, retry_after = response.status, response.headers.get("Retry-After")
        except (OSError, http.client.HTTPException):
            status, retry_after = NO_ANSWER, None
        finally:
            connection.close()
        return Answer(visitor.host, began, time.monotonic() - began, status, retry_after)


@dataclass(frozen=True)
class Outage:
    """A fault as people saw it; times are of time.monotonic()."""

    name: str
    traffic: Traffic
    began_at: float
    ended_at: float

    @property
    def statuses(self) -> Counter[int]:
        return Counter(each.status for each in self.traffic.answers)

    @property
    def refused(self) -> list[Answer]:
        return [each for each in self.traffic.answers if each.status != http.HTTPStatus.OK]

    @property
    def slowest(self) -> float:
        return max(each.seconds for each in self.traffic.answers)

    @property
    def recovery(self) -> float:
        """Return the seconds from the end of the fault to the first answer with 200."""
        served = [
            each.answered_at - self.ended_at
            for each in self.traffic.between(self.ended_at, math.inf)
            if each.status == http.HTTPStatus.OK
        ]
        return min(served, default=math.inf)

    def __str__(self) -> str:
        slow = max((each.seconds for each in self.refused), default=0.0)
        statuses = ", ".join(f"{count} x {status}" for status, count in self.statuses.items())
        return (
            f"| {self.name} | {self.ended_at - self.began_at:.1f} s | {statuses} "
            f"| {slow:.2f} s | {self.slowest:.2f} s | {self.recovery:.2f} s "
            f"| {Counter(each.status for each in self.traffic.probes)} |"
        )
