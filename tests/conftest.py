"""The fixtures' plugins, a topic each."""

from __future__ import annotations

pytest_plugins = [
    "tenancy.testing.plugin",
    "tenancy.testing.leaks",
    "tests.fixtures.database",
    "tests.fixtures.clinics",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.redis_keys",  # before live, which imports it
    "tests.fixtures.own_redis",
    "tests.fixtures.live",
    "tests.fixtures.health",
    "tests.fixtures.pods",
    "tests.fixtures.workers",
    "tests.fixtures.leaks",
    "tests.fixtures.metrics",
    "tests.fixtures.migrations",
]
