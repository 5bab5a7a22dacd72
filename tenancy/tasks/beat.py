"""
For which tenants does a periodic task run, and who makes one message for each?

An entry of `beat_schedule` says so: `"tenants": "all"`, `"platform"`, or slugs. Beat itself
works for nobody and never asks the database: for what tenants are to do it publishes one
message, and a worker fans that out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from celery.beat import BeatLazyFunc, PersistentScheduler, ScheduleEntry
from celery.schedules import ParseException, crontab

from tenancy import context, rejections, tenants
from tenancy.context import ActiveTenant
from tenancy.errors import TenantGone, TenantNotFound, TenantUnavailable
from tenancy.models import State
from tenancy.rejections import Reason
from tenancy.tasks.app import FAN_OUT

ALL = "all"
PLATFORM = "platform"

# How many messages one run of `fan_out` makes before it queues the rest.
CHUNK = 500


class Entry(ScheduleEntry):
    """An entry that says for whom it runs; its schedule may be text, as crontab has it."""

    def __init__(self, *, schedule: Any = None, tenants: Any = None, **options: Any) -> None:
        schedule = crontab.from_string(schedule) if isinstance(schedule, str) else schedule
        super().__init__(schedule=schedule, **options)
        self.tenants = tenants

    def __reduce__(self) -> Any:
        return _rebuild, ({**vars(self), "app": None},)

    def update(self, other: Any) -> None:
        super().update(other)
        self.tenants = other.tenants

    def editable_fields_equal(self, other: Any) -> bool:
        same: bool = super().editable_fields_equal(other)
        return same and bool(self.tenants == other.tenants)

    def fanned_out(self) -> ScheduleEntry:
        """Return the entry that a worker makes one message for each tenant of."""
        arguments = {
            "task": self.task,
            "args": [_evaluated(value) for value in self.args or ()],
            "kwargs": {name: _evaluated(value) for name, value in (self.kwargs or {}).items()},
            "options": dict(self.options or {}),
            "slugs": None if self.tenants == ALL else list(self.tenants),
        }
        return ScheduleEntry(
            name=self.name,
            task=FAN_OUT,
            schedule=self.schedule,
            last_run_at=self.last_run_at,
            kwargs=arguments,
            options=dict(self.options or {}),
            app=self.app,
        )


def _rebuild(attributes: dict[str, Any]) -> Entry:
    return Entry(**attributes)


class Scheduler(PersistentScheduler):
    """Celery's own scheduler, which starts only when each entry says for whom it runs."""

    Entry = Entry

    def setup_schedule(self) -> None:
        faults = list(list_faults(self.app.conf.beat_schedule))
        if faults:
            sys.exit("\n".join(["Beat does not start:", *faults]))
        super().setup_schedule()

    def install_default_entries(self, data: Any) -> None:
        """Add none: Celery's own entry cleans results, and Redis lets those expire by itself."""

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **options: Any
    ) -> Any:
        entry = self.reserve(entry) if advance else entry
        if entry.tenants != PLATFORM:
            entry = entry.fanned_out()
        with context.override(context.PLATFORM):
            return super().apply_async(entry, producer=producer, advance=False, **options)


def list_faults(schedule: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each entry that does not say for whom it runs, or when."""
    for name, entry in schedule.items():
        said = entry.get("tenants") if isinstance(entry, Mapping) else None
        if not _names_tenants(said):
            yield (
                f"Entry {name!r} of beat_schedule does not say for which tenants it runs: "
                f'"tenants" is {said!r}. Write "tenants": "all", "platform" or a list of '
                "slugs."
            )
        elif isinstance(entry["schedule"], str):
            yield from _list_faults_of_text(name, entry["schedule"])


def _names_tenants(said: object) -> bool:
    if isinstance(said, (list, tuple)):
        return bool(said) and all(isinstance(slug, str) for slug in said)
    return said in (ALL, PLATFORM)


def _list_faults_of_text(name: str, schedule: str) -> Iterator[str]:
    try:
        crontab.from_string(schedule)
    except (ParseException, ValueError) as error:
        yield (
            f"Entry {name!r} of beat_schedule says {schedule!r}, which is no schedule: {error}. "
            'Write minute, hour, day, month and weekday: "17 3 * * *".'
        )


def fan_out(
    self: Any,
    *,
    task: str,
    args: list[Any],
    kwargs: dict[str, Any],
    options: dict[str, Any],
    slugs: list[str] | None,
    after: str | None = None,
) -> None:
    """
    Queue `task` once for each tenant that is served, or for those with these slugs.

    A chunk at a time: if the worker is killed, at most one chunk is queued again.
    """
    if slugs is not None:
        found = list(_by_slug(slugs, task=task))
    else:
        rows = list(_rows(after))
        found = [row for row in rows if getattr(row, "state", State.ACTIVE) == State.ACTIVE]
    for tenant in map(tenants.as_active, found):
        with context.override(tenant):
            self.app.send_task(task, args, kwargs, **options)
    if slugs is None and len(rows) == CHUNK:
        rest = {**self.request.kwargs, "after": str(rows[-1].pk)}
        self.apply_async(kwargs=rest, **options)


def _rows(after: str | None) -> Any:
    """Return the next chunk of tenants, in the order of their keys."""
    rows = tenants.having_schema()
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return rows.order_by("pk")[:CHUNK]


def _by_slug(slugs: list[str], *, task: str) -> Iterator[Any]:
    for slug in slugs:
        tenant = tenants.look_up("slug", slug)
        if tenant is None or not isinstance(tenants.as_active(tenant), ActiveTenant):
            rejections.record(
                task=task,
                reason=Reason.UNKNOWN_TENANT,
                tenant=slug,
                explanation=f"beat_schedule names the tenant {slug!r}, and there is none.",
            )
            continue
        try:
            tenants.check_served(tenant)
        except (TenantUnavailable, TenantGone, TenantNotFound):
            continue
        yield tenant


def _evaluated(value: Any) -> Any:
    return value() if isinstance(value, BeatLazyFunc) else value
