"""So many requests a second, each of which knows what its answer has to be."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

HOSTS = {"elm.clinicx.example": b"tenant_elm", "oak.clinicx.example": b"tenant_oak"}
CLIENTS = 16


@dataclass
class Load:
    """What came of it."""

    port: int
    label: str
    sent: int = 0
    wrong: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    slowest: float = 0
    _own: threading.local = field(default_factory=threading.local)
    _opened: list[http.client.HTTPConnection] = field(default_factory=list)

    def one(self, number: int) -> None:
        host, expected = list(HOSTS.items())[number % len(HOSTS)]
        name = f"{self.label}-{number}"
        writes = number % 5 == 0
        method, path = ("POST", f"/probe/write/?name={name}") if writes else ("GET", "/probe/who/")
        began = time.monotonic()
        status, content = self._ask(method, path, host)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if (status, content) != (200, expected):
            self.wrong.append(f"{method} {path} at {host}: {status} {content[:80]!r}")
        elif writes:
            self.written.append(name)

    def _ask(self, method: str, path: str, host: str) -> tuple[int, bytes]:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self._own.connection = connection
            self._opened.append(connection)
        try:
            connection.request(method, path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._own.connection = None
            return 0, repr(error).encode()


@contextmanager
def running(port: int, *, a_second: int, label: str) -> Iterator[Load]:
    """Send `a_second` requests while the block lasts, and wait for their answers."""
    load = Load(port, label)
    stop = threading.Event()

    def send() -> None:
        began = time.monotonic()
        while not stop.is_set():
            pool.submit(load.one, load.sent)
            load.sent += 1
            stop.wait(max(0, began + load.sent / a_second - time.monotonic()))

    with ThreadPoolExecutor(CLIENTS) as pool:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield load
        finally:
            stop.set()
            sender.join()
            pool.shutdown()
            for connection in load._opened:
                connection.close()
