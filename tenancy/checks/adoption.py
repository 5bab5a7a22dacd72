"""
What is left over from stock django-tenants, or kept of it on purpose?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DEFAULT_DB_ALIAS
from django_tenants.utils import get_public_schema_name, get_tenant_database_alias

from tenancy import compat, context, ownership, router
from tenancy.conf import settings
from tenancy.names import PUBLIC_SCHEMA

MIDDLEWARE = "tenancy.middleware.TenantMiddleware"
ROUTER = "tenancy.router.TenancyRouter"
STOCK_ROUTER = "django_tenants.routers.TenantSyncRouter"

# Middleware that writes at every request, and the application that has the tables.
WRITERS = {
    "django.contrib.sessions.middleware.SessionMiddleware": "django.contrib.sessions",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "django.contrib.auth",
}

# What a project may have set, and what it types now.
WITHOUT_MEANING = {
    "TENANT_LIMIT_SET_CALLS": "Remove it: the path travels with each statement and costs nothing.",
    "EXTRA_SET_TENANT_METHOD_PATH": (
        "Only connection.set_tenant() still calls it, and neither a request nor a context does: "
        "do in a middleware of your own, after ours, what it did."
    ),
    "DEFAULT_NOT_FOUND_TENANT_VIEW": "Remove it: an unknown host is Django's 404, handler404.",
    "SHOW_PUBLIC_IF_NO_TENANT_FOUND": (
        "Remove it: an unknown host is a 404, as anybody can make one up."
    ),
    "TENANT_SUBFOLDER_PREFIX": (
        "Set TENANCY_PATH_PREFIX to the same, and add 'tenancy.resolvers.path_prefix' to "
        "TENANCY_RESOLVERS."
    ),
    "GET_EXECUTOR_FUNCTION": "Remove it: migrate_schemas has its own order of work.",
    "TENANT_MIGRATION_ORDER": "Remove it: migrate_schemas has its own order of work.",
}


def check_compat(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = [
        Error(
            f"TENANCY_COMPAT names {name!r}, and there is no such switch.",
            hint=f"There are: {', '.join(compat.SWITCHES)}.",
            id="tenancy.E040",
        )
        for name in compat.list_unknown()
    ]
    messages += [
        Warning(
            f"TENANCY_COMPAT has {switch!r}: {compat.SWITCHES[switch]}.",
            hint=f"Remove {switch!r} from TENANCY_COMPAT as soon as the project can.",
            id="tenancy.W010",
        )
        for switch in compat.list_on()
    ]
    if settings.DDL_DATABASE == DEFAULT_DB_ALIAS and not compat.is_on("no_roles"):
        messages.append(
            Error(
                f"TENANCY_DDL_DATABASE is {DEFAULT_DB_ALIAS!r}: the application would work as the "
                "owner of every tenant's tables.",
                hint=(
                    "Set DATABASES['ddl'], which logs in as <database>_ddl_login, and remove "
                    "TENANCY_DDL_DATABASE."
                ),
                id="tenancy.E041",
            )
        )
    return messages


def check_leftovers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = [
        Error(
            f"MIDDLEWARE has {path!r}, which leaves its tenant active when the request is over.",
            hint=f"Replace it with {MIDDLEWARE!r}.",
            id="tenancy.E042",
        )
        for path in django_settings.MIDDLEWARE
        if path.startswith("django_tenants.middleware.")
    ]
    sync_router = getattr(django_settings, "TENANT_SYNC_ROUTER", STOCK_ROUTER)
    if STOCK_ROUTER in (*django_settings.DATABASE_ROUTERS, sync_router):
        messages.append(
            Error(
                f"DATABASE_ROUTERS or TENANT_SYNC_ROUTER is {STOCK_ROUTER!r}.",
                hint=f"Set TENANT_SYNC_ROUTER = {ROUTER!r} and DATABASE_ROUTERS = [{ROUTER!r}].",
                id="tenancy.E042",
            )
        )
    messages += [
        Warning(f"{name} no longer means anything.", hint=remedy, id="tenancy.W011")
        for name, remedy in WITHOUT_MEANING.items()
        if getattr(django_settings, name, None)
    ]
    return messages


def check_names(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if get_public_schema_name() != PUBLIC_SCHEMA:
        messages.append(
            Error(
                f"PUBLIC_SCHEMA_NAME is {get_public_schema_name()!r}, and only "
                f"{PUBLIC_SCHEMA!r} has roles.",
                hint=(
                    f"ALTER SCHEMA {get_public_schema_name()} RENAME TO {PUBLIC_SCHEMA}, rename it "
                    "in the tenant's row, and remove PUBLIC_SCHEMA_NAME."
                ),
                id="tenancy.E043",
            )
        )
    if get_tenant_database_alias() != DEFAULT_DB_ALIAS:
        messages.append(
            Error(
                f"TENANT_DB_ALIAS is {get_tenant_database_alias()!r}; tenants are at "
                f"{DEFAULT_DB_ALIAS!r}.",
                hint=f"Call that address {DEFAULT_DB_ALIAS!r}, and remove TENANT_DB_ALIAS.",
                id="tenancy.E043",
            )
        )
    return messages


def check_shared_tables(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Requests of a tenant write sessions and sign-ins, and its role reaches its schema alone."""
    if compat.is_on("shared_tables") or compat.is_on("no_roles"):
        return []
    return [
        Error(
            f"{app!r} has tables in the public schema alone, and {middleware.rpartition('.')[2]} "
            "uses them at tenants' requests, whose roles may not.",
            hint=(
                f"Put {app!r} into TENANT_APPS as well, and type manage.py migrate_schemas. Until "
                "then: TENANCY_COMPAT = ['shared_tables']."
            ),
            id="tenancy.E044",
        )
        for middleware, app in _writers()
    ]


def _writers() -> Iterator[tuple[str, str]]:
    labels = {app: app.rpartition(".")[2] for app in WRITERS.values()}
    shared = router.list_apps(context.PLATFORM)
    for middleware, app in WRITERS.items():
        uses_rows = app != "django.contrib.sessions" or _keeps_sessions_in_rows()
        is_shared = any(each.startswith(app) for each in shared)
        is_asked = middleware in django_settings.MIDDLEWARE and uses_rows
        if is_asked and is_shared and not ownership.is_tenants(labels[app]):
            yield middleware, app


def _keeps_sessions_in_rows() -> bool:
    return django_settings.SESSION_ENGINE.endswith((".db", ".cached_db"))


CHECKS = (check_compat, check_leftovers, check_names, check_shared_tables)
