"""
What is a task that belongs to a tenant, beyond Celery's own?
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

from celery.contrib.django.task import DjangoTask

from tenancy.tasks import publishing, seal


class Task(DjangoTask):  # type: ignore[type-arg]  # generic only in stubs
    """The class of every task of `tenancy.tasks.app.Celery`."""

    Request = "tenancy.tasks.worker:Request"
    # Celery writes so much of what a task returns into its log and its events.
    resultrepr_maxsize = 0

    def apply(self, *args: Any, **options: Any) -> Any:
        """
        Run here and now for whoever is active, in the transaction that is open.

        Raise NoActiveTenant where nobody is. What the task activates ends with it.
        """
        seal.owner()
        return copy_context().run(super().apply, *args, **options)

    # Both raise, which rolls an open transaction back: what was to come after its commit,
    # the next attempt, would be lost.

    def retry(self, *args: Any, **options: Any) -> Any:
        with publishing.at_once():
            return super().retry(*args, **options)

    def replace(self, sig: Any) -> Any:
        with publishing.at_once():
            return super().replace(sig)
