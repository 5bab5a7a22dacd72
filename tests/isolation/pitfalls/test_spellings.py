"""
Pitfall 2: SQL that a project writes by hand leaves nothing on a session that others use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from psycopg import sql

from tenancy import context
from tenancy.backend import session_state
from tenancy.errors import SessionStateRefused
from tenancy.models import Organization
from tests.fixtures.pgbouncer import PgBouncer
from tests.isolation.pitfalls.session import (
    describe_own_session,
    describe_sessions,
    home_of,
    role_of,
    where,
)
from tests.isolation.pitfalls.spellings import BEYOND_READING, HARMLESS, SPELLINGS
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, sqlstate_of

Carrier = Callable[[str], Any]


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@transaction.atomic
def _execute_in_a_transaction(statement: str) -> None:
    _execute(statement)


def _execute_with_parameters(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement.replace("%", "%%"), [])


def _execute_composed(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.cursor.execute(sql.Composed([sql.SQL("{}").format(sql.SQL(statement))]))


def _execute_bytes(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.cursor.execute(statement.encode())


def _executemany(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[], []])


def _stream(statement: str) -> None:
    with connection.cursor() as cursor:
        list(cursor.stream(statement))


def _copy(statement: str) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        list(copy)


def _driver(statement: str) -> None:
    connection.connection.execute(statement)


CARRIERS: tuple[Carrier, ...] = (
    _execute,
    _execute_in_a_transaction,
    _execute_with_parameters,
    _execute_composed,
    _execute_bytes,
    _executemany,
    _stream,
    _copy,
    _driver,
)


def _spell(statement: str, organization: Organization) -> str:
    return statement.format(role=role_of(organization), schema=organization.schema_name)


@pytest.fixture
def at_elm(elm: Organization, committed: None) -> Iterator[Organization]:
    """Elm is active with real commits, where the test leads."""
    with context.override(elm.as_active()):
        connection.ensure_connection()
        yield elm


class Test02SessionState:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_is_refused_however_it_is_spelled(
        self, spelling: str, at_elm: Organization, oak: Organization
    ):
        statement = _spell(SPELLINGS[spelling], oak)
        before = describe_own_session()

        for carry in (_execute, _execute_in_a_transaction):
            with pytest.raises(SessionStateRefused):
                carry(statement)

        assert describe_own_session() == before
        assert where() == home_of(at_elm)

    @pytest.mark.parametrize("spelling", BEYOND_READING)
    def test_that_cannot_be_read_is_refused_by_the_server(
        self, spelling: str, at_elm: Organization, oak: Organization
    ):
        assert session_state.refuse(BEYOND_READING[spelling]) is None

        code = sqlstate_of(_execute, _spell(BEYOND_READING[spelling], oak))

        assert code == INSUFFICIENT_PRIVILEGE

    @pytest.mark.parametrize("carry", CARRIERS)
    def test_is_refused_however_it_is_sent(
        self, carry: Carrier, through_pgbouncer: PgBouncer, at_elm: Organization, oak: Organization
    ):
        fresh = describe_sessions(through_pgbouncer)

        for statement in SPELLINGS.values():
            with pytest.raises(SessionStateRefused):
                carry(_spell(statement, oak))

        assert describe_sessions(through_pgbouncer) == fresh
        assert where() == home_of(at_elm)

    def test_is_refused_as_a_called_procedure(self, at_elm: Organization):
        with connection.cursor() as cursor, pytest.raises(SessionStateRefused):
            cursor.callproc("set_config", ["search_path", "tenant_oak", False])

    def test_in_a_string_that_the_server_runs_is_refused_by_it(self, at_elm: Organization):
        """
        EXECUTE lives in procedural languages, which the application's roles may not use.
        """
        statement = """
            CREATE FUNCTION {}.set() RETURNS void LANGUAGE plpgsql AS
            'BEGIN EXECUTE ''SET search_path = tenant_oak''; END'
        """
        for schema in (at_elm.schema_name, "public"):
            assert sqlstate_of(_execute, statement.format(schema)) == INSUFFICIENT_PRIVILEGE


class TestHarmless:
    @pytest.mark.parametrize("statement", HARMLESS)
    def test_sql_with_such_words_is_let_through(self, statement: str):
        session_state.refuse(statement)

    @pytest.mark.parametrize(
        "statement", [each for each in HARMLESS if each.startswith(("SELECT", "SHOW"))]
    )
    def test_sql_with_such_words_leaves_nothing(self, statement: str, at_elm: Organization):
        before = describe_own_session()

        with transaction.atomic():
            _execute(statement.replace("$1", "'a'"))

        assert describe_own_session() == before
