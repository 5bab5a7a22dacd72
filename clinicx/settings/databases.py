"""
Where are PostgreSQL and Redis, and as whom are they entered?

PostgreSQL has two addresses. `default` is the application's login, which may go through
a pooler and by itself may do nothing; `ddl` is the owner's, direct, for migrations and
the lifecycle of clinics. A web request uses only the first.
"""

from __future__ import annotations

from typing import Any

import dj_database_url
from django.db.backends.postgresql.psycopg_any import IsolationLevel

from clinicx import env
from clinicx.settings import pool

ISOLATION_LEVELS = {level.name.lower().replace("_", " "): level for level in IsolationLevel}

# A server that vanishes says nothing, and TCP would wait for it for hours, and for what it was
# sent for a quarter of one. In seconds, and the last in milliseconds; an address may say else.
NETWORK = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


def databases(*, app_url: str, ddl_url: str) -> dict[str, Any]:
    """Return DATABASES; without `ddl_url` a process serves, and cannot migrate or provision."""
    addresses = {"default": app_url, "ddl": ddl_url}
    return {alias: _database(url) for alias, url in addresses.items() if url}


def pooled(databases: dict[str, Any]) -> dict[str, Any]:
    """Return `databases` with the application's connections as the environment wants them."""
    application = databases["default"]
    options = dict(application["OPTIONS"])
    if level := env.choice("DB_ISOLATION_LEVEL", ISOLATION_LEVELS):
        options["isolation_level"] = ISOLATION_LEVELS[level]
    if pool_options := pool.options():
        kept = {
            "CONN_MAX_AGE": 0,  # Django gives a connection back to the pool after each request
            # It would ask before each request whether the connection lives, a round trip.
            "CONN_HEALTH_CHECKS": False,
        }
        options["pool"] = pool_options
    else:
        kept = {"CONN_MAX_AGE": pool.max_age_seconds()}
    return {**databases, "default": {**application, **kept, "OPTIONS": options}}


def pooler_modes() -> dict[str, str]:
    """Return TENANCY_POOLER_MODES: the owner's address is checked without being named here."""
    mode = env.text("DB_POOLER_MODE", "")
    return {"default": mode} if mode else {}


def _database(url: str) -> dict[str, Any]:
    parsed = dj_database_url.parse(url, engine="tenancy.backend")
    return {
        **parsed,
        # Every transaction brings its own binding, so a connection may be kept as long as it lives.
        "CONN_MAX_AGE": pool.MAX_AGE_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**NETWORK, **parsed.get("OPTIONS", {}), "application_name": "clinicx"},
    }


def caches(*, redis_url: str) -> dict[str, Any]:
    return {
        "default": {
            "BACKEND": "tenancy.cache.RedisCache",
            "LOCATION": redis_url,
            "KEY_PREFIX": "clinicx",
            "KEY_FUNCTION": "tenancy.cache.make_key",
            "TIMEOUT": 10 * 60,
            "OPTIONS": {
                "CLIENT_CLASS": "django_redis.client.DefaultClient",
                # Without Redis pages are slower, and that is all.
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_CONNECT_TIMEOUT": 1,
                "SOCKET_TIMEOUT": 1,
            },
        }
    }
