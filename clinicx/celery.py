"""
The application that workers and beat start: `celery -A clinicx worker`, or `make worker`.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from celery import signals
from django.conf import settings

from tenancy.tasks.app import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.production")

app = Celery("clinicx")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add("clinicx.alive:Pulse")


@signals.setup_logging.connect
def leave_the_log(**kwargs: Any) -> None:
    """Let workers and beat log as Django's LOGGING says; Celery asks nobody then."""


@signals.worker_ready.connect
def serve_metrics(**kwargs: Any) -> None:
    """Let Prometheus read what this worker's processes count, if they were told to count."""
    from clinicx import exposition  # the web imports this module too, and needs none of it

    exposition.serve()


@signals.worker_shutting_down.connect
def stop_in_time(how: str, **kwargs: Any) -> None:
    """
    Let tasks end after SIGTERM, for as long as Kubernetes waits; give the others back then.

    Killed later by Kubernetes, a worker gives nothing back, and Redis thinks for an hour that
    somebody is at them.
    """
    if how == "Warm" and settings.CLINICX_SHUTDOWN_SECONDS is not None:
        quit = threading.Timer(
            settings.CLINICX_SHUTDOWN_SECONDS, os.kill, (os.getpid(), signal.SIGQUIT)
        )
        quit.daemon = True  # nobody waits for it where all tasks have ended
        quit.start()
