"""
How many connections to PostgreSQL may a pod have, and how many of them one of its workers?

The numbers are a pod's and are divided among its workers, which share nothing. The table
of the variables is in docs/reference/settings.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from clinicx import env

SIZE = 20
MIN_SIZE = 5
TIMEOUT_SECONDS = 30
MAX_IDLE_SECONDS = 10 * 60
MAX_LIFETIME_SECONDS = 30 * 60
MAX_AGE_SECONDS = 10 * 60
# Seven tenths of a second: within one a request is answered, also by a database that is away.
PATIENCE_MS = 700
# Of 0.6 MB each, as measured: the 200 MB that a process of the server may have.
MAX_TENANTS = 300
# Half of the connections to the server that one PgBouncer of ours opens: k8s/base.
TENANT_IN_FLIGHT = 12


def workers() -> int:
    return env.integer("WEB_WORKERS", 2, minimum=1)


def connections_per_worker() -> int:
    """
    Return how many connections a worker may have, and so how many threads.

    A thread holds a connection from its first query to the end of its request. With fewer
    connections than threads some would wait for the others, with more some would idle.
    """
    size = env.integer("DB_POOL_SIZE", SIZE, minimum=0) or SIZE
    if size < workers():
        raise ImproperlyConfigured(
            f"DB_POOL_SIZE={size} is less than WEB_WORKERS={workers()}, and each worker needs a "
            f"connection; set DB_POOL_SIZE={workers()} or more."
        )
    return size // workers()


def options() -> dict[str, Any] | None:
    """Return the options of psycopg's pool for one worker, or None where it is turned off."""
    size = env.integer("DB_POOL_SIZE", SIZE, minimum=0)
    if not size:
        return None
    if age := env.text("DB_CONN_MAX_AGE", ""):
        raise ImproperlyConfigured(
            f"DB_CONN_MAX_AGE={age} is for connections without a pool; remove it and set "
            f"DB_POOL_MAX_LIFETIME, or set DB_POOL_SIZE=0."
        )
    max_size = connections_per_worker()
    min_size = env.integer("DB_POOL_MIN_SIZE", min(MIN_SIZE, size), minimum=1)
    if min_size > size:
        raise ImproperlyConfigured(
            f"DB_POOL_MIN_SIZE={min_size} is more than DB_POOL_SIZE={size}; set "
            f"DB_POOL_MIN_SIZE={size} or less."
        )
    return {
        # Rounded up: the pod keeps at least so many.
        "min_size": min(-(-min_size // workers()), max_size),
        "max_size": max_size,
        "timeout": env.integer("DB_POOL_TIMEOUT", TIMEOUT_SECONDS, minimum=1),
        "max_idle": env.integer("DB_POOL_MAX_IDLE", MAX_IDLE_SECONDS, minimum=1),
        "max_lifetime": env.integer("DB_POOL_MAX_LIFETIME", MAX_LIFETIME_SECONDS, minimum=1),
    }


def max_age_seconds() -> int:
    """Return for how long a thread keeps the connection that it opened, without the pool."""
    return env.integer("DB_CONN_MAX_AGE", MAX_AGE_SECONDS, minimum=0)


def max_tenants() -> int | None:
    """Return for how many clinics a connection works before it is replaced, None for any number."""
    return env.integer("DB_CONN_MAX_TENANTS", MAX_TENANTS, minimum=0) or None


def patience() -> timedelta | None:
    """Return TENANCY_DATABASE_PATIENCE, None for as long as it takes."""
    milliseconds = env.integer("DB_PATIENCE_MS", PATIENCE_MS, minimum=0)
    return timedelta(milliseconds=milliseconds) if milliseconds else None


def in_flight() -> dict[str, int | None]:
    """Return TENANCY_IN_FLIGHT: half of a worker's threads, and so many everywhere."""
    return {
        "process": max(1, connections_per_worker() // 2),
        "tenant": env.integer("TENANT_IN_FLIGHT", TENANT_IN_FLIGHT, minimum=0) or None,
    }


def connections() -> dict[str, Any]:
    """
    Return TENANCY_CONNECTIONS: what is deployed around a pod, for `connection_plan` and checks.

    A pod knows its own pool and its workers. What there is beside it is what k8s/base says;
    tests/contracts compares the two.
    """
    return {
        "pods": 5,
        "pods_at_most": 50,
        "workers": workers(),
        "pool": env.integer("DB_POOL_SIZE", SIZE, minimum=0) or SIZE,
        "clients": 8,  # two workers of tasks, of four processes each
        "mode": env.text("DB_POOLER_MODE", "") or "transaction",
        "poolers": 2,
        "pool_size": 25,
        "reserve": 5,
        "max_client_conn": 1000,
        "max_connections": 500,
        "reserved": 3,
        "direct": 60,  # Keycloak's 40, and the owner's: tasks, migrations, backups, exporter
    }
