"""
Where are a pod's numbers, and at which port are they read? The table is in settings.md.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from clinicx import env

PORT = 9102
# In memory: the root file system is read-only, and numbers are written with each request.
DIRECTORY = "/dev/shm/clinicx-metrics"  # noqa: S108  # 0700, and a pod's own

# Asked by one worker, and not by each pod at each scrape. What nobody took until the next one
# is due is of no use any more.
BEAT_SCHEDULE: dict[str, Any] = {
    "measure-fleet": {
        "task": "tenancy.measure_fleet",
        "schedule": "* * * * *",
        "tenants": "platform",
        "options": {"queue": "tenancy-owner", "expires": 50},
    },
    # PostgreSQL looks at each file, of which there are hundreds for each clinic.
    "measure-sizes": {
        "task": "tenancy.measure_sizes",
        "schedule": "*/10 * * * *",
        "tenants": "platform",
        "options": {"queue": "tenancy-owner", "expires": 9 * 60},
    },
}


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
