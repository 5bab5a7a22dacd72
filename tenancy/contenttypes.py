"""
Where does Django remember content types, when each schema numbers them for itself?

`ContentType.objects` keeps one dictionary for the whole process. With a schema for each
tenant the same model has another id in each, so a log entry of one clinic would name
another clinic's content type. Clearing it at each switch, as django-tenants does, still
mixes the ids of two threads.
"""

from __future__ import annotations

from typing import Any

from tenancy import context
from tenancy.context import ActiveTenant


class TenantKeyedCache:
    """Stands in for `ContentTypeManager._cache`: {alias: {key: content type}} for each schema."""

    def __init__(self) -> None:
        self._by_owner: dict[str, dict[str, dict[Any, Any]]] = {}

    def _own(self) -> dict[str, dict[Any, Any]]:
        match context.get_current():
            case None:
                # Nothing may be remembered for nobody; the query behind it is refused anyway.
                return {}
            case ActiveTenant(schema=schema):
                owner = schema
            case _:
                owner = ""
        return self._by_owner.setdefault(owner, {})

    def __getitem__(self, using: str) -> dict[Any, Any]:
        return self._own()[using]

    def setdefault(self, using: str, default: dict[Any, Any]) -> dict[Any, Any]:
        return self._own().setdefault(using, default)

    def clear(self) -> None:
        """Forget the active tenant's, or with nobody active everybody's."""
        if context.get_current() is None:
            self._by_owner.clear()
        else:
            self._own().clear()


def key_by_tenant() -> None:
    """Make `ContentType.objects` remember each tenant's content types apart."""
    from django.contrib.contenttypes.models import ContentType

    ContentType.objects._cache = TenantKeyedCache()  # type: ignore[attr-defined]  # Django's own
