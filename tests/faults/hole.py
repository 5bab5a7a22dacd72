"""A network that swallows what it is sent, and later delivers it after all."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

HOST = "127.0.0.1"
# How soon it notices that it was closed or opened.
TURN_SECONDS = 0.02


@dataclass
class Hole:
    """
    A TCP proxy to `upstream` at `port`.

    While it is closed it reads nothing and accepts nobody. Nothing is refused: the system
    goes on acknowledging what is sent, as a router does before a host that is gone.
    """

    upstream: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server((HOST, 0)))
    _closed: Event = field(default_factory=Event)
    _ended: Event = field(default_factory=Event)
    _cuts: Event = field(default_factory=Event)
    _others: dict[socket.socket, socket.socket] = field(default_factory=dict)
    _answering: set[socket.socket] = field(default_factory=set)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def close(self) -> None:
        self._closed.set()

    def open(self) -> None:
        self._closed.clear()

    def cut_after_next(self) -> None:
        """Pass on what the client sends next, and end the connection in place of the answer."""
        self._cuts.set()

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                if self._closed.is_set():
                    self._ended.wait(TURN_SECONDS)
                    continue
                for key, _ in selector.select(TURN_SECONDS):
                    self._pass_on(key.fileobj, selector)  # type: ignore[arg-type]  # sockets
        for each in (self.listener, *self._others):
            each.close()

    def _pass_on(self, end: socket.socket, selector: selectors.BaseSelector) -> None:
        if end is self.listener:
            client, _ = end.accept()
            server = socket.create_connection((HOST, self.upstream))
            self._others |= {client: server, server: client}
            self._answering.add(server)
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            return
        if end not in self._others:
            return  # the other one has ended meanwhile
        data = b""
        with suppress(OSError):
            data = end.recv(1 << 16)
        other = self._others[end]
        if data and self._cuts.is_set() and end in self._answering:
            self._cuts.clear()
            data = b""
        if data:
            with suppress(OSError):
                other.sendall(data)
            return
        for each in (end, other):
            del self._others[each]
            selector.unregister(each)
            each.close()

    def end(self) -> None:
        self._ended.set()


@contextmanager
def before(port: int) -> Iterator[Hole]:
    """Run a proxy to `port`, open until it is told otherwise."""
    hole = Hole(port)
    thread = Thread(target=hole.run)
    thread.start()
    try:
        yield hole
    finally:
        hole.end()
        thread.join()
