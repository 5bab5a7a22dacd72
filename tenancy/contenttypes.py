"""
Where does Django remember content types, when each schema numbers them for itself?

`ContentType.objects` keeps them in one dictionary for the whole process. With a schema for
each tenant the same model has another id in each, so a log entry, a permission or a
generic foreign key of one clinic would name what another clinic's id means.
"""

from __future__ import annotations

from typing import Any

from tenancy.process_cache import PerTenantDict


class _CachePerTenant:
    """
    Stands in for `ContentTypeManager._cache`: {alias: {key: content type}} for each tenant.

    On the class, as a proxy model, `db_manager()` and each state of the migrations have
    managers of their own.
    """

    def __get__(self, manager: Any, owner: type | None = None) -> PerTenantDict:
        cache = manager.__dict__.get("_cache")
        if not isinstance(cache, PerTenantDict):
            cache = manager.__dict__["_cache"] = PerTenantDict()
        return cache

    def __set__(self, manager: Any, value: object) -> None:
        manager.__dict__["_cache"] = PerTenantDict()


def key_by_tenant() -> None:
    """Make every manager of content types remember each tenant's apart."""
    from django.contrib.contenttypes.models import ContentTypeManager

    ContentTypeManager._cache = _CachePerTenant()  # type: ignore[attr-defined]  # Django's own
