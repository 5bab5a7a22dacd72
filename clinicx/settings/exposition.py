"""
Where are a pod's numbers, and at which port are they read? The table is in settings.md.
"""

from __future__ import annotations

import socket
from pathlib import Path

from clinicx import env

PORT = 9102
# In memory: the root file system is read-only, and numbers are written with each request.
DIRECTORY = "/dev/shm/clinicx-metrics"  # noqa: S108  # 0700, and a pod's own


def port() -> int:
    """Return the port of /metrics, 0 for none."""
    return env.integer("METRICS_PORT", PORT, minimum=0)


def address() -> tuple[str, int]:
    """Return where /metrics is listened at; a pod's address is its own."""
    return env.text("METRICS_ADDRESS", "0.0.0.0"), port()  # noqa: S104


def directory() -> Path:
    return Path(env.text("METRICS_DIRECTORY", DIRECTORY))


def tenants() -> int:
    return env.integer("METRICS_TENANTS", 100, minimum=1)


def pod() -> str:
    return env.text("POD_NAME", socket.gethostname())
