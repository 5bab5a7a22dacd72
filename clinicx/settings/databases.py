"""
Where are PostgreSQL and Redis, and as whom are they entered?

PostgreSQL has two addresses. `default` is the application's login, which may go through
a pooler and by itself may do nothing; `ddl` is the owner's, direct, for migrations and
the lifecycle of clinics. A web request uses only the first.
"""

from __future__ import annotations

from typing import Any

import dj_database_url


def databases(*, app_url: str, ddl_url: str) -> dict[str, Any]:
    """Return DATABASES; without `ddl_url` a process serves, and cannot migrate or provision."""
    addresses = {"default": app_url, "ddl": ddl_url}
    return {alias: _database(url) for alias, url in addresses.items() if url}


def _database(url: str) -> dict[str, Any]:
    parsed = dj_database_url.parse(url, engine="tenancy.backend")
    return {
        **parsed,
        # Every transaction brings its own binding, so a connection may be kept as long as it lives.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**parsed.get("OPTIONS", {}), "application_name": "clinicx"},
    }


def caches(*, redis_url: str) -> dict[str, Any]:
    return {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": redis_url,
            "KEY_PREFIX": "clinicx",
            "KEY_FUNCTION": "tenancy.cache.make_key",
            "TIMEOUT": 10 * 60,
            "OPTIONS": {
                "CLIENT_CLASS": "django_redis.client.DefaultClient",
                # Without Redis pages are slower, and that is all.
                "IGNORE_EXCEPTIONS": True,
                "LOG_IGNORED_EXCEPTIONS": True,
                "SOCKET_CONNECT_TIMEOUT": 1,
                "SOCKET_TIMEOUT": 1,
            },
        }
    }
