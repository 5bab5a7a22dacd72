"""Each statement travels with its binding, and nothing is left on the session."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DatabaseError,
    InternalError,
    NotSupportedError,
    connection,
    connections,
    transaction,
)
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from tenancy import context
from tenancy.backend.base import DatabaseWrapper
from tenancy.errors import (
    NoActiveTenant,
    SessionStateRefused,
    TenantChangedInTransaction,
    TenantContextChanged,
)
from tenancy.models import Organization
from tests.isolation.wire import tapped

WHERE = "SELECT current_schema(), current_user, current_setting('search_path')"
SESSION = "SELECT session_user, current_setting('search_path'), current_setting('role')"


def where() -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(WHERE)
        return tuple(cursor.fetchone())


def expected(organization: Organization) -> tuple[str, ...]:
    schema = organization.schema_name
    database = connection.settings_dict["NAME"]
    return schema, f"{database}_{schema}", f"{schema}, public"


@pytest.fixture
def elm_is_active(elm: Organization, committed: None) -> Iterator[Organization]:
    """Elm is active with real commits; nothing is written."""
    with context.override(elm.as_active()):
        yield elm


def query() -> None:
    User.objects.exists()


def in_atomic(count: int) -> None:
    with transaction.atomic():
        for _ in range(count):
            query()


def in_two_savepoints() -> None:
    with transaction.atomic():
        for _ in range(2):
            with transaction.atomic():
                query()


class TestBinding:
    def test_holds_in_autocommit(self, elm_is_active: Organization) -> None:
        assert where() == expected(elm_is_active)

    def test_holds_in_a_transaction(self, elm_is_active: Organization) -> None:
        with transaction.atomic():
            assert where() == expected(elm_is_active)
            with transaction.atomic():
                assert where() == expected(elm_is_active)

    def test_follows_the_context(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        with context.override(elm.as_active()):
            assert where() == expected(elm)
        with context.override(oak.as_active()):
            assert where() == expected(oak)
        with context.override(context.PLATFORM):
            assert where()[0] == "public"

    def test_leaves_nothing_on_the_session(self, elm_is_active: Organization) -> None:
        """What the next client of a pooler would find is what the login has at start."""
        query()
        in_atomic(2)

        driver = connection.connection
        driver.binder = None
        try:
            found = driver.execute(SESSION).fetchone()
        finally:
            driver.binder = connection.binding_for
        database = connection.settings_dict["NAME"]
        assert found == (f"{database}_app", '"$user", public', "none")

    def test_fails_as_a_whole_when_the_role_is_gone(self, committed: None) -> None:
        nobody = context.ActiveTenant(id=None, schema="tenant_nobody")

        with context.override(nobody), pytest.raises(DatabaseError, match="tenant_nobody"):
            where()

    def test_owner_does_not_see_public_behind_a_tenant(self, elm_is_active: Organization) -> None:
        with connections["ddl"].cursor() as cursor:
            cursor.execute(WHERE)
            schema, role, path = cursor.fetchone()

        assert (schema, path) == (elm_is_active.schema_name, elm_is_active.schema_name)
        assert role.endswith("_ddl")


class TestRoundTrips:
    """Plain Django's for a query, one less for a transaction: each message is a round trip."""

    @pytest.mark.parametrize(
        ("work", "count"),
        [
            (query, 1),
            (lambda: [query() for _ in range(5)], 5),
            (lambda: in_atomic(0), 0),
            (lambda: in_atomic(1), 3 - 1),
            (lambda: in_atomic(5), 7 - 1),
            (in_two_savepoints, 8 - 1),
        ],
        ids=["1 query", "5 queries", "atomic(0)", "atomic(1)", "atomic(5)", "2 savepoints"],
    )
    def test_are_at_most_plain_djangos(
        self, elm_is_active: Organization, work: Callable[[], Any], count: int
    ) -> None:
        with tapped() as tap:
            work()

        assert len(tap.sent) == count, tap.sent

    def test_are_the_same_for_copy_and_many_rows(self, elm_is_active: Organization) -> None:
        """
        Nothing can share a message with these, so BEGIN and the binding go by themselves.
        """
        with (
            tapped() as tap,
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy("COPY (SELECT 1) TO STDOUT") as copy,
        ):
            list(copy)

        words = ("BEGIN", "COPY", "COMMIT")
        assert [
            next(word for word in words if word in message.text) for message in tap.sent
        ] == list(words)

    def test_do_not_show_the_binding_to_django(self, elm_is_active: Organization) -> None:
        with CaptureQueriesContext(connection) as captured:
            query()

        assert len(captured) == 1
        assert "SET LOCAL" not in captured[0]["sql"]


