"""
What is logged, and how? On standard error, where whoever runs the process collects it.

The table of the variables is in docs/reference/settings.md.
"""

from __future__ import annotations

import socket
from typing import Any

from clinicx import env

# In production, one line of JSON each or one of words.
FORMATS = {"json": "clinicx.logs.Json", "line": "clinicx.logs.Line"}


def logging() -> dict[str, Any]:
    """Return LOGGING for a laptop: words, with what an error said and where."""
    return _logging({"()": "clinicx.logs.Words"}, filters=[])


def discreet_logging() -> dict[str, Any]:
    """Return LOGGING for production: no line has a patient's data."""
    chosen = env.choice("LOG_FORMAT", FORMATS) or "json"
    # A request's own line has its status already.
    return _logging({"()": FORMATS[chosen], "pod": pod_name()}, filters=["only_errors"])


def pod_name() -> str:
    return env.text("POD_NAME", socket.gethostname())


def _logging(formatter: dict[str, Any], *, filters: list[str]) -> dict[str, Any]:
    """Return LOGGING with this formatter, and these filters of Django's own words of requests."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": formatter},
        "filters": {
            "request": {"()": "tenancy.logs.RequestFilter"},
            "only_errors": {"()": "clinicx.logs.OnlyErrors"},
        },
        "handlers": {
            "console": {
                "class": "clinicx.logs.Console",
                "formatter": "chosen",
                "filters": ["request"],
            }
        },
        "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
        "loggers": {
            # At INFO, as Django sets it: its logger of statements tells the parameters,
            # patients' data.
            "django": {"handlers": [], "propagate": True},
            "django.request": {"filters": filters},
            # Of a pool, what fails at each attempt: tenancy.outages says it once.
            "psycopg.pool": {"level": "ERROR"},
            # As all others; without this gunicorn puts handlers of its own on them.
            "gunicorn.error": {"handlers": [], "propagate": True},
            "gunicorn.access": {"handlers": [], "propagate": True},
        },
    }
