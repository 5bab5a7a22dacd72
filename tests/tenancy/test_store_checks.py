"""What is said at start of caches and storages, by id."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage
from django.db import models
from django.test.utils import isolate_apps

from tenancy import router
from tenancy.checks import stores
from tenancy.storage import TenantStorage


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


class TestCaches:
    def test_are_in_order_here(self) -> None:
        assert stores.check_caches(None) == []

    @pytest.mark.parametrize("backend", ["locmem.LocMemCache", "db.DatabaseCache"])
    def test_e025_shared_keys(self, settings: Any, backend: str) -> None:
        settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}

        (message,) = stores.check_caches(None)

        assert message.id == "tenancy.E025"
        assert "CACHES['default']['KEY_FUNCTION'] = 'tenancy.cache.make_key'" in str(message.hint)

    @pytest.mark.parametrize("function", ["make_key", "make_shared_key"])
    def test_e025_is_not_said_of_ours(self, settings: Any, function: str) -> None:
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "KEY_FUNCTION": f"tenancy.cache.{function}",
            },
            "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        }

        assert stores.check_caches(None) == []

    @pytest.mark.parametrize(
        "backend", ["django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"]
    )
    def test_e027_emptied_for_all(self, settings: Any, backend: str) -> None:
        settings.CACHES = {
            "default": {"BACKEND": backend, "KEY_FUNCTION": "tenancy.cache.make_key"}
        }

        (message,) = stores.check_caches(None)

        assert message.id == "tenancy.E027"
        assert "CACHES['default']['BACKEND'] = 'tenancy.cache.RedisCache'" in str(message.hint)


class TestStorages:
    def test_are_in_order_here(self) -> None:
        assert [*stores.check_storages(None), *stores.check_file_fields(None)] == []

    def test_e026_files_for_all(self, settings: Any) -> None:
        backend = "django.core.files.storage.FileSystemStorage"
        settings.STORAGES = settings.STORAGES | {
            "letters": {"BACKEND": backend, "OPTIONS": {"location": "secret"}}
        }

        (message,) = stores.check_storages(None)

        assert message.id == "tenancy.E026"
        assert "STORAGES['letters']['BACKEND'] = 'tenancy.storage.TenantStorage'" in str(
            message.hint
        )
        assert f"'backend': '{backend}'" in str(message.hint)
        assert "secret" not in str(message.hint)

    @isolate_apps("apps.patients")
    def test_e028_a_field_with_a_storage_of_its_own(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of the default storage E026 speaks."""
        backend = "django.core.files.storage.FileSystemStorage"
        settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend}}

        class Letter(models.Model):
            shared = models.FileField(storage=FileSystemStorage())
            owned = models.FileField(storage=TenantStorage())
            default = models.FileField()

            class Meta:
                app_label = "patients"

        monkeypatch.setattr(router, "list_models", lambda **kwargs: [Letter])

        (message,) = stores.check_file_fields(None)

        assert message.id == "tenancy.E028"
        assert "patients.Letter.shared" in message.msg


class TestRates:
    def test_are_in_order_here(self) -> None:
        assert stores.check_rates(None) == []

    @pytest.mark.parametrize(
        "rates",
        [
            {"TENANCY_RATES": {"tenant": "many", "client": None}},
            {"TENANCY_TENANT_RATES": {"elm": {"tenant": "10/fortnight"}}},
        ],
    )
    def test_e029_a_rate_that_is_not_understood(self, settings: Any, rates: Any) -> None:
        for name, value in rates.items():
            setattr(settings, name, value)

        (message,) = stores.check_rates(None)

        assert message.id == "tenancy.E029"
        assert "600/minute" in str(message.hint)

    def test_e029_a_rate_that_is_missing(self, settings: Any) -> None:
        settings.TENANCY_RATES = {"tenant": "10/minute"}

        (message,) = stores.check_rates(None)

        assert message.id == "tenancy.E029"
        assert "TENANCY_RATES['client']" in str(message.hint)

    def test_e029_nothing_to_count_in(self, settings: Any) -> None:
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "KEY_FUNCTION": "tenancy.cache.make_key",
            }
        }

        assert ids(stores.check_rates(None)) == ["tenancy.E029"]
        settings.TENANCY_RATES = {}
        settings.MIDDLEWARE = []
        assert stores.check_rates(None) == []
