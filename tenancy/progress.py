"""
How far is an organization that was asked for, and who has to do what next?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from tenancy.models import STATES_TO_COME, State

# A worker begins at once. If none did by now, somebody should look.
PATIENCE = timedelta(seconds=20)
# Whoever looked on sees for so long that it is done.
NEWS = timedelta(minutes=2)


@dataclass(frozen=True)
class Step:
    """One of the steps; `state` is done, now, failed or next."""

    label: str
    state: str
    note: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far it is; `is_failed` when nobody goes on by themselves, `is_done` when it is there."""

    steps: Sequence[Step]
    command: str = ""
    is_failed: bool = False
    is_done: bool = False


def of(organization: Any) -> Progress | None:
    """Return how far it is on its way into service, None where that is no news."""
    if organization.state in STATES_TO_COME:
        return _to_come(organization)
    since = organization.state_changed_at
    if organization.state == State.ACTIVE and since and timezone.now() - since < NEWS:
        return _done(organization)
    return None


def _done(organization: Any) -> Progress:
    note = f"It answers at {organization.host}."
    return Progress(
        steps=(
            Step("Requested", "done", since=organization.created_at),
            Step("Made", "done"),
            Step("In service", "done", note=note, since=organization.state_changed_at),
        ),
        is_done=True,
    )


def _to_come(organization: Any) -> Progress:
    is_failed = bool(organization.state_reason)
    is_late = timezone.now() - organization.state_changed_at > PATIENCE
    making = _making(organization, is_failed=is_failed, is_late=is_late)
    return Progress(
        steps=(
            Step("Requested", "done", since=organization.created_at),
            making,
            Step("In service", "next", note=f"It will answer at {organization.host}."),
        ),
        command=f"manage.py reconcile_tenants {organization.slug}" * (is_failed or is_late),
        is_failed=is_failed,
    )


def _making(organization: Any, *, is_failed: bool, is_late: bool) -> Step:
    if is_failed:
        return Step("Could not be made", "failed", note=organization.state_reason)
    if organization.state == State.PROVISIONING:
        note = "Its schema, its role and its tables. " + "Longer than usual." * is_late
        return Step("Being made", "now", note=note.strip(), since=organization.state_changed_at)
    if is_late:
        return Step("Waiting", "now", note="No worker that may make it has begun.")
    return Step("Waiting for a worker", "now")
