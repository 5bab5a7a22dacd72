"""What is said at start, by id."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.checks import CheckMessage
from django.db import connection, connections, models
from django.test.utils import isolate_apps

from tenancy import checks, context, roles, router
from tenancy.checks import (
    adoption,
    audit,
    capacity,
    in_flight,
    metrics,
    migrations,
    poolers,
    provisioning,
    server,
    sessions,
    stores,
    tasks,
    templates,
)
from tenancy.checks import settings as before_servers
from tenancy.checks.migrations import rules
from tenancy.models import Organization
from tests.fixtures import servers

BOTH = ["default", "ddl"]
SOURCES = (
    *(before_servers, sessions, stores, templates, tasks, adoption),
    *(migrations, rules, server, audit, poolers, provisioning),
    *(capacity, in_flight, metrics),
)


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def ask_servers(*args: Any, **kwargs: Any) -> list[CheckMessage]:
    """What is said, but for what is said of every PostgreSQL 15: see test_audit_checks.py."""
    found = checks.check_servers(*args, **kwargs)
    return [message for message in found if message.id != "tenancy.W068"]


@contextmanager
def executed(statement: str, *, undone_by: str) -> Iterator[None]:
    """As the owner, who has committed it while the block runs."""
    owner = connections["ddl"]
    with context.override(context.PLATFORM), owner.cursor() as cursor:
        cursor.execute(statement)
    try:
        yield
    finally:
        with context.override(context.PLATFORM), owner.cursor() as cursor:
            cursor.execute(undone_by)


class TestIds:
    def test_are_listed_where_the_reader_begins(self) -> None:
        said = "".join(map(inspect.getsource, SOURCES))
        pattern = r"tenancy\.[EW]\d{3}"

        assert set(re.findall(pattern, said)) == set(re.findall(pattern, checks.__doc__ or ""))


class TestSettings:
    def test_are_in_order_here(self) -> None:
        assert [message for check in before_servers.CHECKS for message in check(None)] == []

    def test_e001_another_engine(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        default = settings.DATABASES["default"]
        monkeypatch.setitem(default, "ENGINE", "django.db.backends.postgresql")

        (message,) = before_servers.check_databases(None)

        assert message.id == "tenancy.E001"
        assert "DATABASES['default']['ENGINE'] = 'tenancy.backend'" in str(message.hint)

    def test_e002_no_address_of_the_owner(self, settings: Any) -> None:
        settings.TENANCY_DDL_DATABASE = "owner"

        assert ids(before_servers.check_databases(None)) == ["tenancy.E002"]

    def test_e003_no_router(self, settings: Any) -> None:
        settings.DATABASE_ROUTERS = []

        assert ids(before_servers.check_requests(None)) == ["tenancy.E003"]

    def test_e004_no_middleware(self, settings: Any) -> None:
        settings.MIDDLEWARE = []

        assert ids(before_servers.check_requests(None)) == ["tenancy.E004"]

    def test_e005_after_django_tenants(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configs = list(reversed(list(before_servers.apps.get_app_configs())))
        monkeypatch.setattr(before_servers.apps, "get_app_configs", lambda: configs)

        assert ids(before_servers.check_order(None)) == ["tenancy.E005"]

    @isolate_apps("apps.patients")
    def test_e006_a_foreign_key_out_of_the_schema(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Membership(models.Model):
            organization = models.ForeignKey(Organization, on_delete=models.CASCADE)

            class Meta:
                app_label = "patients"

        monkeypatch.setattr(router, "list_models", lambda **kwargs: [Membership])

        (message,) = before_servers.check_foreign_keys(None)

        assert message.id == "tenancy.E006"
        assert "Membership.organization" in message.msg

    def test_e010_server_side_binding(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, committed: None
    ) -> None:
        """It is said without a connection, which would refuse to be made."""
        monkeypatch.setitem(settings.DATABASES["default"]["OPTIONS"], "server_side_binding", True)

        (message,) = before_servers.check_databases(None)
        messages_of_servers = ask_servers(None, databases=["default"])

        assert message.id == "tenancy.E010"
        assert "del DATABASES['default']['OPTIONS']['server_side_binding']" in str(message.hint)
        assert messages_of_servers == []

    def test_e011_a_mode_that_no_pooler_has(self, settings: Any) -> None:
        settings.TENANCY_POOLER_MODES = {"default": "transactions", "ddl": "none"}

        (message,) = before_servers.check_pooler_modes(None)

        assert message.id == "tenancy.E011"
        assert "'transactions'" in message.msg
        assert "transaction, session, none" in str(message.hint)

    @pytest.mark.parametrize("host", ["clinicx.com", ".clinicx.com", "10.0.0.8", "mylocalhost"])
    def test_e018_debug_at_an_allowed_host(self, settings: Any, host: str) -> None:
        settings.DEBUG = True
        settings.ALLOWED_HOSTS = ["*", "localhost", host]

        (message,) = before_servers.check_debug(None)

        assert message.id == "tenancy.E018"
        assert repr(host) in message.msg

    def test_e018_debug_at_the_base_domain(self, settings: Any) -> None:
        settings.DEBUG = True
        settings.ALLOWED_HOSTS = ["*"]
        settings.TENANCY_BASE_DOMAIN = "clinicx.com"

        assert ids(before_servers.check_debug(None)) == ["tenancy.E018"]

    def test_e018_is_not_said_of_a_laptop(self, settings: Any) -> None:
        settings.DEBUG = True
        settings.ALLOWED_HOSTS = [
            *("*", "localhost", ".localhost", "elm.localhost"),
            *("127.0.0.1", "[::1]", "clinicx.test", "LOCALHOST"),
        ]

        assert before_servers.check_debug(None) == []

    def test_e018_is_not_said_without_debug(self, settings: Any) -> None:
        settings.TENANCY_BASE_DOMAIN = "clinicx.com"

        assert before_servers.check_debug(None) == []


class TestServer:
    @pytest.fixture
    def as_superuser(self, committed: None, monkeypatch: pytest.MonkeyPatch) -> Any:
        """The application's address logs in as the superuser."""
        connection = connections["default"]
        url = servers.urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
        monkeypatch.setitem(connection.settings_dict, "USER", url.username)
        monkeypatch.setitem(connection.settings_dict, "PASSWORD", url.password)
        connection.close()
        yield
        connection.close()

    def test_is_in_order_here(self, elm: Organization, committed: None) -> None:
        assert ask_servers(None, databases=BOTH) == []

    def test_asks_nothing_unless_told(self) -> None:
        assert ask_servers(None) == []

    def test_e007_an_old_server(self, committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "MINIMUM_VERSION", (99,))

        assert ids(ask_servers(None, databases=["default"])) == ["tenancy.E007"]

    def test_e008_a_login_without_limits(self, as_superuser: None) -> None:
        # Nor has it the timeouts that the application's has, which is E080's.
        found = set(ids(ask_servers(None, databases=["default"])))
        assert found == {"tenancy.E008", "tenancy.E080"}

    def test_e009_a_login_with_rights_of_its_own(self, elm: Organization, committed: None) -> None:
        app = roles.name(connections["ddl"].settings_dict["NAME"], "app")

        with executed(
            f"GRANT USAGE ON SCHEMA tenant_elm TO {app}",
            undone_by=f"REVOKE USAGE ON SCHEMA tenant_elm FROM {app}",
        ):
            (message,) = ask_servers(None, databases=["default"])

        assert message.id == "tenancy.E009"
        assert "tenant_elm" in message.msg

    @pytest.mark.parametrize("name", roles.APP_TIMEOUTS)
    def test_e080_a_login_that_may_wait_for_ever(
        self, elm: Organization, committed: None, name: str
    ) -> None:
        app = roles.name(connections["ddl"].settings_dict["NAME"], "app")

        # From PostgreSQL 16 on the owner may not change the application's login.
        with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as superuser:
            superuser.execute(f"ALTER ROLE {app} SET {name} TO 0")
            try:
                connection.close()
                (message,) = ask_servers(None, databases=["default"])
            finally:
                superuser.execute(f"ALTER ROLE {app} SET {name} TO '{roles.APP_TIMEOUTS[name]}'")
        connection.close()

        assert message.id == "tenancy.E080"
        assert message.hint is not None
        assert f"SET {name} TO '{roles.APP_TIMEOUTS[name]}'" in message.hint


