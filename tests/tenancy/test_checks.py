"""What is said at start, by id."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.db import connections, models
from django.test.utils import isolate_apps

from tenancy import checks, context, roles, router
from tenancy.models import Organization
from tests.fixtures import servers


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


class TestSettings:
    def test_are_in_order_here(self) -> None:
        assert checks.check_settings(None) == []
        assert checks.check_order(None) == []
        assert checks.check_caches(None) == []
        assert checks.check_foreign_keys(None) == []

    def test_e001_another_engine(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        default = settings.DATABASES["default"]
        monkeypatch.setitem(default, "ENGINE", "django.db.backends.postgresql")

        (message,) = checks.check_settings(None)

        assert message.id == "tenancy.E001"
        assert "DATABASES['default']['ENGINE'] = 'tenancy.backend'" in str(message.hint)

    def test_e002_no_address_of_the_owner(self, settings: Any) -> None:
        settings.TENANCY_DDL_DATABASE = "owner"

        assert ids(checks.check_settings(None)) == ["tenancy.E002"]

    def test_e003_no_router(self, settings: Any) -> None:
        settings.DATABASE_ROUTERS = []

        assert ids(checks.check_settings(None)) == ["tenancy.E003"]

    def test_e004_no_middleware(self, settings: Any) -> None:
        settings.MIDDLEWARE = []

        assert ids(checks.check_settings(None)) == ["tenancy.E004"]

    def test_e005_after_django_tenants(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configs = list(reversed(list(checks.apps.get_app_configs())))
        monkeypatch.setattr(checks.apps, "get_app_configs", lambda: configs)

        assert ids(checks.check_order(None)) == ["tenancy.E005"]

    def test_w001_a_cache_with_shared_keys(self, settings: Any) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

        assert ids(checks.check_caches(None)) == ["tenancy.W001"]

    @isolate_apps("apps.patients")
    def test_e006_a_foreign_key_out_of_the_schema(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Membership(models.Model):
            organization = models.ForeignKey(Organization, on_delete=models.CASCADE)

            class Meta:
                app_label = "patients"

        monkeypatch.setattr(router, "list_models", lambda **kwargs: [Membership])

        (message,) = checks.check_foreign_keys(None)

        assert message.id == "tenancy.E006"
        assert "Membership.organization" in message.msg


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
        assert checks.check_server(None, databases=["default", "ddl"]) == []

    def test_asks_nothing_unless_told(self) -> None:
        assert checks.check_server(None) == []

    def test_e007_an_old_server(self, committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "MINIMUM_VERSION", (99,))

        assert ids(checks.check_server(None, databases=["default"])) == ["tenancy.E007"]

    def test_e008_a_login_without_limits(self, as_superuser: None) -> None:
        assert ids(checks.check_server(None, databases=["default"])) == ["tenancy.E008"]

    def test_e009_a_login_with_rights_of_its_own(self, elm: Organization, committed: None) -> None:
        owner = connections["ddl"]
        app = roles.name(owner.settings_dict["NAME"], "app")
        with context.override(context.PLATFORM), owner.cursor() as cursor:
            cursor.execute(f"GRANT USAGE ON SCHEMA tenant_elm TO {app}")
        try:
            (message,) = checks.check_server(None, databases=["default"])
        finally:
            with context.override(context.PLATFORM), owner.cursor() as cursor:
                cursor.execute(f"REVOKE USAGE ON SCHEMA tenant_elm FROM {app}")

        assert message.id == "tenancy.E009"
        assert "tenant_elm" in message.msg
