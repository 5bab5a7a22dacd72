"""
For whom does a statement work, and what did it leave on its session?
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from django.contrib.sessions.models import Session
from django.db import connection

from tenancy import roles
from tenancy.models import Organization
from tests.fixtures import servers
from tests.fixtures.pgbouncer import POOL_SIZE, PgBouncer
from tests.isolation.test_pooler import LEFT_BEHIND

WHERE = "SELECT current_schema(), current_user"


def role_of(organization: Organization) -> str:
    return roles.name(servers.database_name(), organization.schema_name)


def home_of(organization: Organization) -> tuple[str, str]:
    """Return what where() answers while the organization is active."""
    return organization.schema_name, role_of(organization)


def where() -> tuple[str, str]:
    """Ask in which schema and as which role the next statement runs."""
    with connection.cursor() as cursor:
        cursor.execute(WHERE)
        return tuple(cursor.fetchone())


def ask(question: str) -> Any:
    """Return the first column of the first row."""
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def list_marks() -> list[str]:
    """Return whose the rows are that the active clinic sees (see the fixture `marks`)."""
    return list(Session.objects.values_list("session_key", flat=True))


def send_unchecked(statement: str) -> None:
    """Send `statement` past our cursors, which might refuse it or bind it."""
    connection.connection.pgconn.exec_(statement.encode())


@contextmanager
def every_session(pooler: PgBouncer) -> Iterator[list[psycopg.Connection[Any]]]:
    """Hold each of the pooler's sessions by a client of its own, in open transactions."""
    clients = [psycopg.connect(pooler.url("app")) for _ in range(POOL_SIZE)]
    try:
        for client in clients:
            client.execute("SELECT 1")
        yield clients
    finally:
        for client in clients:
            client.close()


def describe_sessions(pooler: PgBouncer) -> set[tuple[Any, ...]]:
    """Return what the pooler's sessions are set to."""
    with every_session(pooler) as clients:
        return {client.execute(LEFT_BEHIND).fetchone() for client in clients}


def describe_own_session() -> tuple[Any, ...]:
    """Return what this thread's session is set to, asked past the binding."""
    driver = connection.connection
    binder, driver.binder = driver.binder, None
    try:
        with closing(driver.cursor()) as cursor:
            return tuple(cursor.execute(LEFT_BEHIND).fetchone())
    finally:
        driver.binder = binder
