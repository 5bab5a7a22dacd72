"""
The application that workers and beat start: `celery -A clinicx worker`, or `make worker`.
"""

from __future__ import annotations

import os
from typing import Any

from celery import signals

from tenancy.tasks.app import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinicx.settings.production")

app = Celery("clinicx")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def leave_the_log(**kwargs: Any) -> None:
    """Let workers and beat log as Django's LOGGING says; Celery asks nobody then."""


@signals.worker_ready.connect
def serve_metrics(**kwargs: Any) -> None:
    """Let Prometheus read what this worker's processes count, if they were told to count."""
    from clinicx import exposition  # the web imports this module too, and needs none of it

    exposition.serve()
