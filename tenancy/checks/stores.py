"""
Does what is kept outside the database belong to one tenant each?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.redis import RedisCache as DjangosRedisCache
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string
from django_redis.cache import RedisCache as DjangoRedisCache

from tenancy.cache import RedisCache

KEY_FUNCTIONS = ("tenancy.cache.make_key", "tenancy.cache.make_shared_key")
BACKEND = "tenancy.cache.RedisCache"


def check_caches(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for alias, cache in django_settings.CACHES.items():
        backend = import_string(cache["BACKEND"])
        if issubclass(backend, (DummyCache, RedisCache)):
            continue
        if issubclass(backend, (DjangosRedisCache, DjangoRedisCache)):
            messages.append(
                Error(
                    f"CACHES[{alias!r}].clear() would empty the cache of every tenant.",
                    hint=f"Set CACHES[{alias!r}]['BACKEND'] = {BACKEND!r}.",
                    id="tenancy.E027",
                )
            )
        if cache.get("KEY_FUNCTION") not in KEY_FUNCTIONS:
            messages.append(
                Error(
                    f"CACHES[{alias!r}] shares its keys between all tenants.",
                    hint=(
                        f"Set CACHES[{alias!r}]['KEY_FUNCTION'] = {KEY_FUNCTIONS[0]!r}, or "
                        f"{KEY_FUNCTIONS[1]!r} for what is everybody's on purpose."
                    ),
                    id="tenancy.E025",
                )
            )
    return messages


CHECKS = (check_caches,)
