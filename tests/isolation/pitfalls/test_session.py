"""
Pitfalls 1, 3, 4, 10 to 12, 14 to 16, 20, 32 and 33: what a session keeps, and for whom.
"""

from __future__ import annotations

import re

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import ProgrammingError, connection, transaction
from django.db.backends.signals import connection_created
from psycopg import sql

from tenancy import context
from tenancy.errors import SessionStateRefused, TenantContextChanged
from tenancy.models import Organization
from tenancy.roles import APP_TIMEOUTS
from tenancy.testing import TenantClient
from tests.fixtures import servers
from tests.fixtures.pgbouncer import PgBouncer
from tests.isolation.pitfalls.session import (
    WHERE,
    ask,
    describe_own_session,
    describe_sessions,
    every_session,
    home_of,
    list_marks,
    role_of,
    send_unchecked,
    where,
)
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE, sqlstate_of
from tests.isolation.wire import tapped

NO_ACTIVE_TRANSACTION = "25P01"

SETTING = re.compile(r"\bSET\s+(?:(LOCAL)\s+)?([\w.]+)")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _work() -> None:
    """Do some of everything that carries a binding."""
    list_marks()
    with transaction.atomic():
        list_marks()
        with transaction.atomic():
            list_marks()
    with connection.cursor() as cursor:
        cursor.executemany("SELECT %s", [[1], [2]])
        list(cursor.stream(WHERE))
        with cursor.copy(f"COPY ({WHERE}) TO STDOUT") as copy:
            list(copy)


class Test01SetLocalByItself:
    @pytest.fixture
    def noticed(self, at_elm: Organization) -> list[str | None]:
        codes: list[str | None] = []
        connection.connection.add_notice_handler(lambda notice: codes.append(notice.sqlstate))
        return codes

    def test_is_never_what_the_backend_sends(self, noticed: list[str | None]):
        _work()

        assert noticed == []

    def test_would_be_noticed(self, noticed: list[str | None]):
        send_unchecked("SET LOCAL search_path = public")

        assert noticed == [NO_ACTIVE_TRANSACTION]

    def test_has_no_effect_on_the_next_statement(self, at_elm: Organization):
        """
        Written by hand in autocommit, where it shares a message with nothing but its binding.
        """
        before = ask("SHOW statement_timeout")

        _execute("SET LOCAL statement_timeout = '1s'")

        assert ask("SHOW statement_timeout") == before


class Test03PoisonedSession:
    def test_shows_nothing_to_a_client_that_does_not_bind(
        self, through_pgbouncer: PgBouncer, oak: Organization, elm: Organization
    ):
        path = sql.SQL("SET search_path = {}").format(sql.Identifier(oak.schema_name))
        table = Session._meta.db_table
        with every_session(through_pgbouncer) as clients:
            for client in clients:
                client.execute(path)
                client.commit()
        try:
            with psycopg.connect(through_pgbouncer.url("app"), autocommit=True) as client:
                is_poisoned = client.execute("SHOW search_path").fetchone() == (oak.schema_name,)
                codes = [
                    sqlstate_of(client.execute, f"SELECT FROM {name}")
                    for name in (table, f"{oak.schema_name}.{table}")
                ]
            with context.override(elm.as_active()):
                found = where()
        finally:
            with every_session(through_pgbouncer) as clients:
                for client in clients:
                    client.execute("RESET ALL")
                    client.commit()

        assert is_poisoned
        assert codes == [UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE]
        assert found == home_of(elm)


class Test04CustomSettings:
    def test_are_not_made(self, at_elm: Organization):
        """
        One that was ever set in a session is '' there afterwards, and no longer NULL.
        """
        with tapped() as tap:
            _work()

        statements = "\n".join(tap.statements)
        assert {name for _, name in SETTING.findall(statements)} == {"search_path", "ROLE"}
        assert "set_config" not in statements


class Test10TemporaryTables:
    """16 as well: a table that shadows the clinic's own, and that the next client would see."""

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TEMPORARY TABLE accounts_user (id int)",
            "CREATE TEMP TABLE accounts_user (id int) ON COMMIT DROP",
            "CREATE TABLE pg_temp.accounts_user (id int)",
            "CREATE TEMP VIEW accounts_user AS SELECT 1",
            "CREATE TEMP SEQUENCE accounts_user_id_seq",
            "SELECT 1 AS id INTO TEMP accounts_user",
        ],
    )
    def test_are_denied(self, statement: str, at_elm: Organization):
        def in_a_transaction() -> None:
            with transaction.atomic():
                _execute(statement)

        codes = sqlstate_of(_execute, statement), sqlstate_of(in_a_transaction)

        assert codes == (INSUFFICIENT_PRIVILEGE, INSUFFICIENT_PRIVILEGE)