class TestFunctions:
    """What stands in a function of Elm's, and how it is set."""

    @pytest.fixture
    def messages_about(
        self, elm: Organization, oak: Organization, committed: None
    ) -> Callable[..., list[CheckMessage]]:
        """A function that returns what is said while Elm has a function with this body."""

        def messages_about(body: str, attributes: str = "") -> list[CheckMessage]:
            with executed(
                "CREATE FUNCTION tenant_elm.probe(a integer) RETURNS void LANGUAGE plpgsql "
                f"{attributes} AS $probe$ {body} $probe$",
                undone_by="DROP FUNCTION tenant_elm.probe(integer)",
            ):
                return ask_servers(None, databases=BOTH)

        return messages_about

    @pytest.mark.parametrize(
        ("body", "schema"),
        [
            ("BEGIN PERFORM FROM tenant_elm.patients_patient; END", "tenant_elm"),
            ("BEGIN PERFORM FROM Tenant_Oak . patients_patient; END", "tenant_oak"),
            ('BEGIN PERFORM FROM "tenant_oak"."patients_patient"; END', "tenant_oak"),
            ("BEGIN PERFORM set_config('search_path', 'tenant_oak', true); END", "tenant_oak"),
            ("BEGIN PERFORM FROM public.tenancy_organization; END", "public"),
            ("""BEGIN PERFORM FROM "public"."tenancy_organization"; END""", "public"),
            ("BEGIN EXECUTE format('SELECT FROM public.%I', 'x'); END", "public"),
        ],
    )
    def test_e016_names_a_schema(
        self, messages_about: Callable[..., list[CheckMessage]], body: str, schema: str
    ) -> None:
        (message,) = messages_about(body)

        assert message.id == "tenancy.E016"
        assert f"tenant_elm.probe(a integer) names the schema {schema!r}" in message.msg

    def test_e016_names_a_schema_in_its_path(
        self, messages_about: Callable[..., list[CheckMessage]]
    ) -> None:
        (message,) = messages_about("BEGIN END", "SET search_path = tenant_elm, pg_temp")

        assert message.id == "tenancy.E016"

    @pytest.mark.parametrize(
        "body",
        [
            "DECLARE tenant_id int; BEGIN PERFORM FROM patients_patient; END",
            "BEGIN PERFORM FROM patients_of_tenant_elm; END",
            "BEGIN EXECUTE format('SELECT FROM %I.patients_patient', 'x'); END",
            "-- A republic.an knows what is public. Here it is not.\nBEGIN END",
        ],
    )
    def test_e016_is_not_said_of_a_function_that_names_none(
        self, messages_about: Callable[..., list[CheckMessage]], body: str
    ) -> None:
        assert messages_about(body) == []

    def test_e016_shows_a_few_of_many(self, elm: Organization, committed: None) -> None:
        names = [f"tenant_elm.probe_{number}()" for number in range(server.FUNCTIONS_SHOWN + 1)]
        body = "RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.tenancy_domain'"

        with executed(
            ";".join(f"CREATE FUNCTION {name} {body}" for name in names),
            undone_by=f"DROP FUNCTION {', '.join(names)}",
        ):
            messages = ask_servers(None, databases=["ddl"])

        assert ids(messages) == ["tenancy.E016"] * server.FUNCTIONS_SHOWN

    def test_e017_works_with_its_owners_rights_in_the_callers_path(
        self, messages_about: Callable[..., list[CheckMessage]]
    ) -> None:
        (message,) = messages_about("BEGIN END", "SECURITY DEFINER SET work_mem = '8MB'")

        assert message.id == "tenancy.E017"
        assert message.hint == (
            "ALTER FUNCTION tenant_elm.probe(a integer) SET search_path = pg_catalog, pg_temp;"
        )

    def test_e017_hint_can_be_typed(self, committed: None, elm: Organization) -> None:
        with executed(
            'CREATE PROCEDURE public."Pro be"(a numeric(9, 2), OUT b text) '
            "LANGUAGE sql SECURITY DEFINER AS 'SELECT NULL::text'",
            undone_by='DROP PROCEDURE public."Pro be"(numeric)',
        ):
            (before,) = ask_servers(None, databases=["ddl"])
            with context.override(context.PLATFORM), connections["ddl"].cursor() as cursor:
                cursor.execute(str(before.hint))
            after = ask_servers(None, databases=["ddl"])

        assert before.id == "tenancy.E017"
        assert after == []
