"""
What a project's tests need: to hold back what would be queued, look at it, and run it.

No broker and no worker takes part, and yet a message goes the whole way: it is written as
it would travel, signed, verified, decoded and run for the tenant that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from celery.app.trace import trace_task_ret

from tenancy.tasks import seal, worker


@dataclass
class Message:
    """A message as it travels; a test may change it, as somebody at the broker might."""

    headers: dict[str, Any]
    body: bytes
    content_type: str

    @property
    def tenant(self) -> str:
        """The id of the tenant that it works for, or "platform"."""
        return str(self.headers[seal.TENANT])

    @property
    def task(self) -> str:
        return str(self.headers["task"])


@contextmanager
def held_back(app: Any) -> Iterator[list[Message]]:
    """Collect the messages that would go to the broker; those of a transaction at its commit."""
    messages: list[Message] = []

    def deliver(producer: Any, body: bytes, **options: Any) -> None:
        messages.append(Message(options["headers"], body, options["content_type"]))

    with mock.patch.object(app.amqp, "deliver", deliver):
        yield messages


def run(app: Any, message: Message) -> bool:
    """
    Do what a worker does with `message`; return whether the task ran to its end.

    Raise TaskRejected where a worker's main process rejects it. What the pool rejects is
    recorded, and False is returned.
    """
    seal.verify(message.headers, message.body, content_type=message.content_type)
    headers = message.headers
    failed, _, _ = worker.run(
        trace_task_ret,
        headers["task"],
        headers["id"],
        {**headers, "delivery_info": {}, "properties": {}},
        message.body,
        message.content_type,
        "utf-8",
        app=app,
    )
    return not failed
