"""
Which tasks were asked for and never run?

A row for each task, reason, tenant and day, with a count: however many messages somebody
makes up, the table grows by a few rows a day. No arguments are in it.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, models, transaction
from django.db.models import F
from django.utils import timezone

from tenancy import context

logger = logging.getLogger("tenancy.tasks")

KEPT = timedelta(days=90)


class Reason(models.TextChoices):
    """Why a task was not run."""

    UNSIGNED = "unsigned", "names no tenant or is not signed"
    FORGED = "forged", "the signature is not ours"
    NOT_JSON = "not_json", "is not JSON"
    UNKNOWN_TASK = "unknown_task", "no such task"
    UNKNOWN_TENANT = "unknown_tenant", "no such tenant (any more)"
    SUSPENDED = "suspended", "the tenant is suspended"
    UNREADABLE = "unreadable", "its arguments cannot be decoded"


class RejectedTask(models.Model):
    """How often, on one day, a task was not run for one reason."""

    date = models.DateField()
    task = models.CharField(max_length=200, blank=True, help_text="Empty: no task of ours.")
    reason = models.CharField(max_length=20, choices=Reason)
    tenant = models.CharField(
        max_length=64, blank=True, help_text="Its id. Empty: nobody who may say so named one."
    )
    count = models.PositiveIntegerField(default=1)
    last_at = models.DateTimeField()
    last_task_id = models.CharField(max_length=64, blank=True)
    last_claim = models.CharField(
        "last claimed tenant", max_length=64, blank=True, help_text="What the last message said."
    )

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["date", "task", "reason", "tenant"], name="tenancy_rejectedtask_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.task or 'a task'} {self.get_reason_display()} ({self.count})"


def record(
    *,
    task: str,
    reason: Reason,
    tenant: str,
    explanation: str,
    task_id: str = "",
    claim: str = "",
) -> None:
    """
    Say that a task was not run: a line in the log, and a row that operators see.

    Where the row cannot be written the line is all there is. `claim` is what an unproven
    message says; `task` and `tenant` must not be made up by it.
    """
    # With repr: what somebody made up may hold a line's end.
    logger.error(
        "Rejected task %r [%.64r] of tenant %r: %s (claimed: %.64r)",
        task,
        task_id,
        tenant,
        explanation,
        claim,
    )
    key = {"task": task[:200], "reason": reason, "tenant": tenant[:64]}
    facts = {"last_at": timezone.now(), "last_task_id": _text(task_id), "last_claim": _text(claim)}
    try:
        with context.override(context.PLATFORM):
            _count(key, facts)
    except (DatabaseError, InterfaceError):
        logger.exception("The rejected task could not be recorded")


def _count(key: dict[str, str], facts: dict[str, object]) -> None:
    today = timezone.now().date()
    rows = RejectedTask.objects.filter(date=today, **key)
    if rows.update(count=F("count") + 1, **facts):
        return
    with transaction.atomic():
        _, is_new = RejectedTask.objects.get_or_create(date=today, **key, defaults=facts)
        RejectedTask.objects.filter(date__lt=today - KEPT).delete()
    if not is_new:
        rows.update(count=F("count") + 1, **facts)


def _text(claimed: str) -> str:
    # PostgreSQL takes no NUL byte for text.
    return claimed.replace("\0", "")[:64]
