"""
One address in front of several instances, as the ingress and the Service of a cluster are.

Each request goes to the next instance that is ready, whoever sent it. Connections to the
instances are kept and used again, as nginx does; nothing is ever tried twice, so that what an
instance loses is lost.
"""

from __future__ import annotations

import http.client
import select
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Service:
    def __init__(self) -> None:
        self.ready: list[int] = []
        self.served: Counter[int] = Counter()
        self.lost: list[str] = []
        self._turn = 0
        self._idle: dict[int, list[http.client.HTTPConnection]] = defaultdict(list)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def add(self, port: int) -> None:
        with self._lock:
            self.ready = [*self.ready, port]

    def remove(self, port: int) -> None:
        """Send nothing more to an instance; what it is answering goes on."""
        with self._lock:
            self.ready = [each for each in self.ready if each != port]

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._lock:
            port = self.ready[self._turn % len(self.ready)]
            self._turn += 1
            self.served[port] += 1
        connection = self._take(port)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.lost.append(f"{method} {path} at {port}: {error!r}")
            return 502, [], b""
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle[port].append(connection)
        return response.status, response.getheaders(), content

    def _take(self, port: int) -> http.client.HTTPConnection:
        with self._lock:
            while self._idle[port]:
                connection = self._idle[port].pop()
                # nginx, too, sees at once that the other side has closed one.
                if not select.select([connection.sock], [], [], 0)[0]:
                    return connection
                connection.close()
        return http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in HOP_BY_HOP
                } | {"X-Forwarded-Proto": "https"}
                status, found, content = service.forward(self.command, self.path, headers, body)
                self.send_response_only(status)
                for name, value in found:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextmanager
def running() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service._server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        service._server.shutdown()
        thread.join()
        service._server.server_close()
        for idle in service._idle.values():
            for connection in idle:
                connection.close()
