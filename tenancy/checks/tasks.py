"""
Would a background task work for the tenant that queued it?

Asked where TENANCY_CELERY_APP names the application of a project that uses Celery.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from tenancy.conf import settings

JSON_SETTINGS = ("task_serializer", "result_serializer", "event_serializer")


def check_tasks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.CELERY_APP:
        return []
    try:
        from tenancy.tasks.app import Celery  # Celery need not be installed

        app = import_string(settings.CELERY_APP)
    except ImportError as error:
        return [
            Error(
                f"TENANCY_CELERY_APP = {settings.CELERY_APP!r} cannot be imported: {error}.",
                hint='Type: pip install "celery[redis]". Or set TENANCY_CELERY_APP = "".',
                id="tenancy.E030",
            )
        ]
    if not isinstance(app, Celery):
        return [
            Error(
                f"{settings.CELERY_APP} is no application of tenancy's, so its tasks know no "
                "tenant.",
                hint="from tenancy.tasks.app import Celery, and make it with that.",
                id="tenancy.E030",
            )
        ]
    return list(_list_faults(app))


def _list_faults(app: Any) -> Iterator[CheckMessage]:
    yield from _check_json(app)
    yield from _check_parts(app)
    yield from _check_beat(app)
    yield from _check_results(app)


def _check_json(app: Any) -> Iterator[CheckMessage]:
    conf = app.conf
    found = {name: conf.get(name) for name in JSON_SETTINGS if conf.get(name) != "json"}
    for name in ("accept_content", "result_accept_content"):
        if not {*(conf.get(name) or ["json"])} <= {"json", "application/json"}:
            found[name] = conf.get(name)
    if conf.get("task_protocol") != 2:
        found["task_protocol"] = conf.get("task_protocol")
    for name, value in found.items():
        wanted = {"accept_content": ["json"], "result_accept_content": ["json"]}.get(
            name, 2 if name == "task_protocol" else "json"
        )
        yield Error(
            f"Celery's {name} is {value!r}; tasks travel as signed JSON.",
            hint=f"Set CELERY_{name.upper()} = {wanted!r}, or remove it.",
            id="tenancy.E031",
        )


def _check_parts(app: Any) -> Iterator[CheckMessage]:
    from tenancy.tasks.app import DEFAULTS
    from tenancy.tasks.publishing import AMQP
    from tenancy.tasks.task import Task

    for name, ours in DEFAULTS.items():
        if app.conf.get(name) != ours:
            yield Error(
                f"Celery's {name} is {app.conf.get(name)!r}, which knows no tenants.",
                hint=f"Remove CELERY_{name.upper()}.",
                id="tenancy.E032",
            )
    if not isinstance(app.amqp, AMQP):
        yield Error(
            f"Celery's amqp is {type(app.amqp).__name__}, which signs nothing.",
            hint="Make the application without amqp=.",
            id="tenancy.E032",
        )
    for name, task in sorted(app.tasks.items()):
        if not isinstance(task, Task) or task.serializer != "json":
            yield Error(
                f"The task {name} is no tenancy.tasks.task.Task, or does not travel as JSON.",
                hint="Remove base= and serializer= from its decorator, or subclass our Task.",
                id="tenancy.E032",
            )


def _check_beat(app: Any) -> Iterator[CheckMessage]:
    from tenancy.tasks import beat

    for fault in beat.list_faults(app.conf.beat_schedule):
        yield Error(
            fault,
            hint="A task for nobody in particular is refused its first statement.",
            id="tenancy.E033",
        )


def _check_results(app: Any) -> Iterator[CheckMessage]:
    from celery.backends.base import DisabledBackend

    from tenancy.tasks.results import RedisBackend

    if not isinstance(app.backend, (DisabledBackend, RedisBackend)):
        yield Error(
            f"Results are kept by {type(app.backend).__name__}, for all tenants alike.",
            hint=(
                "Remove CELERY_RESULT_BACKEND, or write "
                "'tenancy.tasks.results:RedisBackend+redis://...'."
            ),
            id="tenancy.E034",
        )


CHECKS = (check_tasks,)
