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
from psycopg.pq import Trace

# The length of a message comes before its kind; SQL of several lines is written as it is.
MESSAGE = re.compile(r"^F\t\d+\t(\w+)(.*?)(?=^[FB]\t\d+\t|\Z)", re.MULTILINE | re.DOTALL)


class Message(NamedTuple):
    kind: str
    text: str


class Tap:
    """What has gone out since the tap was put in."""

    def __init__(self) -> None:
        self.file = os.memfd_create("trace")

    @property
    def sent(self) -> list[Message]:
        trace = os.pread(self.file, os.fstat(self.file).st_size, 0).decode()
        return [Message(kind, text.strip()) for kind, text in MESSAGE.findall(trace)]

    @property
    def statements(self) -> list[str]:
        """The messages that carry SQL, which is quoted as a whole."""
        return [text for kind, text in self.sent if kind in ("Query", "Parse")]


@contextmanager
def tapped(*aliases: str) -> Iterator[Tap]:
    """Listen to this thread's connections at `aliases` inside the block; open them first."""
    tap = Tap()
    taps = [connections[alias].connection.pgconn for alias in aliases or ("default",)]
    for pgconn in taps:
        pgconn.trace(tap.file)
        pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
    try:
        yield tap
    finally:
        for pgconn in taps:
            if pgconn.status == 0:
                pgconn.untrace()
        os.close(tap.file)