class Test11SetRole:
    @pytest.mark.parametrize("statement", ["SET ROLE {}", "SET LOCAL ROLE {}", "RESET ROLE"])
    def test_is_refused_by_our_cursors(
        self, statement: str, at_elm: Organization, oak: Organization
    ):
        with pytest.raises(SessionStateRefused):
            _execute(statement.format(role_of(oak)))

    def test_sideways_succeeds_by_the_bare_driver_and_is_not_committed(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        """
        Schemas and roles are a seat belt and no sandbox: whoever runs SQL of their own
        choice, past our cursors, reads the other clinic. What was written does not stay.
        """
        with pytest.raises(TenantContextChanged), transaction.atomic():
            assert list_marks() == [at_elm.slug]
            send_unchecked(f"SET LOCAL ROLE {role_of(oak)}")
            send_unchecked(f"SET LOCAL search_path = {oak.schema_name}")
            assert list_marks() == [oak.slug]
            Session.objects.all().delete()

        with context.override(oak.as_active()):
            assert list_marks() == [oak.slug]
        assert list_marks() == [at_elm.slug]

    def test_back_lands_on_a_login_without_rights(self, marks: None, at_elm: Organization):
        table = Session._meta.db_table
        with pytest.raises(ProgrammingError), transaction.atomic():
            assert list_marks() == [at_elm.slug]
            send_unchecked("RESET ROLE")
            codes = []
            for name in (table, f"{at_elm.schema_name}.{table}", f"public.{table}"):
                with pytest.raises(ProgrammingError) as refused, transaction.atomic():
                    _execute(f"SELECT FROM {name}")
                codes.append(refused.value.__cause__.sqlstate)
            raise ProgrammingError

        assert codes == [UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE, INSUFFICIENT_PRIVILEGE]


class Test12Timeouts:
    @pytest.mark.parametrize("setting", APP_TIMEOUTS)
    def test_of_the_login_hold_under_the_clinics_role(
        self, setting: str, address: str, elm: Organization
    ):
        """
        PostgreSQL applies what ALTER ROLE says of a role at sign-in, and not at SET ROLE.
        """
        question = f"SELECT current_setting('{setting}')::interval = '{APP_TIMEOUTS[setting]}'"

        for target in (elm.as_active(), context.PLATFORM):
            with context.override(target):
                assert ask(question)
                with transaction.atomic():
                    assert ask(question)


class Test14Listen:
    def test_is_refused_and_leaves_no_channel(self, at_elm: Organization):
        with pytest.raises(SessionStateRefused):
            _execute("LISTEN elm")

        assert ask("SELECT count(*) FROM pg_listening_channels()") == 0

    def test_is_what_another_client_would_have_inherited(
        self, through_pgbouncer: PgBouncer, elm: Organization
    ):
        fresh = describe_sessions(through_pgbouncer)
        try:
            with every_session(through_pgbouncer) as clients:
                for client in clients:
                    client.execute("LISTEN elm")
                    client.commit()

            assert describe_sessions(through_pgbouncer) != fresh
        finally:
            with every_session(through_pgbouncer) as clients:
                for client in clients:
                    client.execute("UNLISTEN *")
                    client.commit()
        assert describe_sessions(through_pgbouncer) == fresh

    def test_notify_is_allowed(self, at_elm: Organization):
        _execute("SELECT pg_notify('elm', '')")


class Test15AdvisoryLocks:
    @pytest.mark.parametrize(
        "function", ["pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_lock_shared"]
    )
    def test_of_the_session_are_refused(self, function: str, at_elm: Organization):
        with pytest.raises(SessionStateRefused, match="pg_advisory_xact_lock"):
            _execute(f"SELECT {function}(15)")

    def test_of_the_transaction_exclude_another_client(
        self, through_pgbouncer: PgBouncer, at_elm: Organization
    ):
        question = "SELECT pg_try_advisory_xact_lock(15)"
        with psycopg.connect(through_pgbouncer.url("app"), autocommit=True) as other:
            with transaction.atomic():
                _execute("SELECT pg_advisory_xact_lock(15)")
                during = other.execute(question).fetchone()
            after = other.execute(question).fetchone()

        assert (during, after) == ((False,), (True,))


class Test20Connection:
    def test_is_set_up_without_a_path_or_a_role(self, address: str):
        connection.close()

        with context.override(context.PLATFORM):
            connection.ensure_connection()
            role, chosen, changed, *_ = describe_own_session()

        login = f"{servers.database_name()}_app"
        assert (role, chosen) == (login, "none")
        assert "search_path" not in (changed or "")

    def test_is_not_waited_for_by_a_signal_of_ours(self):
        receivers = connection_created._live_receivers(sender=type(connection))

        modules = [each.__module__ for some in receivers for each in some]
        assert [each for each in modules if each.startswith(("tenancy", "apps", "clinicx"))] == []


class Test32ReportedParameters:
    # What servers report to a client, search_path since PostgreSQL 18.
    NAMES = (
        b"search_path",
        b"session_authorization",
        b"is_superuser",
        b"TimeZone",
        b"DateStyle",
        b"client_encoding",
        b"default_transaction_read_only",
    )

    def test_are_as_before_after_bound_statements(
        self, marks: None, at_elm: Organization, oak: Organization
    ):
        before = self._list_reported()

        _work()
        with context.override(oak.as_active()):
            _work()

        assert self._list_reported() == before
        assert before[b"TimeZone"] is not None

    def _list_reported(self) -> dict[bytes, bytes | None]:
        pgconn = connection.connection.pgconn
        return {name: pgconn.parameter_status(name) for name in self.NAMES}


class Test33Request:
    def test_sends_no_set_but_local(
        self, address: str, elm: Organization, elm_client: TenantClient
    ):
        """
        RDS Proxy pins a client to a session at any other.
        """
        with context.override(context.PLATFORM):
            connection.ensure_connection()

        with tapped() as tap:
            assert elm_client.get("/sign-in/").status_code == 200
            elm_client.post("/sign-in/", {"username": "nobody", "password": "nothing"})

        settings = [found for each in tap.statements for found in SETTING.findall(each)]
        assert settings
        assert {local for local, _ in settings} == {"LOCAL"}
        assert not any("set_config" in each for each in tap.statements)
