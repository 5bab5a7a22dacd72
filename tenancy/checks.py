"""
What would go wrong an hour after deploy, said at start?

Each check has an id, a sentence and a hint that can be typed. Those that ask the server
run with `manage.py check --database default --database ddl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.checks import register as register_check
from django.db import connections, models

from tenancy import context, router, schemas
from tenancy.conf import settings

ENGINE = "tenancy.backend"
MIDDLEWARE = "tenancy.middleware.TenantMiddleware"
ROUTER = "tenancy.router.TenancyRouter"
KEY_FUNCTION = "tenancy.cache.make_key"
MINIMUM_VERSION = (15,)

Messages = list[CheckMessage]

LOGIN = """
    SELECT role.rolsuper, role.rolbypassrls
      FROM pg_catalog.pg_roles AS role
     WHERE role.rolname = session_user
"""
# What the login may do by itself, without SET ROLE: it should be nothing.
SCHEMAS_OPEN_TO_LOGIN = """
    SELECT namespace.nspname
      FROM pg_catalog.pg_namespace AS namespace
     WHERE starts_with(namespace.nspname, %(prefix)s)
       AND has_schema_privilege(session_user, namespace.oid, 'USAGE')
     ORDER BY namespace.nspname
     LIMIT 1
"""


def register() -> None:
    """Tell Django of the checks below."""
    for check in (
        check_settings,
        check_order,
        check_caches,
        check_foreign_keys,
    ):
        register_check(check, "tenancy")
    register_check(check_server, Tags.database)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Messages:
    messages: Messages = []
    for alias, database in django_settings.DATABASES.items():
        if database.get("ENGINE") != ENGINE:
            messages.append(
                Error(
                    f"DATABASES[{alias!r}] does not use the tenancy backend.",
                    hint=f"Set DATABASES[{alias!r}]['ENGINE'] = {ENGINE!r}.",
                    id="tenancy.E001",
                )
            )
    if settings.DDL_DATABASE not in django_settings.DATABASES:
        messages.append(
            Error(
                f"DATABASES has no {settings.DDL_DATABASE!r}, the address that owns the schemas.",
                hint=(
                    f"Add DATABASES[{settings.DDL_DATABASE!r}], which logs in as "
                    "<database>_ddl_login, or name another alias in TENANCY_DDL_DATABASE."
                ),
                id="tenancy.E002",
            )
        )
    if ROUTER not in django_settings.DATABASE_ROUTERS:
        messages.append(
            Error(
                "No router keeps tenants' tables out of the public schema.",
                hint=(f"Set DATABASE_ROUTERS = [{ROUTER!r}] and TENANT_SYNC_ROUTER = {ROUTER!r}."),
                id="tenancy.E003",
            )
        )
    if MIDDLEWARE not in django_settings.MIDDLEWARE:
        messages.append(
            Error(
                "No middleware says for which tenant a request works.",
                hint=f"Put {MIDDLEWARE!r} before any middleware that queries.",
                id="tenancy.E004",
            )
        )
    return messages


def check_order(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Messages:
    installed = [config.name for config in apps.get_app_configs()]
    if "django_tenants" in installed and installed.index("tenancy") > installed.index(
        "django_tenants"
    ):
        return [
            Error(
                "'tenancy' stands after 'django_tenants', whose commands hide ours.",
                hint="Put 'tenancy' before 'django_tenants' in INSTALLED_APPS.",
                id="tenancy.E005",
            )
        ]
    return []


def check_caches(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Messages:
    return [
        Warning(
            f"CACHES[{alias!r}] shares its keys between all tenants.",
            hint=f"Set CACHES[{alias!r}]['KEY_FUNCTION'] = {KEY_FUNCTION!r}.",
            id="tenancy.W001",
        )
        for alias, cache in django_settings.CACHES.items()
        if cache.get("KEY_FUNCTION") != KEY_FUNCTION and not cache["BACKEND"].endswith("DummyCache")
    ]


def check_foreign_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Messages:
    """No tenant table may point at a table that only the public schema has."""
    return [
        Error(
            f"{model._meta.label}.{field.name} points from a tenant's schema at "
            f"{target._meta.label}, which only the public schema has.",
            hint="Keep the other's natural key in a plain column, or move the model's app.",
            obj=model,
            id="tenancy.E006",
        )
        for model in router.list_models(tenants=True)
        for field, target in _foreign_keys(model)
        if router.is_shared(target) and not router.is_tenants(target)
    ]


def _foreign_keys(
    model: type[models.Model],
) -> Iterable[tuple[models.ForeignKey[Any, Any], type[models.Model]]]:
    for field in model._meta.get_fields():
        if isinstance(field, models.ForeignKey):
            yield field, field.related_model


def check_server(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> Messages:
    messages: Messages = []
    for alias in databases or []:
        if django_settings.DATABASES[alias].get("ENGINE") == ENGINE:
            with context.override(context.PLATFORM):
                messages += _check_one_server(alias)
    return messages


def _check_one_server(alias: str) -> Messages:
    connection = connections[alias]
    messages: Messages = []
    with connection.cursor() as cursor:
        version = connection.get_database_version()
        if version < MINIMUM_VERSION:
            messages.append(
                Error(
                    f"DATABASES[{alias!r}] is PostgreSQL {version[0]}.",
                    hint="Use PostgreSQL 15 or newer; 16 is recommended.",
                    id="tenancy.E007",
                )
            )
        cursor.execute(LOGIN)
        is_superuser, bypasses_rls = cursor.fetchone()
        if is_superuser or bypasses_rls:
            messages.append(
                Error(
                    f"DATABASES[{alias!r}] logs in as a role to which privileges do not apply.",
                    hint=(
                        "Log in as <database>_app, which tenancy.roles.bootstrap_sql() makes: it "
                        "is neither SUPERUSER nor BYPASSRLS."
                    ),
                    id="tenancy.E008",
                )
            )
        elif alias != settings.DDL_DATABASE:
            cursor.execute(SCHEMAS_OPEN_TO_LOGIN, {"prefix": settings.SCHEMA_PREFIX})
            for (schema,) in cursor.fetchall():
                messages.append(
                    Error(
                        f"The login of DATABASES[{alias!r}] may use {schema!r} by itself.",
                        hint=(
                            f"REVOKE ALL ON SCHEMA {schema} FROM the login, and ALTER ROLE it "
                            f"NOINHERIT; {schemas.role_for(connection, schema)!r} is who may."
                        ),
                        id="tenancy.E009",
                    )
                )
    return messages
