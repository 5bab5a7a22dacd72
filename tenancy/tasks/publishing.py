"""
What happens between `task.delay()` and the broker?

Everything that Celery publishes goes through here: delay, apply_async, send_task, retries,
callbacks and the steps of a canvas. It is written down at once, as JSON, signed for whoever
is active, and leaves when every open transaction is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from celery.app import amqp
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from kombu.exceptions import OperationalError
from kombu.serialization import dumps

from tenancy import logs
from tenancy.tasks import seal
from tenancy.tasks.app import CARRY_OUT

logger = logging.getLogger(__name__)

NOT_QUEUED = (
    "The broker is away and an organization waits to be made: type 'manage.py reconcile_tenants'"
)

# Celery puts this into headers, events and the lines of its log, in the arguments' place.
HIDDEN = "(hidden)"

_is_at_once: ContextVar[bool] = ContextVar("tenancy.at_once", default=False)


@contextmanager
def at_once() -> Iterator[None]:
    """Publish what is queued in the block immediately, whatever becomes of open transactions."""
    token = _is_at_once.set(True)
    try:
        yield
    finally:
        _is_at_once.reset(token)


class AMQP(amqp.AMQP):
    """Signs each task's message for whoever is active, and refuses where nobody is."""

    def as_task_v1(self, *args: Any, **options: Any) -> Any:
        raise ImproperlyConfigured(
            "task_protocol = 1 has no headers, where the tenant travels; remove the setting."
        )

    def as_task_v2(self, *args: Any, **options: Any) -> Any:
        for name in ("argsrepr", "kwargsrepr"):
            if options.get(name) is None:
                options[name] = HIDDEN
        return super().as_task_v2(*args, **options)

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()  # type: ignore[misc]  # not in the stubs

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            return send(_Signing(producer, self, seal.owner()), name, message, **options)

        return send_task_message

    def deliver(self, producer: Any, body: bytes, **options: Any) -> Any:
        """Give a signed message to the broker."""
        return producer.publish(body, **options)


class _Signing:
    """A producer that signs the tasks' messages, and lets them wait for the commit."""

    def __init__(self, producer: Any, amqp: AMQP, owner: str) -> None:
        self._producer = producer
        self._amqp = amqp
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(
        self, body: Any, *, headers: dict[str, Any], serializer: str | None = None, **options: Any
    ) -> Any:
        if "task" not in headers:  # an event about the task, which takes the same producer
            return self._producer.publish(body, headers=headers, serializer=serializer, **options)
        content_type, content_encoding, text = dumps(body, serializer=serializer)
        if content_type != seal.CONTENT_TYPE:
            raise ImproperlyConfigured(
                f"{headers['task']} was to travel as {content_type}, and workers take JSON alone: "
                f"remove serializer={serializer!r}. Nothing was queued."
            )
        data = text.encode()
        signed = {
            **options,
            "headers": {**seal.sign(headers, data, owner=self._owner), **_request()},
            "content_type": content_type,
            "content_encoding": content_encoding,
        }
        if _is_at_once.get() or _find_open() is None:
            return self._amqp.deliver(self._producer, data, **signed)
        return _when_committed(partial(self._deliver_later, data, **signed))

    def _deliver_later(self, data: bytes, **options: Any) -> None:
        # The producer of now is back in its pool by then.
        try:
            with self._amqp.app.producer_or_acquire() as producer:
                self._amqp.deliver(producer, data, **options)
        except OperationalError:
            # What was asked for is committed, and is found again: no reason to fail a request.
            if options["headers"]["task"] != CARRY_OUT:
                raise
            logger.exception(NOT_QUEUED)


def _request() -> dict[str, str]:
    """Return the header that says which request queued it; it decides nothing, and is unsigned."""
    request_id = logs.get_request_id()
    return {logs.TASK_HEADER: request_id} if request_id else {}


def _when_committed(publish: Callable[[], None], awaited: frozenset[str] = frozenset()) -> None:
    """Call `publish` after the commit of each transaction that is open, alias by alias."""
    connection = _find_open(awaited)
    if connection is None:
        publish()
    else:
        connection.on_commit(partial(_when_committed, publish, awaited | {connection.alias}))


def _find_open(awaited: frozenset[str] = frozenset()) -> Any:
    """Return a connection with an open transaction, None when there is none."""
    for connection in connections.all(initialized_only=True):
        is_manual = connection.connection is not None and not connection.autocommit
        if connection.alias not in awaited and (connection.in_atomic_block or is_manual):
            return connection
    return None
