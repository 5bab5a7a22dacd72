"""
For whom do Celery's tasks work?

No task of the project's is run: each is queued at Elm, and what would travel is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.utils.module_loading import import_string

from tenancy import context
from tenancy.conf import settings
from tenancy.errors import TaskRejected
from tenancy.testing.leaks.stage import NotCovered, Stage, leaked

# Celery's own, and tenancy's, which say for whom they work in another way.
OURS = ("celery.", "tenancy.")
PROBE = "probe"
NO_APPLICATION = "no application"


def list_tasks() -> list[str]:
    """Return the names of the project's tasks, or one that stands for there being none."""
    if find_spec("celery") is None:
        return []
    if not settings.CELERY_APP:
        return [NO_APPLICATION]
    names = [name for name in _app().tasks if not name.startswith(OURS)]
    return [PROBE, *sorted(names)]


def list_ways(name: str) -> list[str]:
    return [""] if name in (PROBE, NO_APPLICATION) else [*WAYS]


def check(name: str, way: str, leaks: Stage) -> None:
    """Look at one task in one way."""
    if name == NO_APPLICATION:
        raise NotCovered("TENANCY_CELERY_APP names no application of Celery's.")
    _check_application()
    if name == PROBE:
        _check_probe(leaks)
    else:
        WAYS[way](name, leaks)


def _app() -> Any:
    app = import_string(settings.CELERY_APP)
    app.loader.import_default_modules()
    return app


# Celery need not be installed: what needs it is imported where there is an application.


def _check_application() -> None:
    if not isinstance(_app(), import_module("tenancy.tasks.app").Celery):
        leaked(
            f"{settings.CELERY_APP} is no application of tenancy's: its tasks work for whoever "
            "is active in the worker. Make it with tenancy.tasks.app.Celery."
        )


def _check_class(name: str, leaks: Stage) -> None:
    task = _app().tasks[name]
    if not isinstance(task, import_module("tenancy.tasks.task").Task):
        leaked(f"The task {name!r} has a base of its own, {type(task).__mro__[1].__qualname__}.")


def _check_queued(name: str, leaks: Stage) -> None:
    message = _queue(name, leaks)
    if message.tenant != str(leaks.elm.pk):
        leaked(f"The task {name!r}, queued at Elm, is to work for {message.tenant}.")


def _check_forged(name: str, leaks: Stage) -> None:
    """Rejected is what names nobody, and what names Oak in a message that Elm has signed."""
    message = _queue(name, leaks)
    owner = import_module("tenancy.tasks.seal").TENANT
    without = {key: value for key, value in message.headers.items() if key != owner}
    for headers in (without, {**message.headers, owner: str(leaks.oak.pk)}):
        try:
            import_module("tenancy.tasks.seal").verify(
                headers, message.body, content_type=message.content_type
            )
        except TaskRejected:
            continue
        leaked(f"The task {name!r} is run although its message was changed: {headers.get(owner)}.")


def _queue(name: str, leaks: Stage) -> Any:
    app = _app()
    with import_module("tenancy.tasks.testing").held_back(app) as messages, leaks.at("elm"):
        app.send_task(name)
    if len(messages) != 1:
        raise NotCovered(f"The task {name!r} was not queued as one message.")
    return messages[0]


def _check_probe(leaks: Stage) -> None:
    """A task of the kit's own, queued at Elm, finds Elm active when a worker runs it."""
    app = _app()
    found: list[Any] = []

    def note_who_is_active() -> None:
        found.append(context.get_current())

    named = app.task(name="tenancy.leak_kit", shared=False, ignore_result=True)
    probe = named(note_who_is_active)
    try:
        testing = import_module("tenancy.tasks.testing")
        testing.run(app, _queue(probe.name, leaks))
    finally:
        app.tasks.unregister(probe.name)
    if found != [leaks.target("elm")]:
        leaked(f"A task that was queued at Elm worked for {found}.")


WAYS: dict[str, Callable[[str, Stage], None]] = {
    "class": _check_class,
    "queued": _check_queued,
    "forged": _check_forged,
}
