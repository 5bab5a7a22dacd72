"""Connections that are kept, pooled, lost and asked whether they are still there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, ProgrammingError, connection, connections, transaction
from psycopg.pq import TransactionStatus

from tenancy import context
from tenancy.backend.base import DatabaseWrapper
from tenancy.models import Organization
from tests.isolation.wire import tapped
from tests.tenancy.test_backend import WHERE, expected, where

# The user's own numbers, in seconds.
POOL = {"min_size": 5, "max_size": 20, "timeout": 30, "max_idle": 600, "max_lifetime": 1800}


@pytest.fixture
def elm_is_active(elm: Organization, committed: None) -> Iterator[Organization]:
    """Elm is active with real commits; nothing is written."""
    with context.override(elm.as_active()):
        yield elm


@pytest.fixture
def default_with(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., DatabaseWrapper]]:
    """A function that gives this thread's default connection other settings."""

    def change(**settings: Any) -> DatabaseWrapper:
        connection.close()
        monkeypatch.setitem(connections.settings, "default", connection.settings_dict | settings)
        del connections["default"]
        return connections["default"]

    before = connections["default"]
    yield change
    changed = connections["default"]
    changed.close()
    changed.close_pool()
    connections["default"] = before


@pytest.fixture
def pooled(default_with: Callable[..., DatabaseWrapper]) -> DatabaseWrapper:
    """The default connection, with psycopg's pool as production has it."""
    return default_with(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False, OPTIONS={"pool": dict(POOL)})


def end_session(pid: int) -> None:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (found,) = cursor.fetchone()
    return int(found)


class TestPool:
    def test_has_the_numbers_it_was_given(self, pooled: DatabaseWrapper) -> None:
        pool = pooled.pool

        assert {name: getattr(pool, name) for name in POOL} == POOL

    def test_gives_bound_connections(
        self, pooled: DatabaseWrapper, elm: Organization, oak: Organization
    ) -> None:
        for organization in (elm, oak) * 3:
            with context.override(organization.as_active()):
                assert where() == expected(organization)
                with transaction.atomic():
                    assert where() == expected(organization)
            connection.close()

    def test_sends_nothing_at_a_checkout(
        self, default_with: Callable[..., DatabaseWrapper], elm_is_active: Organization
    ) -> None:
        default_with(
            CONN_MAX_AGE=0,
            CONN_HEALTH_CHECKS=True,
            OPTIONS={"pool": {"min_size": 1, "max_size": 1}},
        )
        where()

        driver = connection.connection
        with tapped() as tap:
            connection.close()
            connection.ensure_connection()
            assert connection.connection is driver
            assert tap.sent == []
            where()
            assert len(tap.sent) == 1

    def test_gives_no_connection_that_the_server_has_ended(
        self, pooled: DatabaseWrapper, elm_is_active: Organization
    ) -> None:
        ended = pid()
        connection.close()
        end_session(ended)

        assert pid() != ended

    def test_gives_no_connection_with_anothers_transaction(
        self, pooled: DatabaseWrapper, elm_is_active: Organization, oak: Organization
    ) -> None:
        """
        Left open, or failed, by raw SQL.
        """
        for statement in (b"BEGIN; SET LOCAL ROLE NONE", b"BEGIN; SELECT 1 / 0"):
            where()
            connection.connection.pgconn.exec_(statement)
            connection.close()

            with context.override(oak.as_active()):
                assert where() == expected(oak)
            connection.close()


