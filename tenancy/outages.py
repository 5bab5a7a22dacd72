"""
Was it the database that failed, and not the program? Then a request is answered with 503.

What PostgreSQL, the pooler and psycopg say when they are away, full or out of time becomes
a DatabaseUnavailable. The backend notes each of them here, and the middleware asks for them
when a request has failed: between the two, an error may have become Django's answer to
another one (a session that could not be saved is a 400).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import psycopg

from tenancy.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

# Who comes back sooner may meet the same; who waits longer waits for nothing.
RETRY_AFTER_SECONDS = 5
# One line in the log for so many seconds, however many requests fail.
LOG_INTERVAL_SECONDS = 10

# PostgreSQL, appendix A. Everything else that PostgreSQL says is the program's mistake.
CAUSES = {
    "25006": "this server takes no changes",  # a standby, after a failover
    "25P03": "a transaction was idle for too long",
    "25P04": "a transaction took too long",
    "53300": "PostgreSQL has no connection left",
    "55P03": "a lock was not to be had in time",
    "57014": "a statement took too long",
    "57P01": "PostgreSQL is shutting down",
    "57P02": "PostgreSQL crashed",
    "57P03": "PostgreSQL is starting",
    "57P05": "a session was idle for too long",
}
# Connections that fail; PgBouncer says everything with 08P01.
CONNECTION_EXCEPTION = "08"

_noted: ContextVar[list[DatabaseUnavailable] | None] = ContextVar("tenancy_outages", default=None)


def as_unavailable(error: BaseException | None) -> DatabaseUnavailable | None:
    """Return what `error` is to a request if the database caused it, else None."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, psycopg.Error) and (cause := _cause(error)):
            # Without PostgreSQL's own words: they may quote a row.
            return DatabaseUnavailable(cause, retry_after=RETRY_AFTER_SECONDS)
        error = error.__cause__ or error.__context__
    return None


def _cause(error: psycopg.Error) -> str:
    state = error.sqlstate
    if state is not None:
        default = "the connection failed" if state.startswith(CONNECTION_EXCEPTION) else ""
        return CAUSES.get(state, default)
    # Without a code, psycopg or its pool says it: refused, timed out, closed.
    return "no connection" if isinstance(error, psycopg.OperationalError) else ""


@contextmanager
def noted() -> Iterator[list[DatabaseUnavailable]]:
    """Give a list of all that fails for want of the database while the block runs."""
    found: list[DatabaseUnavailable] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def note(error: BaseException) -> None:
    """Tell whoever listens with `noted()` if `error` is the database's."""
    found = _noted.get()
    if found is not None and (unavailable := as_unavailable(error)):
        found.append(unavailable)


class _Counter:
    """Says how many requests failed and why, once in a while."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._said_at: dict[str, float] = {}

    def count(self, cause: str) -> None:
        now = time.monotonic()
        with self._lock:
            number = self._counts[cause] = self._counts.get(cause, 0) + 1
            if now - self._said_at.get(cause, -LOG_INTERVAL_SECONDS) < LOG_INTERVAL_SECONDS:
                return
            self._counts[cause], self._said_at[cause] = 0, now
        logger.error("Answered with 503, since %s: %d requests", cause, number)


count = _Counter().count


def quieten(record: logging.LogRecord) -> bool:
    """Keep out of a log the tracebacks of requests that failed for want of the database."""
    return not (record.exc_info and as_unavailable(record.exc_info[1]))


def install() -> None:
    """Let Django's log of requests leave to `count` what it says of each of them."""
    log = logging.getLogger("django.request")
    if quieten not in log.filters:
        log.addFilter(quieten)
