"""
Pitfalls 5 to 9, 13, 17, 18 and 21: transactions that fail, statements that travel otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import (
    DatabaseError,
    InternalError,
    NotSupportedError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.utils import timezone
from psycopg import sql
from psycopg.pq import TransactionStatus

from apps.accounts.models import User
from apps.scheduling.models import Practitioner
from tenancy import context, roles
from tenancy.backend.base import DatabaseWrapper
from tenancy.context import ActiveTenant
from tenancy.errors import SessionStateRefused, TenantContextChanged
from tenancy.models import Organization
from tenancy.testing.leaks.catalogue import Server
from tests.fixtures.pgbouncer import PgBouncer
from tests.isolation.pitfalls.session import (
    WHERE,
    ask,
    describe_sessions,
    home_of,
    list_marks,
    send_unchecked,
    where,
)
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE, sqlstate_of
from tests.isolation.wire import tapped

INVALID_PARAMETER = "22023"

LEFT_OPEN = {
    "open": ["BEGIN"],
    "failed": ["BEGIN", "SELECT 1 / 0"],
    "written": ["BEGIN", "SET LOCAL search_path = public"],
}


def _divide() -> None:
    ask("SELECT 1 / 0")


def _for_oak_within(oak: Organization) -> Any:
    return context.override(oak.as_active(), in_transaction=True)


class Undone(Exception):
    """Raised to have a transaction rolled back."""


class Test05RollbackToASavepoint:
    def test_gives_the_outer_clinic_back(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        with transaction.atomic():
            with pytest.raises(Undone), _for_oak_within(oak), transaction.atomic():
                assert list_marks() == [oak.slug]
                raise Undone
            assert list_marks() == [at_elm.slug]

        assert list_marks() == [at_elm.slug]

    def test_does_not_take_the_inner_clinic_away(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        """
        PostgreSQL restores the path of before the savepoint, in the middle of Oak's block.
        """
        with transaction.atomic():
            assert list_marks() == [at_elm.slug]
            savepoint = transaction.savepoint()
            with _for_oak_within(oak):
                assert list_marks() == [oak.slug]
                transaction.savepoint_rollback(savepoint)
                assert list_marks() == [oak.slug]
            assert list_marks() == [at_elm.slug]

    def test_after_an_error_does_not_either(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        with transaction.atomic():
            assert list_marks() == [at_elm.slug]
            with _for_oak_within(oak):
                with pytest.raises(DatabaseError), transaction.atomic():
                    assert list_marks() == [oak.slug]
                    _divide()
                assert list_marks() == [oak.slug]
            assert list_marks() == [at_elm.slug]


class Test06ReleaseOfASavepoint:
    def test_gives_the_outer_clinic_back_and_commits(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        with transaction.atomic():
            assert list_marks() == [at_elm.slug]
            with _for_oak_within(oak), transaction.atomic():
                Session.objects.create(session_key="oak2", expire_date=timezone.now())
            assert list_marks() == [at_elm.slug]
            Session.objects.create(session_key="elm2", expire_date=timezone.now())

        assert set(list_marks()) == {"elm", "elm2"}
        with context.override(oak.as_active()):
            assert set(list_marks()) == {"oak", "oak2"}


class Test07FailedTransaction:
    def test_is_followed_by_a_statement_that_is_bound(self, at_elm: Organization):
        with pytest.raises(DatabaseError, match="zero"), transaction.atomic():
            assert where() == home_of(at_elm)
            _divide()

        assert where() == home_of(at_elm)
        with transaction.atomic():
            assert where() == home_of(at_elm)

    def test_is_followed_by_another_clinics(self, at_elm: Organization, oak: Organization):
        with pytest.raises(DatabaseError, match="zero"), transaction.atomic():
            _divide()

        with context.override(oak.as_active()):
            assert where() == home_of(oak)

    def test_is_not_committed_when_its_error_was_swallowed(self, marks: None, at_elm: Organization):
        with pytest.raises(InternalError, match="swallowed"), transaction.atomic():
            Session.objects.all().delete()
            driver = connection.connection
            with pytest.raises(psycopg.errors.DivisionByZero):
                driver.execute("SELECT 1 / 0")

        assert list_marks() == [at_elm.slug]


class Test08TransactionLeftBehind:
    """A health check that sends `;` succeeds in a failed transaction."""

    @pytest.mark.parametrize("how", LEFT_OPEN)
    def test_is_not_given_to_the_next_request(
        self, how: str, at_elm: Organization, oak: Organization
    ):
        assert connection.settings_dict["CONN_HEALTH_CHECKS"]
        left = connection.connection
        for statement in LEFT_OPEN[how]:
            send_unchecked(statement)

        close_old_connections()
        with context.override(oak.as_active()):
            found = where()

        assert found == home_of(oak)
        assert left.closed
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE

    @pytest.mark.parametrize("how", LEFT_OPEN)
    def test_is_not_given_away_by_a_pool(self, how: str, at_elm: Organization, oak: Organization):
        settings = {
            **connection.settings_dict,
            "CONN_MAX_AGE": 0,
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 1}},
        }
        wrapper = DatabaseWrapper(settings, alias="default")
        try:
            wrapper.ensure_connection()
            for statement in LEFT_OPEN[how]:
                wrapper.connection.pgconn.exec_(statement.encode())
            wrapper.close()

            with context.override(oak.as_active()), wrapper.cursor() as cursor:
                cursor.execute(WHERE)
                assert cursor.fetchone() == home_of(oak)
                status = wrapper.connection.info.transaction_status
        finally:
            wrapper.close()
            wrapper.close_pool()
        assert status == TransactionStatus.IDLE


class Test09SchemaThatIsGone:
    """PostgreSQL ignores a schema of the path that does not exist, and public is the next."""

    @pytest.fixture
    def gone(self, address: str, superuser: Server, database: str) -> Iterator[ActiveTenant]:
        """A clinic of which nothing is left but its role."""
        names = {
            "role": sql.Identifier(roles.name(database, "tenant_gone")),
            "app": sql.Identifier(roles.name(database, "app")),
            "tenants": sql.Identifier(roles.name(database, "tenants")),
        }
        for statement in (
            "CREATE ROLE {role} NOLOGIN INHERIT",
            "GRANT {tenants} TO {role}",
            "GRANT {role} TO {app}",
        ):
            superuser.execute(sql.SQL(statement).format(**names))
        yield ActiveTenant(None, "tenant_gone")
        superuser.execute(sql.SQL("DROP ROLE {role}").format(**names))

    def test_is_refused_and_never_answered_from_public(self, gone: ActiveTenant):
        def in_a_transaction(query: Callable[[], Any]) -> None:
            with transaction.atomic():
                query()

        in_both, elsewhere = User.objects.count, Practitioner.objects.count
        with context.override(gone):
            codes = [
                sqlstate_of(manner, query)
                for query in (in_both, elsewhere)
                for manner in (lambda query: query(), in_a_transaction)
            ]

        assert codes == [INSUFFICIENT_PRIVILEGE] * 2 + [UNDEFINED_TABLE] * 2

    def test_lets_nothing_be_committed(self, gone: ActiveTenant):
        with context.override(gone), pytest.raises(TenantContextChanged), transaction.atomic():
            ask("SELECT 1")

    def test_is_refused_when_its_role_is_gone_as_well(self, address: str, elm: Organization):
        with context.override(ActiveTenant(None, "tenant_never_was")):
            codes = [sqlstate_of(each) for each in (User.objects.count, where)]

        assert codes == [INVALID_PARAMETER] * 2


class Test13NamedCursors:
    def test_are_not_what_iterator_uses_in_autocommit(self, marks: None, at_elm: Organization):
        with tapped() as tap:
            keys = [row.session_key for row in Session.objects.iterator(chunk_size=1)]

        assert keys == [at_elm.slug]
        (statement,) = tap.statements
        assert "DECLARE" not in statement
        assert ask("SELECT count(*) FROM pg_cursors") == 0

    def test_with_hold_are_refused(self, at_elm: Organization):
        with pytest.raises(NotSupportedError, match="atomic"):
            connection.chunked_cursor()
        with pytest.raises(SessionStateRefused), transaction.atomic():
            ask("DECLARE c CURSOR WITH HOLD FOR SELECT 1")

    def test_end_with_their_transaction(self, at_elm: Organization):
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute(WHERE)
            assert cursor.fetchone() == home_of(at_elm)

        assert ask("SELECT count(*) FROM pg_cursors") == 0


class Test17Copy:
    def test_in_autocommit_is_bound_both_ways(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        table = Session._meta.db_table
        columns = "session_key, session_data, expire_date"
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                copy.write_row(("elm2", "", "2026-01-01"))
            with cursor.copy(f"COPY (SELECT session_key FROM {table}) TO STDOUT") as copy:
                copied = {key for (key,) in copy.rows()}

        assert copied == {"elm", "elm2"}
        with context.override(oak.as_active()):
            assert list_marks() == ["oak"]

    def test_that_fails_leaves_no_transaction_open(self, marks: None, at_elm: Organization):
        with (
            pytest.raises(psycopg.errors.BadCopyFileFormat),
            connection.cursor() as cursor,
            cursor.copy(f"COPY {Session._meta.db_table} FROM STDIN") as copy,
        ):
            copy.write("nothing that is a row\n")

        assert connection.connection.info.transaction_status == TransactionStatus.IDLE
        assert list_marks() == [at_elm.slug]


class Test18PreparedStatements:
    def test_are_not_made_though_the_driver_is_told_to(
        self,
        pgbouncer: PgBouncer,
        marks: None,
        monkeypatch: pytest.MonkeyPatch,
        elm: Organization,
        oak: Organization,
        request: pytest.FixtureRequest,
    ):
        """
        PgBouncer 1.18 carries none from one session to another: the second use would fail.
        """
        settings: dict[str, Any] = connections.settings["default"]
        options = {**settings["OPTIONS"], "prepare_threshold": 0}
        monkeypatch.setitem(settings, "OPTIONS", options)
        pooler = request.getfixturevalue("through_pgbouncer")
        fresh = describe_sessions(pooler)

        for _ in range(20):
            for clinic in (elm, oak):
                with context.override(clinic.as_active()):
                    assert connection.settings_dict["OPTIONS"]["prepare_threshold"] == 0
                    assert list_marks() == [clinic.slug]
                    with transaction.atomic(), connection.cursor() as cursor:
                        cursor.execute("SELECT session_key FROM django_session WHERE %s", [True])
                        assert cursor.fetchall() == [(clinic.slug,)]
                        cursor.executemany("SELECT %s", [[1], [2]])

        assert connection.connection.prepare_threshold == 0
        assert describe_sessions(pooler) == fresh


class Test21ServerThatGoesAway:
    def _kill(self, superuser: Server) -> None:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [ask("SELECT pg_backend_pid()")])

    def test_between_two_statements_is_an_error_and_then_a_bound_connection(
        self, marks: None, address: str, at_elm: Organization, superuser: Server
    ):
        self._kill(superuser)

        if address == "direct":
            with pytest.raises(OperationalError):
                list_marks()
            close_old_connections()

        # A pooler has another session for each transaction, and its clients notice nothing.
        assert list_marks() == [at_elm.slug]
        assert where() == home_of(at_elm)

    def test_between_two_requests_is_noticed_by_nobody(
        self, marks: None, address: str, elm: Organization, oak: Organization, superuser: Server
    ):
        with context.override(elm.as_active()):
            self._kill(superuser)

        close_old_connections()
        with context.override(oak.as_active()):
            assert list_marks() == ["oak"]

    def test_in_a_transaction_is_an_error_for_all_of_it(
        self, marks: None, at_elm: Organization, superuser: Server
    ):
        """
        What came before is lost: to go on with a new connection would commit half of it.
        """
        with pytest.raises(DatabaseError), transaction.atomic():
            Session.objects.create(session_key="elm2", expire_date=timezone.now())
            self._kill(superuser)
            for _ in range(2):
                with pytest.raises(DatabaseError):
                    Session.objects.create(session_key="elm3", expire_date=timezone.now())
            raise DatabaseError

        assert list_marks() == [at_elm.slug]
        assert where() == home_of(at_elm)
