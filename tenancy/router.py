"""
Through which address is a model reached, and in which schema may its table live?

Only a first hint: raw cursors and `using()` never ask a router. What holds is the
binding of the connection and PostgreSQL's privileges.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db.models import Model
from django_tenants.routers import TenantSyncRouter

from tenancy import context, ownership
from tenancy.conf import settings
from tenancy.context import ActiveTenant


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

        match context.get_current():
            case None:
                return False
            case ActiveTenant():
                installed = django_settings.TENANT_APPS
            case _:
                installed = django_settings.SHARED_APPS
        return bool(self.app_in_list(app_label, installed))


def is_shared(model: type[Model]) -> bool:
    """Tell whether the public schema has a table of `model`."""
    shared = django_settings.SHARED_APPS
    return bool(TenancyRouter().app_in_list(model._meta.app_label, shared))


def is_tenants(model: type[Model]) -> bool:
    """Tell whether each tenant's schema has a table of `model`."""
    return ownership.is_tenants(model._meta.app_label)


def list_models(*, shared: bool = False, tenants: bool = False) -> list[type[Model]]:
    """Return the models with a table in the public schema, in a tenant's, or in both."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed
        and ((shared and is_shared(model)) or (tenants and is_tenants(model)))
    ]
