"""What is said at start of caches and storages, by id."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage

from tenancy.checks import stores


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
