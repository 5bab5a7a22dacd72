"""
For how long does a process serve, and a connection stay?

The table of the variables is in docs/reference/settings.md.
"""

from __future__ import annotations

from clinicx import env

MAX_REQUESTS = 10_000
MAX_REQUESTS_JITTER = 2_000
KEEPALIVE_SECONDS = 75


def max_requests() -> tuple[int, int]:
    """Return after how many requests a worker is replaced, and up to how many more at random."""
    return (
        env.integer("WEB_MAX_REQUESTS", MAX_REQUESTS, minimum=0),
        env.integer("WEB_MAX_REQUESTS_JITTER", MAX_REQUESTS_JITTER, minimum=0),
    )


def keepalive_seconds() -> int:
    return env.integer("WEB_KEEPALIVE", KEEPALIVE_SECONDS, minimum=0)
