"""
How does a pooler between us and PostgreSQL behave?

Nothing is read from its console, which the application may not enter: what it is, is what
it does. Clients of our own are connected for a moment, beside Django's connection, and
each wait has an end, also where the pooler has a single connection to give.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import uuid4

import psycopg
from django.db import OperationalError
from psycopg import pq

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from psycopg.pq.abc import PGconn, PGresult

Mode: TypeAlias = Literal["transaction", "session", "none"]

# A pooler that takes turns, or several behind one address, may need some until two
# clients meet on one session.
ATTEMPTS = 8
PATIENCE_SECONDS = 5

WHICH_SESSION = "SELECT pg_catalog.pg_backend_pid()"
IS_LEFT_BEHIND = """
    SELECT pg_catalog.pg_backend_pid(),
           EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name = '{name}')
"""


class NoAnswer(OperationalError):
    """The pooler gave no session in time; nothing is known of it."""


def mode(connection: BaseDatabaseWrapper) -> Mode:
    """
    Return what is between us and the server, or raise NoAnswer.

    In session mode a session is its client's until it leaves. In transaction mode what we
    used is free between two statements: it is given to a visitor, or to whoever else asks.
    """
    connection.ensure_connection()
    ours = connection.connection.pgconn
    try:
        before = _session(ours)
        # A pooler makes up the process id and the key with which its client would cancel.
        if before == ours.backend_pid:
            return "none"
        for _ in range(ATTEMPTS):
            with _client(connection) as visitor:
                visited = _session_in_transaction(visitor)
                if visited == before or _session(ours) != before:
                    return "transaction"
            if visited is None:
                break
    except NoAnswer:
        connection.close()  # it still waits, and would answer somebody else's question
        raise
    return "session"


def carries_prepared_statements(connection: BaseDatabaseWrapper) -> bool:
    """
    Tell whether a pooler in transaction mode takes a prepared statement along with its client.

    One that does keeps it on the session under a name of the pooler's own. One that does
    not leaves it there under the client's, where we see it as another client, and remove it.
    """
    name = f"tenancy_probe_{uuid4().hex}"
    with _client(connection) as resident:
        _ask(resident, "BEGIN")
        _prepare(resident, name)
        session = _session(resident)
        _ask(resident, "COMMIT")
        for _ in range(ATTEMPTS):
            with _client(connection) as visitor:
                _ask(visitor, "BEGIN")
                visited, is_left_behind = _ask(visitor, IS_LEFT_BEHIND.format(name=name))
                if is_left_behind == "t":
                    _ask(visitor, f"DEALLOCATE {name}")
                _ask(visitor, "COMMIT")
            if int(visited) == session:
                return is_left_behind == "f"
    return False


@contextmanager
def _client(connection: BaseDatabaseWrapper) -> Iterator[PGconn]:
    """Connect past Django, as psycopg's own: it asks for nobody's rows and has no tenant."""
    params: dict[str, Any] = connection.get_connection_params()
    params.pop("cursor_factory")
    params.setdefault("connect_timeout", PATIENCE_SECONDS)
    client = psycopg.Connection.connect(**params, autocommit=True)
    try:
        yield client.pgconn
    finally:
        # Also in the middle of a query: the pooler drops what it would have answered.
        client.close()


def _session(client: PGconn) -> int:
    (session,) = _ask(client, WHICH_SESSION)
    return int(session)


def _session_in_transaction(client: PGconn) -> int | None:
    """Return the session that `client` holds from now on, or None if there is none to have."""
    try:
        _ask(client, "BEGIN")
        return _session(client)
    except NoAnswer:
        return None


def _prepare(client: PGconn, name: str) -> None:
    client.send_prepare(name.encode(), b"SELECT 1")
    _result(client)


def _ask(client: PGconn, query: str) -> list[str]:
    """Return the row that answers `query`, as text."""
    client.send_query(query.encode())
    result = _result(client)
    values = (result.get_value(0, column) for column in range(result.nfields))
    return [value.decode() for value in values if value is not None]


def _result(client: PGconn) -> PGresult:
    """Return the last of the results that are on their way; raise NoAnswer if none comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    result = None
    while True:
        _wait(client, deadline)
        following = client.get_result()
        if following is None:
            break
        result = following
    if result is None or result.status == pq.ExecStatus.FATAL_ERROR:
        raise OperationalError(client.error_message.decode().strip())
    return result


def _wait(client: PGconn, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(client.socket, selectors.EVENT_READ)
        while client.is_busy():
            if not selector.select(timeout=max(0, deadline - time.monotonic())):
                raise NoAnswer(
                    f"The pooler gave no session in {PATIENCE_SECONDS} seconds: its pool is "
                    "exhausted, or PostgreSQL is away."
                )
            client.consume_input()