class TestNobodyActive:
    @pytest.mark.parametrize(
        "work",
        [
            query,
            lambda: in_atomic(1),
            where,
            lambda: list(User.objects.iterator()),
            lambda: User.objects.bulk_create([User(username="nobody")]),
            lambda: User.objects.using("ddl").exists(),
        ],
        ids=["autocommit", "atomic", "raw", "iterator", "bulk_create", "using"],
    )
    def test_is_refused_and_nothing_is_sent(
        self, elm_is_active: Organization, work: Callable[[], Any]
    ) -> None:
        with tapped() as tap, context.override(None), pytest.raises(NoActiveTenant):
            work()

        assert tap.sent == []

    def test_opens_no_connection(self, committed: None) -> None:
        wrapper = DatabaseWrapper(connection.settings_dict)

        with context.override(None), pytest.raises(NoActiveTenant):
            wrapper.cursor()

        assert wrapper.connection is None

    def test_is_what_a_bare_thread_finds(self, elm_is_active: Organization) -> None:
        errors: list[BaseException] = []

        def work() -> None:
            try:
                query()
            except NoActiveTenant as error:
                errors.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        assert len(errors) == 1


class TestChangeInTransaction:
    def test_names_whoever_is_active_now(
        self, elm_is_active: Organization, oak: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        And not who had the schema first on this connection, and no slug then.
        """
        monkeypatch.setattr(connections["default"], "_bindings", {})
        with context.override(context.ActiveTenant(None, elm_is_active.schema_name)):
            query()

        with (
            pytest.raises(TenantChangedInTransaction, match=r"works for elm, and oak is active"),
            transaction.atomic(),
        ):
            query()
            with context.override(oak.as_active()):
                query()

    def test_is_refused(self, elm_is_active: Organization, oak: Organization) -> None:
        with (
            pytest.raises(TenantChangedInTransaction, match=r"works for elm, and oak is active"),
            transaction.atomic(),
        ):
            query()
            with context.override(oak.as_active()):
                query()

    def test_is_done_when_it_is_meant(self, elm_is_active: Organization, oak: Organization) -> None:
        with transaction.atomic():
            assert where() == expected(elm_is_active)
            with context.override(oak.as_active(), in_transaction=True):
                assert where() == expected(oak)
            assert where() == expected(elm_is_active)

    def test_may_return_though_the_inner_one_came_first(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with transaction.atomic():
            with context.override(oak.as_active(), in_transaction=True):
                assert where() == expected(oak)
            assert where() == expected(elm_is_active)

    def test_that_was_meant_once_is_not_meant_again(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with pytest.raises(TenantChangedInTransaction), transaction.atomic():
            query()
            with context.override(oak.as_active(), in_transaction=True):
                query()
            query()
            with context.override(oak.as_active()):
                query()

    def test_survives_a_rollback_to_a_savepoint(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        """ROLLBACK TO undoes a binding made after the savepoint; the next statement has its own."""
        with transaction.atomic():
            query()
            with context.override(oak.as_active(), in_transaction=True):
                with pytest.raises(DatabaseError), transaction.atomic():
                    query()
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1/0")
                assert where() == expected(oak)
            assert where() == expected(elm_is_active)

    def test_that_was_rolled_back_does_not_stop_the_commit(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with transaction.atomic():
            query()
            savepoint = transaction.savepoint()
            with context.override(oak.as_active(), in_transaction=True):
                query()
                transaction.savepoint_rollback(savepoint)

        assert where() == expected(elm_is_active)

    def test_survives_a_rollback_by_hand(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with transaction.atomic():
            query()
            savepoint = transaction.savepoint()
            with context.override(oak.as_active(), in_transaction=True):
                assert where() == expected(oak)
                transaction.savepoint_rollback(savepoint)
                assert where() == expected(oak)
            assert where() == expected(elm_is_active)


class TestCommit:
    @pytest.mark.parametrize(
        "statement",
        [
            "SET LOCAL search_path = public",
            "SET LOCAL search_path = nowhere",
            "RESET ROLE",
            "SET SESSION search_path = public",
        ],
    )
    def test_is_refused_when_the_binding_was_changed(
        self, elm_is_active: Organization, statement: str
    ) -> None:
        with pytest.raises(TenantContextChanged, match="elm"), transaction.atomic():
            User.objects.create(username="ghost")
            # Past our cursors, which would refuse it.
            connection.connection.pgconn.exec_(statement.encode())

        assert not User.objects.filter(username="ghost").exists()
        assert where() == expected(elm_is_active)

    def test_is_refused_after_a_swallowed_error(self, elm_is_active: Organization) -> None:
        """COMMIT of a failed transaction is a silent ROLLBACK in PostgreSQL."""
        with pytest.raises(InternalError, match="swallowed"), transaction.atomic():
            driver = connection.connection
            User.objects.create(username="ghost")
            with driver.cursor() as cursor, pytest.raises(psycopg.errors.DivisionByZero):
                cursor.execute("SELECT 1/0")

        assert not User.objects.filter(username="ghost").exists()


class TestEmptyStatement:
    @pytest.mark.parametrize("statement", ["", "-- nothing", ";"])
    def test_is_no_error(self, elm_is_active: Organization, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            assert cursor.description is None
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            assert where() == expected(elm_is_active)


class TestOtherProtocols:
    """What cannot share a message with its binding gets a transaction that is bound."""

    def test_executemany_in_autocommit(self, elm_is_active: Organization) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO django_session (session_key, session_data, expire_date)"
                " VALUES (%s, '', now())",
                [["one"], ["two"]],
            )
            cursor.execute("SELECT count(*) FROM django_session")
            assert cursor.fetchone() == (2,)
            cursor.execute("DELETE FROM django_session")

        assert where() == expected(elm_is_active)

    def test_executemany_in_a_transaction(self, elm_is_active: Organization) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany("SELECT %s", [[1], [2]])
            assert where() == expected(elm_is_active)

    @pytest.mark.parametrize("is_atomic", [False, True])
    def test_copy(self, elm_is_active: Organization, is_atomic: bool) -> None:
        out = io.BytesIO()
        with (
            transaction.atomic() if is_atomic else nullcontext(),
            connection.cursor() as cursor,
            cursor.copy(f"COPY ({WHERE}) TO STDOUT") as copy,
        ):
            for block in copy:
                out.write(block)

        assert out.getvalue().decode().strip() == "\t".join(expected(elm_is_active))

    def test_stream(self, elm_is_active: Organization) -> None:
        with connection.cursor() as cursor:
            assert list(cursor.stream(WHERE)) == [expected(elm_is_active)]

        assert where() == expected(elm_is_active)

    def test_a_stream_that_is_left_early_leaves_no_transaction_open(
        self, elm_is_active: Organization
    ) -> None:
        with connection.cursor() as cursor:
            rows = cursor.stream("SELECT generate_series(1, 1000)")
            next(rows)
            rows.close()

        assert connection.connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_a_named_cursor_lives_in_its_transaction(self, elm_is_active: Organization) -> None:
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute(f"{WHERE}, (SELECT bool_or(is_holdable) FROM pg_cursors)")
            assert cursor.fetchone() == (*expected(elm_is_active), False)

    def test_a_named_cursor_is_refused_outside(self, elm_is_active: Organization) -> None:
        with pytest.raises(NotSupportedError, match="atomic"):
            connection.chunked_cursor()

    def test_a_named_cursor_is_read_like_any_other(self, elm_is_active: Organization) -> None:
        with (
            transaction.atomic(),
            connection.chunked_cursor() as cursor,
            pytest.raises(SessionStateRefused),
        ):
            cursor.execute("SELECT set_config('search_path', 'tenant_oak', false)")

    def test_a_named_cursor_of_the_drivers_own_is_bound_too(
        self, elm_is_active: Organization, oak: Organization
    ) -> None:
        with transaction.atomic():
            assert where() == expected(elm_is_active)
            with connection.connection.cursor("mine") as cursor:
                assert cursor.execute(WHERE).fetchone() == expected(elm_is_active)
            with (
                context.override(oak.as_active()),
                connection.connection.cursor("mine") as cursor,
                pytest.raises(TenantChangedInTransaction),
            ):
                cursor.execute(WHERE)

    def test_a_named_cursor_holds_nothing(self, elm_is_active: Organization) -> None:
        where()
        with pytest.raises(psycopg.NotSupportedError, match="WITH HOLD"):
            connection.connection.cursor("mine", withhold=True)

    def test_iterator_sends_one_plain_query(self, elm_is_active: Organization) -> None:
        with tapped() as tap:
            list(User.objects.iterator())

        (message,) = tap.sent
        assert "DECLARE" not in message.text

    def test_server_side_binding_is_refused_at_start(self) -> None:
        settings = {**connection.settings_dict, "OPTIONS": {"server_side_binding": True}}

        with pytest.raises(ImproperlyConfigured, match="server_side_binding"):
            DatabaseWrapper(settings)


class TestDjangoTenantsVocabulary:
    def test_schema_name_is_the_active_tenants(self, elm_is_active: Organization) -> None:
        assert connection.schema_name == elm_is_active.schema_name
        assert connection.tenant == elm_is_active.as_active()

    def test_schema_name_is_public_on_the_platform(self) -> None:
        with context.override(context.PLATFORM):
            assert connection.schema_name == "public"

    def test_set_tenant_activates(self, elm: Organization, committed: None) -> None:
        with context.override(None):
            connection.set_tenant(elm)
            assert where() == expected(elm)

            connection.set_schema_to_public()
            assert context.get_current() is context.PLATFORM

    def test_with_organization_restores_the_outer_one(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        with elm:
            with oak:
                assert where() == expected(oak)
            assert where() == expected(elm)
