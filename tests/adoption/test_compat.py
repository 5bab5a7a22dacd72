"""Without a switch an adopted project is held as strictly as ours; with one, it is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import NotSupportedError, connection, connections, transaction
from django_tenants import log
from django_tenants.utils import get_current_tenant, schema_context, tenant_context

from tenancy import compat, context
from tenancy.checks import adoption
from tenancy.errors import NoActiveTenant, SessionStateRefused, TenantChangedInTransaction
from tenancy.models import Organization
from tests.fixtures import servers


def where() -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema(), current_user")
        return tuple(cursor.fetchone())


def bound_to(organization: Organization) -> tuple[str, str]:
    schema = organization.schema_name
    return schema, f"{servers.database_name()}_{schema}"


@pytest.fixture
def switched(settings: Any) -> Iterator[Callable[..., None]]:
    """A function that turns switches on, for connections of the test's own."""

    def switch(*names: str) -> None:
        settings.TENANCY_COMPAT = names
        for alias in ("default", "ddl"):
            connections[alias].close()
            if hasattr(connections._connections, alias):
                del connections[alias]

    yield switch
    switch()


class TestWithoutSwitches:
    def test_nobody_is_refused(self, committed: None) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            where()

    def test_a_transaction_stays_its_tenants(
        self, elm: Organization, oak: Organization, address: str
    ) -> None:
        with tenant_context(elm), transaction.atomic():
            assert where() == bound_to(elm)
            with pytest.raises(TenantChangedInTransaction), tenant_context(oak):
                where()

    def test_nothing_is_asked_of_the_switches_by_a_statement(
        self, elm: Organization, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with tenant_context(elm):
            where()
            monkeypatch.setattr(compat, "is_on", pytest.fail)
            where()
            with transaction.atomic():
                where()


class TestBlocks:
    """django-tenants' own blocks, which keep who was before where all threads see it."""

    @pytest.mark.parametrize("is_named", [True, False])
    def test_leave_nobody_where_nobody_was(
        self, elm: Organization, committed: None, is_named: bool
    ) -> None:
        block = schema_context(elm.schema_name) if is_named else tenant_context(elm)
        with context.override(None):
            with block:
                assert where() == bound_to(elm)
            assert context.get_current() is None

    def test_know_the_row(self, elm: Organization, committed: None) -> None:
        with tenant_context(elm):
            assert get_current_tenant() is elm
            assert connection.tenant is elm
        with schema_context(elm.schema_name):
            assert connection.tenant.schema_name == elm.schema_name

    def test_of_a_schema_know_its_id(self, elm: Organization, committed: None) -> None:
        """
        So that the cache finds what a request put there.
        """
        with schema_context(elm.schema_name):
            assert context.require_tenant().id == elm.pk

    def test_as_decorators_keep_threads_apart(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        """
        A decorator is one object for all threads, and django-tenants' remembers in it.
        """
        inside = Barrier(2, timeout=10)

        @schema_context("public")
        def work() -> None:
            inside.wait()
            inside.wait()

        def work_for(organization: Organization) -> str:
            with organization:
                work()
                return str(connection.schema_name)

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(work_for, [elm, oak])) == [elm.schema_name, oak.schema_name]

    def test_put_back_after_an_error(self, elm: Organization, oak: Organization) -> None:
        with context.override(elm.as_active()):
            with pytest.raises(ZeroDivisionError), tenant_context(oak):
                _ = 1 / 0
            assert connection.schema_name == elm.schema_name


class TestPathWithoutPublic:
    def test_is_bound(self, elm: Organization, committed: None) -> None:
        with context.override(None):
            connection.set_tenant(elm, include_public=False)
            assert connection.search_path_set_schemas == (elm.schema_name,)

            connection.set_tenant(elm)
            assert connection.search_path_set_schemas == (elm.schema_name, "public")


class TestTestCases:
    def test_may_switch_in_the_transaction_that_they_roll_back(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        """
        And nowhere else: a block of the code under test is refused as anywhere.
        """
        outermost: Any = transaction.atomic()
        outermost._from_testcase = True
        with context.override(elm.as_active()), outermost:
            where()
            with tenant_context(oak):
                assert where() == bound_to(oak)
            with (
                transaction.atomic(),
                tenant_context(oak),
                pytest.raises(TenantChangedInTransaction),
            ):
                where()


class TestSwitches:
    def test_public_by_default(self, switched: Callable[..., None], committed: None) -> None:
        switched("public_by_default")

        with context.override(None):
            assert where() == ("public", f"{servers.database_name()}_platform")
            assert connection.tenant is context.PLATFORM

    def test_switch_in_transaction(
        self, switched: Callable[..., None], elm: Organization, oak: Organization, address: str
    ) -> None:
        switched("switch_in_transaction")

        with tenant_context(elm), transaction.atomic():
            where()
            with tenant_context(oak):
                assert where() == bound_to(oak)
            connection.set_schema(elm.schema_name)
            assert where() == bound_to(elm)

    def test_session_state(
        self, switched: Callable[..., None], elm: Organization, committed: None
    ) -> None:
        with tenant_context(elm), connection.cursor() as cursor:
            with pytest.raises(SessionStateRefused):
                cursor.execute("SET application_name = 'shop'")
            with pytest.raises(NotSupportedError):
                connection.create_cursor("held")

        switched("session_state")
        with tenant_context(elm):
            with connection.cursor() as cursor:
                cursor.execute("SET application_name = 'shop'")
            held = connection.create_cursor("held")
            held.execute("SELECT current_schema() FROM generate_series(1, 3)")
            assert held.fetchall() == [(elm.schema_name,)] * 3
            held.close()

    def test_no_roles(
        self, switched: Callable[..., None], elm: Organization, committed: None
    ) -> None:
        switched("no_roles")

        with tenant_context(elm), connections["ddl"].cursor() as cursor:
            cursor.execute("SELECT current_setting('search_path'), current_user = session_user")
            assert cursor.fetchone() == (f"{elm.schema_name}, public", True)

    def test_foreign_keys(
        self, switched: Callable[..., None], elm: Organization, committed: None
    ) -> None:
        """
        The owner sees the public schema too, and what Django asks of tables is the tenant's.
        """
        table = Organization._meta.db_table
        switched("foreign_keys")

        with tenant_context(elm), connections["ddl"].cursor() as cursor, transaction.atomic("ddl"):
            cursor.execute("SELECT current_setting('search_path')")
            assert cursor.fetchone() == (f"{elm.schema_name}, public",)
            tables = connections["ddl"].introspection.table_names(cursor)
            assert "django_migrations" in tables
            assert table not in tables
            cursor.execute("SELECT current_setting('search_path')")
            assert cursor.fetchone() == (f"{elm.schema_name}, public",)


class TestThroughDjangoTenantsEyes:
    def test_a_log_record_is_marked_whoever_is_active(self, elm: Organization) -> None:
        from logging import makeLogRecord

        record: Any = makeLogRecord({})
        with context.override(None):
            assert log.TenantContextFilter().filter(record)
            assert record.schema_name == "public"
        with tenant_context(elm):
            log.TenantContextFilter().filter(record)
            assert record.schema_name == elm.schema_name

    def test_a_template_is_cached_for_a_schema(
        self, committed: None, elm: Organization, oak: Organization
    ) -> None:
        """
        django-tenants' loader keeps one for all who are known by their schema alone.
        """
        from django.template.engine import Engine

        engine = Engine(
            loaders=[
                (
                    "django_tenants.template.loaders.cached.Loader",
                    ["django.template.loaders.app_directories.Loader"],
                )
            ]
        )
        (loader,) = engine.template_loaders
        keys = set()
        for organization in (elm, oak):
            with schema_context(organization.schema_name):
                keys.add(loader.cache_key("page.html"))  # type: ignore[attr-defined]  # cached
        assert len(keys) == 2


class TestChecks:
    def test_are_silent_here(self) -> None:
        assert [message for check in adoption.CHECKS for message in check(None)] == []

    def test_e040_a_switch_that_nobody_knows(self, settings: Any) -> None:
        settings.TENANCY_COMPAT = ["public_by_defualt"]

        (message,) = adoption.check_compat(None)

        assert message.id == "tenancy.E040"
        assert "public_by_default" in str(message.hint)

    @pytest.mark.parametrize("switch", compat.SWITCHES)
    def test_w010_says_what_a_switch_gives_up(self, settings: Any, switch: str) -> None:
        settings.TENANCY_COMPAT = [switch]

        (message,) = adoption.check_compat(None)

        assert message.id == "tenancy.W010"
        assert compat.SWITCHES[switch] in message.msg

    def test_e041_the_applications_address_as_the_owners(self, settings: Any) -> None:
        settings.TENANCY_DDL_DATABASE = "default"

        assert [message.id for message in adoption.check_compat(None)] == ["tenancy.E041"]

    def test_e042_djangos_tenants_own_beside_ours(self, settings: Any) -> None:
        settings.MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware"]
        settings.DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]

        messages = adoption.check_leftovers(None)

        assert [message.id for message in messages] == ["tenancy.E042"] * 2
        assert all("tenancy." in str(message.hint) for message in messages)

    def test_w011_a_setting_without_meaning(self, settings: Any) -> None:
        settings.TENANT_LIMIT_SET_CALLS = True

        (message,) = adoption.check_leftovers(None)

        assert message.id == "tenancy.W011"

    def test_e043_other_names(self, settings: Any) -> None:
        settings.PUBLIC_SCHEMA_NAME = "shared"
        settings.TENANT_DB_ALIAS = "tenants"

        assert [message.id for message in adoption.check_names(None)] == ["tenancy.E043"] * 2

    def test_e044_sessions_in_the_public_schema_alone(self, settings: Any) -> None:
        from tenancy import ownership

        settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
        settings.TENANT_APPS = [app for app in settings.TENANT_APPS if "sessions" not in app]
        ownership.is_tenants.cache_clear()
        try:
            (message,) = adoption.check_shared_tables(None)
            settings.TENANCY_COMPAT = ["shared_tables"]
            assert adoption.check_shared_tables(None) == []
        finally:
            ownership.is_tenants.cache_clear()
        assert message.id == "tenancy.E044"
        assert "django.contrib.sessions" in message.msg
