"""
How does a worker take a message in, and for whom does it run the task?

The worker's main process looks at the signature before anything of the message is decoded,
and decodes the arguments as plain JSON only: what a project registered with kombu may ask
the database. The pool's process or thread binds the tenant, decodes as the tenant, runs,
and sends what follows: results, callbacks, the next step of a chain.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from billiard.einfo import (  # type: ignore[attr-defined]  # not in the stubs
    ExceptionInfo,
    ExceptionWithTraceback,
)
from celery import current_app
from celery.exceptions import Reject
from celery.worker import request as celery_request
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from kombu.serialization import loads, prepare_accept_content

from tenancy import audit, context, logs, rejections
from tenancy.errors import TaskRejected, TenancyError
from tenancy.rejections import Reason
from tenancy.tasks import seal

logger = logging.getLogger("tenancy.tasks")

# Before a task is given back to its queue, so that a server that is away is not asked in a loop.
PAUSE_SECONDS = 1


class Consumer(CeleryConsumer):
    """Takes in the messages that our processes signed; rejects and records every other."""

    # Of Celery's own, and not in the stubs.
    strategies: dict[str, Any]
    connection_errors: tuple[type[Exception], ...]

    def __init__(self, on_task_request: Any, *, pool: Any = None, **options: Any) -> None:
        super().__init__(on_task_request, pool=_Pool(pool), **options)

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        handle = super().create_task_handler(*args, **options)

        def on_task_received(message: Any) -> None:
            try:
                self._check(message)
                handle(_Undecoded(message))
            except TaskRejected as rejection:
                self._reject(message, rejection)
            except TenancyError as error:
                self._reject(message, TaskRejected(str(error), reason=Reason.UNREADABLE))

        return on_task_received

    def _check(self, message: Any) -> None:
        owner = seal.verify(
            message.headers, _bytes(message.body), content_type=message.content_type
        )
        if message.headers["task"] not in self.strategies:
            raise TaskRejected(
                "This worker knows no such task.", reason=Reason.UNKNOWN_TASK, tenant=owner
            )

    # Celery's own write the arguments into the log.

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        rejection = TaskRejected(type(exc).__name__, reason=Reason.UNREADABLE)
        self._reject(message, rejection)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        rejection = TaskRejected(type(exc).__name__, reason=Reason.UNREADABLE)
        self._reject(message, rejection)

    def _reject(self, message: Any, rejection: TaskRejected) -> None:
        message.reject_log_error(logger, self.connection_errors)
        try:
            _record(message.headers, rejection, known=self.strategies)
        finally:
            connections.close_all()


class _Undecoded:
    """A message as the main process may see it: no decoder of the project has run."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self.payload = json.loads(message.body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)


class _Pool:
    """The worker's pool, in which whatever traces a task does so for the task's tenant."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def apply_async(self, trace: Any, args: tuple[Any, ...], **options: Any) -> Any:
        return self._pool.apply_async(run_and_leave, args=(trace, *args), **options)


class Refused(Reject):
    """What the pool tells the main process of a task that was not begun."""

    requeue: bool


class Request(celery_request.Request):
    """Does for the tenant what the main process does about a task: errbacks, results."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        if isinstance(error, Refused):
            # No result and no errback: that, too, would be work for somebody.
            state.task_ready(self)
            return self.reject(requeue=error.requeue)
        with self._for_tenant():
            return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        with self._for_tenant():
            super().on_timeout(soft, timeout)

    def _announce_revoked(self, *args: Any) -> None:
        with self._for_tenant():
            super()._announce_revoked(*args)  # type: ignore[misc]  # not in the stubs

    def _announce_cancelled(self, *args: Any, **options: Any) -> None:
        with self._for_tenant():
            super()._announce_cancelled(*args, **options)  # type: ignore[misc]  # likewise

    @contextmanager
    def _for_tenant(self) -> Iterator[None]:
        try:
            target = seal.find(self.request_dict[seal.TENANT])
        except (TaskRejected, DatabaseError, InterfaceError):
            target = None  # what needs a tenant is refused then
        try:
            with context.override(target):
                yield
        finally:
            # The main process keeps none: a child that it forks would have it too.
            connections.close_all()


