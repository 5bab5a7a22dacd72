"""
The application of a project's Celery: `app = Celery("project")` where Celery's own would be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import celery
from celery import current_app, signals
from celery.app.routes import prepare
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string

from tenancy import metrics
from tenancy.conf import settings

FAN_OUT = "tenancy.fan_out"
CARRY_OUT = "tenancy.carry_out"
FILL_POOL = "tenancy.fill_pool"
RECONCILE = "tenancy.reconcile"
MEASURE_FLEET = "tenancy.measure_fleet"
MEASURE_SIZES = "tenancy.measure_sizes"

# Of the tasks that need the owner's address: workers that have it listen here, too.
OWNERS_QUEUE = "tenancy-owner"

DEFAULTS = {
    "worker_consumer": "tenancy.tasks.worker:Consumer",
    "beat_scheduler": "tenancy.tasks.beat:Scheduler",
}
# For whoever calls them by name alone; a queue on the task itself Celery 6 no longer knows.
ROUTES = {
    name: {"queue": OWNERS_QUEUE}
    for name in (CARRY_OUT, FILL_POOL, RECONCILE, MEASURE_FLEET, MEASURE_SIZES)
}

# A worker needs the owner's address as little as a process that serves pages; one that has
# it makes organizations.
MEANT = {"tenancy.E002"}


class Celery(celery.Celery):
    """Celery's own application, whose tasks work for the tenant that queued them."""

    amqp_cls = "tenancy.tasks.publishing:AMQP"
    task_cls = "tenancy.tasks.task:Task"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # These go before what the project sets, so nothing may be in them that is its to choose.
        self.add_defaults(lambda: DEFAULTS)
        self.on_after_configure.connect(_add_routes)
        self.task(name=FAN_OUT, bind=True, shared=False, ignore_result=True)(_fan_out)
        for name, function in OWNERS_TASKS.items():
            self.task(name=name, shared=False, ignore_result=True)(function)


def _add_routes(sender: Celery, **kwargs: Any) -> None:
    """Route what the project's own routes say nothing of: the first that knows a name decides."""
    sender.conf.task_routes = [*prepare(sender.conf.task_routes), ROUTES]


def _fan_out(self: Any, /, **what: Any) -> None:
    # Here and not above: a project makes its application before Django has its models.
    from tenancy.tasks import beat

    beat.fan_out(self, **what)


def _carry_out(identity: str) -> None:
    from tenancy.tasks import owners  # as above

    owners.carry_out(identity)


def _fill_pool() -> None:
    from tenancy.tasks import owners  # as above

    owners.fill_pool()


def _reconcile() -> None:
    from tenancy.tasks import owners  # as above

    owners.reconcile()


def _measure_fleet() -> None:
    from tenancy import measuring  # as above

    measuring.measure_fleet()
    measuring.measure_queues(current_app, current_app.conf.task_default_queue, OWNERS_QUEUE)


def _measure_sizes() -> None:
    from tenancy import measuring  # as above

    measuring.measure_sizes()


OWNERS_TASKS: dict[str, Callable[..., None]] = {
    CARRY_OUT: _carry_out,
    FILL_POOL: _fill_pool,
    RECONCILE: _reconcile,
    MEASURE_FLEET: _measure_fleet,
    MEASURE_SIZES: _measure_sizes,
}


@signals.task_prerun.connect
def note_begin(task: Any, **kwargs: Any) -> None:
    task.request.began = time.perf_counter()


@signals.task_postrun.connect
def count_task(task: Any, state: str | None = None, **kwargs: Any) -> None:
    """Count a task that ended, for whoever it ran; one that was refused is not begun."""
    began = getattr(task.request, "began", None)
    seconds = None if began is None else time.perf_counter() - began
    metrics.task_ended(task.name, state or "unknown", seconds)


@signals.celeryd_after_setup.connect
def listen_as_owner(sender: str, instance: Any, **kwargs: Any) -> None:
    """Let a worker that has the owner's address do what only it can, whatever -Q says."""
    if isinstance(instance.app, Celery) and settings.DDL_DATABASE in connections:
        queues = instance.app.amqp.queues
        queues.select_add(queues[OWNERS_QUEUE])


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
