"""
Through which address is a model reached, and in which schema may its table live?

Only a first hint: raw cursors and `using()` never ask a router. What holds is the
binding of the connection and PostgreSQL's privileges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db.models import Model
from django_tenants.routers import TenantSyncRouter
from django_tenants.utils import (
    get_public_schema_name,
    get_tenant_types,
    has_multi_type_tenants,
)

from tenancy import compat, context, ownership
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target


class TenancyRouter(TenantSyncRouter):  # type: ignore[misc]  # untyped
    """Keeps tenants' tables out of the public schema, and shared ones out of theirs."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """Leave the choice to Django, and refuse what hangs on another tenant's object."""
        if (instance := hints.get("instance")) is not None:
            ownership.check(instance)
        return None

    db_for_write = db_for_read

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        """Relate objects of one tenant, or raise CrossTenantAccess."""
        ownership.check_pair(one, other)
        # Two addresses of one database: an object that the owner's address loaded
        # may meet one that came through the application's.
        return True

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """
        Allow tables only where the active target has them, and only to the owner.

        With nobody active nothing is allowed: a plain `migrate` makes no table anywhere.
        """
        if db != settings.DDL_DATABASE:
            return False
        target = context.get_current()
        if target is None:
            if not compat.is_on("public_by_default"):
                return False
            target = context.PLATFORM
        return bool(self.app_in_list(app_label, list_apps(target)))


def list_apps(target: Target) -> Sequence[str]:
    """Return the applications that have tables in the schema of `target`."""
    is_tenant = isinstance(target, ActiveTenant)
    if has_multi_type_tenants():
        kind = target.type if isinstance(target, ActiveTenant) else get_public_schema_name()
        found: Sequence[str] = get_tenant_types()[kind]["APPS"]
        return found
    named: Sequence[str] = django_settings.TENANT_APPS if is_tenant else django_settings.SHARED_APPS
    return named


def is_shared(model: type[Model]) -> bool:
    """Tell whether the public schema has a table of `model`."""
    shared = list_apps(context.PLATFORM)
    return bool(TenancyRouter().app_in_list(model._meta.app_label, shared))


def is_tenants(model: type[Model]) -> bool:
    """Tell whether each tenant's schema has a table of `model`."""
    return ownership.is_tenants(model._meta.app_label)


def list_writable_tables() -> list[str]:
    """Return the tables of the public schema that every tenant writes: none, unless allowed."""
    if not compat.is_on("shared_tables"):
        return []
    tenants = {django_settings.TENANT_MODEL, django_settings.TENANT_DOMAIN_MODEL}
    return [
        model._meta.db_table
        for model in list_models(shared=True)
        if not is_tenants(model)
        and model._meta.label not in tenants
        and model._meta.app_label != "tenancy"
    ]


def list_models(*, shared: bool = False, tenants: bool = False) -> list[type[Model]]:
    """Return the models with a table in the public schema, in a tenant's, or in both."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and ((shared and is_shared(model)) or (tenants and is_tenants(model)))
    ]
