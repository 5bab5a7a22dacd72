"""
Whom does work on the fleet reach?
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q
from django_tenants.utils import get_public_schema_name, get_tenant_model

from tenancy import context, tenants
from tenancy.context import Target
from tenancy.models import STATES_UNAVAILABLE


def select(
    *,
    only: Collection[str] = (),
    exclude: Collection[str] = (),
    states: Collection[str] = (),
    with_public: bool = False,
) -> list[Target]:
    """
    Return the tenants whose schema is there and whole, suspended ones too, in order.

    `only` and `exclude` name some by slug or schema, `states` by where they are on their way.
    `with_public` puts the platform first where TENANT_MODEL has a row of the public schema,
    as django-tenants' commands work for that one too. Raise TenantNotFound for a name that
    nobody has.
    """
    with context.override(context.PLATFORM, in_transaction=True):
        for name in (*only, *exclude):
            _require(name)
        rows = tenants.having_schema().order_by(_field())
        if only:
            rows = rows.filter(_is_called(only))
        if exclude:
            rows = rows.exclude(_is_called(exclude))
        if states and tenants.has_state():
            rows = rows.filter(state__in=states)
        found = [tenants.as_active(row) for row in rows.iterator()]
        if with_public and _takes_public(only, exclude):
            found.insert(0, context.PLATFORM)
    return found


def list_closed(targets: Collection[Target]) -> list[str]:
    """Return those of `targets` that are not served now, each with its state."""
    if not tenants.has_state():
        return []
    schemas = [target.schema_name for target in targets]
    with context.override(context.PLATFORM, in_transaction=True):
        rows = tenants.having_schema().filter(schema_name__in=schemas, state__in=STATES_UNAVAILABLE)
        return [f"{tenants.as_active(row)} ({row.state})" for row in rows.order_by(_field())]


def _require(name: str) -> None:
    if name != get_public_schema_name():
        tenants.get_by_name(name)


def _takes_public(only: Collection[str], exclude: Collection[str]) -> bool:
    public = get_public_schema_name()
    if public in exclude or (only and public not in only):
        return False
    rows = get_tenant_model()._default_manager.filter(schema_name=public)
    return bool(rows.exists())


def _field() -> str:
    return "slug" if tenants.has_slug() else "schema_name"


def _is_called(names: Collection[str]) -> Q:
    is_called = Q(schema_name__in=names)
    return is_called | Q(slug__in=names) if tenants.has_slug() else is_called