class TestKeptConnection:
    def test_is_asked_without_a_word_whether_it_is_there(self, elm_is_active: Organization) -> None:
        where()

        with tapped() as tap:
            assert connection.is_usable()

        assert tap.sent == []

    def test_is_made_anew_when_the_server_has_ended_it(
        self,
        default_with: Callable[..., DatabaseWrapper],
        elm_is_active: Organization,
    ) -> None:
        kept = default_with(CONN_MAX_AGE=600, CONN_HEALTH_CHECKS=True)
        ended = pid()
        end_session(ended)

        kept.close_if_unusable_or_obsolete()  # what Django does when a request begins

        assert pid() != ended
        assert where() == expected(elm_is_active)

    def test_is_made_anew_when_a_transaction_was_left_open(
        self, default_with: Callable[..., DatabaseWrapper], elm_is_active: Organization
    ) -> None:
        kept = default_with(CONN_MAX_AGE=600, CONN_HEALTH_CHECKS=True)
        left = pid()
        connection.connection.pgconn.exec_(b"BEGIN")

        kept.close_if_unusable_or_obsolete()

        assert pid() != left

    def test_that_was_closed_in_a_transaction_is_no_error_of_the_next_request(
        self, elm_is_active: Organization
    ) -> None:
        """
        Django keeps the closed connection until the block ends, and asks it between requests.
        """
        with transaction.atomic():
            connection.ensure_connection()
            connection.close()

            connection.close_if_unusable_or_obsolete()

    def test_is_usable_inside_atomic(self, elm_is_active: Organization) -> None:
        with transaction.atomic():
            where()
            assert connection.is_usable()

            with pytest.raises(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
            assert not connection.is_usable()
            connection.set_rollback(True)

    def test_that_is_lost_in_a_transaction_is_an_error_and_then_another(
        self, elm_is_active: Organization
    ) -> None:
        with pytest.raises(DatabaseError), transaction.atomic():
            end_session(pid())
            where()

        assert where() == expected(elm_is_active)


class TestIsolationLevel:
    @pytest.mark.parametrize("level", psycopg.IsolationLevel)
    def test_is_that_of_the_options(
        self,
        default_with: Callable[..., DatabaseWrapper],
        elm_is_active: Organization,
        level: psycopg.IsolationLevel,
    ) -> None:
        default_with(OPTIONS={"isolation_level": level})

        with tapped() as tap, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            (found,) = cursor.fetchone()
            assert where() == expected(elm_is_active)

        assert found == level.name.lower().replace("_", " ")
        assert len(tap.sent) == 3  # BEGIN with its level, binding and query; a query; COMMIT


class TestError:
    """PostgreSQL counts from the start of the message, where the binding stands."""

    def test_points_into_the_callers_statement(self, elm_is_active: Organization) -> None:
        with pytest.raises(ProgrammingError) as caught, connection.cursor() as cursor:
            cursor.execute("SELECT 1,\n  nobody FROM pg_class")

        assert str(caught.value) == (
            'column "nobody" does not exist\nLINE 2:   nobody FROM pg_class\n          ^'
        )
        assert caught.value.__cause__.diag.statement_position == "13"

    def test_is_the_same_as_in_a_transaction(self, elm_is_active: Organization) -> None:
        """
        There the statement stands alone, and PostgreSQL's own answer is right.
        """
        statement = (
            f"SELECT {'length(relname), ' * 10}\n nobody, {'relname, ' * 20} 1 FROM pg_class"
        )
        told = []
        for autocommit in (True, False):
            with pytest.raises(ProgrammingError) as caught:
                if autocommit:
                    self._execute(statement)
                else:
                    with transaction.atomic():
                        self._execute(statement)
            diag = caught.value.__cause__.diag
            told.append((diag.statement_position, diag.message_primary, diag.sqlstate))

        assert told[0] == told[1]

    def test_without_a_position_is_left_alone(self, elm_is_active: Organization) -> None:
        with pytest.raises(DatabaseError, match=r"^division by zero$"):
            self._execute("SELECT 1 / 0")

    def test_points_rightly_where_begin_went_before(self, elm_is_active: Organization) -> None:
        with pytest.raises(ProgrammingError) as caught, transaction.atomic():
            self._execute("SELECT nobody FROM pg_class")

        assert caught.value.__cause__.diag.statement_position == "8"

    def test_in_the_binding_is_told_as_it_is(self, committed: None) -> None:
        ghost = context.ActiveTenant(None, "ghost")

        with context.override(ghost), pytest.raises(DatabaseError, match=r"role .* does not exist"):
            self._execute("SELECT 1")

    def test_of_a_long_line_shows_what_is_around(self, elm_is_active: Organization) -> None:
        with pytest.raises(ProgrammingError) as caught:
            self._execute(f"SELECT {'1, ' * 50}nobody{', 2' * 50}")

        shown, caret = str(caught.value).splitlines()[1:]
        assert shown.startswith("LINE 1: ...")
        assert shown.endswith("...")
        assert shown[caret.index("^") :].startswith("nobody")

    @staticmethod
    def _execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)


class TestDriver:
    def test_own_transaction_is_bound_too(self, elm_is_active: Organization) -> None:
        """
        psycopg's `transaction()` sends a BEGIN of its own, past Django.
        """
        where()
        driver = connection.connection
        with driver.transaction(), driver.cursor() as cursor:
            assert cursor.execute(WHERE).fetchone() == expected(elm_is_active)

        assert driver.info.transaction_status == TransactionStatus.IDLE

    def test_transaction_typed_by_hand_is_bound_too(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            assert where() == expected(elm_is_active)
            cursor.execute("COMMIT")

        with context.override(oak.as_active()):
            assert where() == expected(oak)
