"""
Does what is kept outside the database belong to one tenant each?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.redis import RedisCache as DjangosRedisCache
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.db import models
from django.utils.module_loading import import_string
from django_redis.cache import RedisCache as DjangoRedisCache

from tenancy import limits, router
from tenancy.cache import RedisCache
from tenancy.conf import settings
from tenancy.storage import TenantStorage

KEY_FUNCTIONS = ("tenancy.cache.make_key", "tenancy.cache.make_shared_key")
BACKEND = "tenancy.cache.RedisCache"
MIDDLEWARE = "tenancy.limits.LimitMiddleware"
STORAGE = "tenancy.storage.TenantStorage"


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


def check_storages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"STORAGES[{alias!r}] keeps the files of all tenants in one place.",
            # Not its own options, among which there may be a key.
            hint=(
                f"Set STORAGES[{alias!r}]['BACKEND'] = {STORAGE!r} and ['OPTIONS'] = "
                f"{{'backend': {storage['BACKEND']!r}, 'options': what OPTIONS is now}}."
            ),
            id="tenancy.E026",
        )
        for alias, storage in django_settings.STORAGES.items()
        if alias != STATICFILES_STORAGE_ALIAS
        and not issubclass(import_string(storage["BACKEND"]), (TenantStorage, StaticFilesStorage))
    ]


def check_file_fields(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A field may have a storage of its own, that no setting names."""
    return [
        Error(
            f"{field} keeps the files of all tenants in one place.",
            hint=f"Give it storage={STORAGE}(...), or none: then STORAGES['default'] is used.",
            obj=field,
            id="tenancy.E028",
        )
        for model in router.list_models(tenants=True)
        for field in model._meta.local_fields
        # Of the default storage the setting's own check speaks.
        if isinstance(field, models.FileField)
        and field.storage is not default_storage
        and not isinstance(field.storage, TenantStorage)
    ]


def check_rates(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(message, hint=hint, id="tenancy.E029")
        for message, hint in (*_unclear_rates(), *_missing_rates(), *_uncounted_rates())
    ]


def _unclear_rates() -> Iterator[tuple[str, str]]:
    for rates in (settings.RATES, *settings.TENANT_RATES.values()):
        for name, rate in rates.items():
            try:
                _ = rate and limits.Rate.parse(rate)
            except ImproperlyConfigured as error:
                yield f"The rate {name!r} cannot be counted.", str(error)


def _missing_rates() -> Iterator[tuple[str, str]]:
    if MIDDLEWARE not in django_settings.MIDDLEWARE:
        return
    for name in (limits.TENANT, limits.CLIENT):
        if name not in settings.RATES:
            yield (
                f"LimitMiddleware takes from the rate {name!r}, which TENANCY_RATES does not have.",
                f"Set TENANCY_RATES[{name!r}] = '6000/minute', or None for no limit.",
            )


def _uncounted_rates() -> Iterator[tuple[str, str]]:
    backend = import_string(django_settings.CACHES[DEFAULT_CACHE_ALIAS]["BACKEND"])
    if settings.RATES and not issubclass(backend, RedisCache):
        yield (
            "Rates are counted in Redis, and CACHES['default'] is another cache.",
            f"Set CACHES['default']['BACKEND'] = {BACKEND!r}, or TENANCY_RATES = {{}}.",
        )


CHECKS = (check_caches, check_storages, check_file_fields, check_rates)
