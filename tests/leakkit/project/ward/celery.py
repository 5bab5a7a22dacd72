"""The application of the ward's tasks."""

from __future__ import annotations

from tenancy.tasks.app import Celery

app = Celery("ward", broker="memory://")
app.autodiscover_tasks(["ward"])
