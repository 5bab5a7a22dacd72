"""
The application of a project's Celery: `app = Celery("project")` where Celery's own would be.
"""

from __future__ import annotations

import sys
from typing import Any

import celery
from celery import signals
from django.core import checks
from django.utils.module_loading import import_string

from tenancy.conf import settings

FAN_OUT = "tenancy.fan_out"

DEFAULTS = {
    "worker_consumer": "tenancy.tasks.worker:Consumer",
    "beat_scheduler": "tenancy.tasks.beat:Scheduler",
}

# A worker needs the owner's address as little as a process that serves pages.
MEANT = {"tenancy.E002"}


class Celery(celery.Celery):
    """Celery's own application, whose tasks work for the tenant that queued them."""

    amqp_cls = "tenancy.tasks.publishing:AMQP"
    task_cls = "tenancy.tasks.task:Task"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_defaults(lambda: DEFAULTS)
        self.task(name=FAN_OUT, bind=True, shared=False, ignore_result=True)(_fan_out)


def _fan_out(self: Any, /, **what: Any) -> None:
    # Here and not above: a project makes its application before Django has its models.
    from tenancy.tasks import beat

    beat.fan_out(self, **what)


@signals.worker_init.connect
@signals.beat_init.connect
def refuse_if_unsafe(sender: Any, **kwargs: Any) -> None:
    """End a worker or beat that checks say something about; Celery itself would go on."""
    if not isinstance(sender.app, Celery):
        return
    if not settings.CELERY_APP or import_string(settings.CELERY_APP) is not sender.app:
        sys.exit(
            f"Not safe to start: checks look at the application that TENANCY_CELERY_APP names, "
            f"{settings.CELERY_APP!r}, and this is another. Set it to this one's dotted path."
        )
    faults = [
        message
        for message in checks.run_checks(tags=["tenancy", "tasks"])
        if message.level >= checks.ERROR and message.id not in MEANT and not message.is_silenced()
    ]
    if faults:
        sys.exit("\n".join(["Not safe to start:", *map(str, faults)]))
