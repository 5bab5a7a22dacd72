"""
A network between the application and the database: how often does who wait for it?

A TCP proxy that hands on each piece of data after a delay, the same in both directions.
A round trip is a message of the client that comes after the server has said something.
"""

from __future__ import annotations

import select
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import children
from tests.benchmarks.children import Child

HOST = "127.0.0.1"
# More at once would cost more: Python makes room for all of it before it reads.
MOST = 1 << 14


@dataclass(eq=False)
class End:
    """One end of a connection: the client's or the server's."""

    socket: socket.socket
    is_client: bool
    other: End = None  # type: ignore[assignment]  # set as soon as both are there
    has_spoken_last: bool = False


class Proxy:
    def __init__(self, *, port: int, seconds: float) -> None:
        self.upstream = (HOST, port)
        self.seconds = seconds
        self.turns = 0
        self.selector = selectors.DefaultSelector()
        # The delay is the same for all, so that what came first is due first.
        self.due: deque[tuple[float, End, bytes]] = deque()
        self.listener = socket.create_server((HOST, 0), backlog=200)
        self.selector.register(self.listener, selectors.EVENT_READ, None)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def run(self) -> None:
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)
        _wake_on_time()
        own = [self.selector.fileno()]
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            # epoll's own timeout is in whole milliseconds.
            if select.select(own, [], [], wait)[0] and not self._listen():
                return
            if self.due:
                self._hand_on()

    def _listen(self) -> bool:
        """Take what there is; return whether to go on."""
        for key, _ in self.selector.select(0):
            if key.data is not None:
                self._read(key.data)
            elif key.fileobj is self.listener:
                self._accept()
            elif not self._answer():
                return False
        return True

    def _accept(self) -> None:
        client = End(self.listener.accept()[0], is_client=True)
        server = End(socket.create_connection(self.upstream), is_client=False, other=client)
        client.other = server
        for end in (client, server):
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(end.socket, selectors.EVENT_READ, end)

    def _read(self, end: End) -> None:
        try:
            data = end.socket.recv(MOST)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(end.socket)
        elif not end.has_spoken_last:
            end.has_spoken_last, end.other.has_spoken_last = True, False
            self.turns += end.is_client
        self.due.append((time.monotonic() + self.seconds, end.other, data))

    def _hand_on(self) -> None:
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, end, data = self.due.popleft()
            # Whoever has gone misses nothing.
            with suppress(OSError):
                if data:
                    end.socket.sendall(data)
                else:
                    end.socket.shutdown(socket.SHUT_WR)

    def _answer(self) -> bool:
        if not sys.stdin.readline():
            return False
        children.say({"port": self.port, "turns": self.turns, "cpu": time.process_time()})
        return True


def _wake_on_time() -> None:
    """Ask Linux not to collect our alarms for 50 microseconds, as it does for everybody."""
    with suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")


@dataclass(frozen=True)
class Delay:
    """A proxy that runs; `port` leads to the server, `seconds` later each way."""

    port: int
    seconds: float
    child: Child

    @property
    def turns(self) -> int:
        """How many round trips there were since the start."""
        return int(self.child.ask()["turns"])

    @property
    def cpu_seconds(self) -> float:
        """How long the proxy itself was at work since the start."""
        return float(self.child.ask()["cpu"])


@contextmanager
def delaying(*, port: int, seconds: float) -> Iterator[Delay]:
    """Lead to `port` of this machine through a proxy that delays each direction by `seconds`."""
    with children.running(__name__, str(port), str(seconds)) as child:
        yield Delay(port=int(child.ask()["port"]), seconds=seconds, child=child)


if __name__ == "__main__":
    Proxy(port=int(sys.argv[1]), seconds=float(sys.argv[2])).run()
