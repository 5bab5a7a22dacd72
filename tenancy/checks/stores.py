"""
Does what is kept outside the database belong to one tenant each?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.redis import RedisCache as DjangosRedisCache
from django.core.checks import CheckMessage, Error
from django.core.files.storage import default_storage
from django.db import models
from django.utils.module_loading import import_string
from django_redis.cache import RedisCache as DjangoRedisCache

from tenancy import router
from tenancy.cache import RedisCache
from tenancy.storage import TenantStorage

KEY_FUNCTIONS = ("tenancy.cache.make_key", "tenancy.cache.make_shared_key")
BACKEND = "tenancy.cache.RedisCache"
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


CHECKS = (check_caches, check_storages, check_file_fields)
