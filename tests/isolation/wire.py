"""
What did this thread send to PostgreSQL?

libpq writes each message that it sends into a trace: a statement, an empty Sync, a goodbye.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import connections
from psycopg.pq import ConnStatus, Trace

# The length of a message comes before its kind; SQL of several lines is written as it is.
MESSAGE = re.compile(r"^F\t\d+\t(\w+)(.*?)(?=^[FB]\t\d+\t|\Z)", re.MULTILINE | re.DOTALL)


class Message(NamedTuple):
    kind: str
    text: str


class Tap:
    """What has gone out since the tap was put in."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._trace: str | None = None

    def close(self) -> None:
        self._trace = self._read()

    @property
    def sent(self) -> list[Message]:
        trace = self._read() if self._trace is None else self._trace
        return [Message(kind, text.strip()) for kind, text in MESSAGE.findall(trace)]

    @property
    def statements(self) -> list[str]:
        """The messages that carry SQL, which is quoted as a whole."""
        return [text for kind, text in self.sent if kind in ("Query", "Parse")]

    def _read(self) -> str:
        return os.pread(self._file, os.fstat(self._file).st_size, 0).decode()


@contextmanager
def tapped(*aliases: str) -> Iterator[Tap]:
    """Listen inside the block to this thread's connections at `aliases`, which are opened first."""
    file = os.memfd_create("trace")
    tap = Tap(file)
    for alias in aliases or ("default",):
        connections[alias].ensure_connection()
    taps = [connections[alias].connection.pgconn for alias in aliases or ("default",)]
    for pgconn in taps:
        pgconn.trace(file)
        pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
    try:
        yield tap
    finally:
        for pgconn in taps:
            if pgconn.status == ConnStatus.OK:
                pgconn.untrace()
        tap.close()
        os.close(file)
