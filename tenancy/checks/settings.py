"""
What is wrong before anything is asked of a server?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.db import models

from tenancy import compat, router
from tenancy.conf import settings

ENGINE = "tenancy.backend"
MIDDLEWARE = "tenancy.middleware.TenantMiddleware"
ROUTER = "tenancy.router.TenancyRouter"
RESOLVER_SETTINGS = {
    "tenancy.resolvers.path_prefix": "PATH_PREFIX",
    "tenancy.resolvers.header": "TRUSTED_PROXIES",
    "tenancy.resolvers.token": "TOKEN_VERIFIER",
}
POOLER_MODES = ("transaction", "session", "none")

# RFC 6761 keeps .localhost and .test from ever being somebody's.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1", "test")


def is_ours(database: dict[str, Any]) -> bool:
    """Tell whether a connection of our backend can be made for this entry of DATABASES."""
    return database.get("ENGINE") == ENGINE and not _binds_at_server(database)


def check_databases(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for alias, database in django_settings.DATABASES.items():
        if database.get("ENGINE") != ENGINE:
            messages.append(
                Error(
                    f"DATABASES[{alias!r}] does not use the tenancy backend.",
                    hint=f"Set DATABASES[{alias!r}]['ENGINE'] = {ENGINE!r}.",
                    id="tenancy.E001",
                )
            )
        # Of the settings and not of a connection: ours refuses to be made with it.
        if _binds_at_server(database):
            messages.append(
                Error(
                    f"DATABASES[{alias!r}] binds parameters at the server, where a statement "
                    "cannot share a message with its tenant.",
                    hint=f"del DATABASES[{alias!r}]['OPTIONS']['server_side_binding']",
                    id="tenancy.E010",
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
    return messages


def _binds_at_server(database: dict[str, Any]) -> bool:
    return bool(database.get("OPTIONS", {}).get("server_side_binding"))


def check_pooler_modes(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    return [
        Error(
            f"TENANCY_POOLER_MODES[{alias!r}] is {mode!r}.",
            hint=(
                f"Set TENANCY_POOLER_MODES[{alias!r}] to one of {', '.join(POOLER_MODES)}, "
                "or remove it: then nothing is demanded."
            ),
            id="tenancy.E011",
        )
        for alias, mode in settings.POOLER_MODES.items()
        if mode not in POOLER_MODES
    ]


def check_requests(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
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


def check_order(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
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


def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A page of DEBUG shows settings and the rows that were at hand to whoever asks."""
    if not django_settings.DEBUG:
        return []
    # "*" names no host: whose a host is, is for the middleware to say.
    named = [host for host in django_settings.ALLOWED_HOSTS if host != "*"]
    return [
        Error(
            f"DEBUG is on, and {host!r} is not a local host.",
            hint="Set DEBUG = False, or serve localhost only.",
            id="tenancy.E018",
        )
        for host in [settings.BASE_DOMAIN, *named]
        if not _is_local(host)
    ]


def _is_local(host: str) -> bool:
    name = host.strip(".[]").lower()
    return name in LOCAL_HOSTS or name.endswith((".localhost", ".test"))


def check_foreign_keys(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """No tenant table may point at a table that only the public schema has."""
    if compat.is_on("foreign_keys"):
        return []
    return [
        Error(
            f"{model._meta.label}.{field.name} points from a tenant's schema at "
            f"{target._meta.label}, which only the public schema has.",
            hint=(
                "Keep the other's natural key in a plain column, or put the other's app into "
                "TENANT_APPS too. Until then: TENANCY_COMPAT = ['foreign_keys']."
            ),
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


def check_resolvers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for proxy in settings.TRUSTED_PROXIES:
        try:
            ip_network(proxy)
        except ValueError as error:
            messages.append(
                Error(
                    f"TENANCY_TRUSTED_PROXIES names {proxy!r}: {error}.",
                    hint="Name addresses or networks, for example '10.0.3.0/24'.",
                    id="tenancy.E035",
                )
            )
    for resolver, setting in RESOLVER_SETTINGS.items():
        is_asked, is_set = resolver in settings.RESOLVERS, bool(getattr(settings, setting))
        if is_asked != is_set:
            messages.append(
                Error(
                    f"TENANCY_RESOLVERS {'has' if is_asked else 'has not'} {resolver!r}, and "
                    f"TENANCY_{setting} is {'set' if is_set else 'not set'}.",
                    hint="Set both, or neither: without the other each of them does nothing.",
                    id="tenancy.E036",
                )
            )
    return messages


CHECKS = (
    check_databases,
    check_pooler_modes,
    check_requests,
    check_resolvers,
    check_order,
    check_debug,
    check_foreign_keys,
)