def run_and_leave(trace: Any, *args: Any, **options: Any) -> Any:
    """Run in the pool, and leave nobody active and no connection behind a refusal."""
    outcome = run(trace, *args, **options)
    if outcome[0]:
        connections.close_all()
    return outcome


def run(trace: Any, *args: Any, **options: Any) -> Any:
    """
    Trace one task for the tenant that its message names; return what Celery's tracers return.

    In a context of its own: nothing that the task activates is there for the next one,
    however it ends.
    """
    return copy_context().run(_run, trace, *args, **options)


def _run(
    trace: Any,
    name: str,
    uuid: str,
    request: dict[str, Any],
    body: Any,
    content_type: str,
    content_encoding: str,
    **options: Any,
) -> Any:
    said = request.get(logs.TASK_HEADER)
    with logs.about(request_id=said, task=name, task_id=str(uuid)):
        return _run_for_owner(
            trace, name, uuid, request, body, content_type, content_encoding, **options
        )


def _run_for_owner(
    trace: Any,
    name: str,
    uuid: str,
    request: dict[str, Any],
    body: Any,
    content_type: str,
    content_encoding: str,
    **options: Any,
) -> Any:
    owner = request.get(seal.TENANT, "")
    try:
        target = seal.find(owner)
        with context.override(target):
            decoded = _decode(body, content_type, content_encoding)
    except TaskRejected as rejection:
        rejection.tenant = owner
        _record(request, rejection, known=[name])
        return _refused(str(rejection), requeue=False)
    # PostgreSQL is away, or the cache that knows the tenants; a pool of threads would keep
    # an error to itself, and the message for ever.
    except Exception as error:  # noqa: BLE001  # nothing was begun, whatever it is
        return _put_back(name, uuid, error, app=options.get("app", current_app))
    with context.override(target), audit.acting(f"system: {name}"):
        return trace(name, uuid, request, decoded, None, None, **options)


def _decode(body: Any, content_type: str, content_encoding: str) -> Any:
    accept = prepare_accept_content(["json"])
    try:
        return loads(body, content_type, content_encoding, accept=accept)
    except (OperationalError, InterfaceError):
        raise
    # A project's decoder may raise anything: the row is gone, or another's.
    except Exception as error:
        raise TaskRejected(
            f"Its arguments cannot be decoded: {type(error).__name__}.", reason=Reason.UNREADABLE
        ) from error


def _put_back(name: str, uuid: str, error: Exception, *, app: Any) -> Any:
    """Give the task back to its queue, if Celery still has its message."""
    is_kept = app.tasks[name].acks_late
    logger.error(
        "Task %s[%s] was not begun, as nobody can be asked about its tenant (%s); %s",
        name,
        uuid,
        type(error).__name__,
        "it goes back to its queue." if is_kept else "it is lost: only acks_late = True keeps it.",
    )
    time.sleep(PAUSE_SECONDS)
    return _refused("Nobody can be asked about its tenant.", requeue=True)


def _refused(reason: str, *, requeue: bool) -> Any:
    try:
        raise Refused(reason, requeue)
    except Refused:
        return 1, ExceptionInfo(internal=True), 0.0


def _record(headers: Any, rejection: TaskRejected, *, known: Any) -> None:
    headers = headers if isinstance(headers, dict) else {}
    task = headers.get("task")
    rejections.record(
        # Anybody can make names up; those that there are cannot fill a table.
        task=task if isinstance(task, str) and task in known else "",
        task_id=str(headers.get("id", "")),
        reason=Reason(rejection.reason),
        tenant=rejection.tenant,
        claim=str(headers.get(seal.TENANT, "")),
        explanation=str(rejection),
    )


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)
