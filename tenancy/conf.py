"""
Which settings does tenancy read, and what are they when a project says nothing?

Each name below is read from Django's settings as `TENANCY_<NAME>`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings


class Settings:
    BASE_DOMAIN: str = "localhost"
    SCHEMA_PREFIX: str = "tenant_"
    DDL_DATABASE: str = "ddl"
    ROLE_PREFIX: str | None = None
    RESERVED_SLUGS: tuple[str, ...] = ()
    RESOLVERS: tuple[str, ...] = (
        "tenancy.resolvers.subdomain",
        "tenancy.resolvers.custom_domain",
    )
    PATH_PREFIX: str = ""
    TRUSTED_PROXIES: tuple[str, ...] = ()
    TOKEN_VERIFIER: str = ""
    TOKEN_CLAIM: str = "organization"  # noqa: S105  # the name of a claim
    REFUSAL_VIEW: str = "tenancy.views.refuse"
    RESOLVER_TTL: timedelta = timedelta(seconds=60)
    RESOLVER_MEMORY: timedelta = timedelta(seconds=30)
    CACHE_PREFIX: str = "tenancy"
    RATES: Mapping[str, str | None] = {}
    TENANT_RATES: Mapping[str, Mapping[str, str | None]] = {}
    IN_FLIGHT: Mapping[str, int | None] = {}
    TENANT_IN_FLIGHT: Mapping[str, Mapping[str, int | None]] = {}
    TENANT_STATEMENT_TIMEOUTS: Mapping[str, timedelta] = {}
    READABLE_TABLES: tuple[str, ...] = ()
    PROCESS_CACHE_TENANTS: int = 500
    COMPAT: Collection[str] = ()
    POOLER_MODES: Mapping[str, str] = {}
    CONN_MAX_TENANTS: int | None = 300
    CONNECTIONS: Mapping[str, Any] = {}
    DATABASE_PATIENCE: timedelta | None = None
    CELERY_APP: str = ""
    GRACE: timedelta = timedelta(days=30)
    SLUG_RETIREMENT: timedelta = timedelta(days=365)
    WARM_POOL: int = 0
    LARGE_MODELS: Collection[str] = ()
    REVIEWED_MIGRATIONS: Mapping[str, str] = {}
    METRICS: bool = False
    METRICS_TENANTS: int = 100
    METRICS_ENDPOINTS: int = 40
    METRICS_POD: str = ""
    METRICS_VERSION: str = ""

    def __getattribute__(self, name: str) -> Any:
        default = super().__getattribute__(name)
        if not name.isupper():
            return default
        return getattr(django_settings, f"TENANCY_{name}", default)


settings = Settings()
