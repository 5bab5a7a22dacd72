"""
What does the ledger say of a run, and how long will the next one take?
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Avg, Count, QuerySet, Sum

from tenancy.conf import settings
from tenancy.ledger import EntryState, MigrationRun, MigrationRunEntry, RunState
from tenancy.rollout import lock
from tenancy.rollout.plan import Group

SLOWEST = 5
EARLIER_RUNS = 5


@dataclass(frozen=True)
class Failure:
    """Why schemas failed, and which."""

    error: str
    schemas: Sequence[str]


@dataclass(frozen=True)
class Report:
    """What became of a run, as it is now."""

    run: MigrationRun
    state: RunState
    done: int
    failed: int
    pending: int
    by_how: Sequence[tuple[str, int, int]]
    """In which way, how many schemas, and their milliseconds together."""
    slowest: Sequence[tuple[str, int | None]]
    failures: Sequence[Failure]

    @property
    def schemas(self) -> int:
        return self.done + self.failed + self.pending

    @property
    def is_resumable(self) -> bool:
        """Whether something is left to be done by somebody else than who runs."""
        return self.state != RunState.RUNNING and bool(self.failed or self.pending)


@dataclass(frozen=True)
class Estimate:
    """How long it will take, and how that is known."""

    seconds: float
    basis: str


def state_of(run: MigrationRun, *, is_anybody_running: bool) -> RunState:
    """Return how far `run` is: of one that was killed the ledger says that it is running."""
    state = RunState(run.state)
    if state == RunState.RUNNING and not is_anybody_running:
        return RunState.INTERRUPTED
    return state


def find(number: int | None = None, *, using: str = DEFAULT_DB_ALIAS) -> MigrationRun | None:
    """Return the run of this number, or the last one; None where there is none."""
    runs = MigrationRun.objects.using(using)
    return runs.filter(pk=number).first() if number else runs.first()


def find_resumable(number: int | None = None) -> MigrationRun | None:
    """Return the run of this number, or the last of which something is left."""
    runs = MigrationRun.objects.using(settings.DDL_DATABASE)
    if number:
        return runs.filter(pk=number).first()
    left = MigrationRunEntry.objects.using(settings.DDL_DATABASE).exclude(state=EntryState.DONE)
    return runs.filter(pk__in=left.values("run")).first()


def report(run: MigrationRun) -> Report:
    """Return what became of `run`, with a few queries whatever the fleet."""
    using = run._state.db or DEFAULT_DB_ALIAS
    entries = MigrationRunEntry.objects.using(using).filter(run=run).order_by()
    counted = entries.values_list("state").annotate(Count("pk"))
    counts: dict[str, int] = dict(counted)
    done = entries.filter(state=EntryState.DONE)
    slowest = done.filter(milliseconds__isnull=False).order_by("-milliseconds")
    return Report(
        run=run,
        state=state_of(run, is_anybody_running=lock.is_held(using=using)),
        done=counts.get(EntryState.DONE, 0),
        failed=counts.get(EntryState.FAILED, 0),
        pending=counts.get(EntryState.PENDING, 0),
        by_how=list(
            done.values_list("how").annotate(Count("pk"), Sum("milliseconds")).order_by("how")
        ),
        slowest=list(slowest.values_list("schema_name", "milliseconds")[:SLOWEST]),
        failures=_failures(entries),
    )


def _failures(entries: QuerySet[MigrationRunEntry]) -> list[Failure]:
    """Return the failures, those first that most schemas have in common."""
    schemas: dict[str, list[str]] = {}
    failed = entries.filter(state=EntryState.FAILED).order_by("schema_name")
    for error, schema in failed.values_list("error", "schema_name"):
        schemas.setdefault(error, []).append(schema)
    found = [Failure(error, names) for error, names in schemas.items()]
    return sorted(found, key=lambda failure: -len(failure.schemas))


def list_entries(run: MigrationRun, *, only_failed: bool = False) -> list[MigrationRunEntry]:
    """Return what became of each schema of `run`, or of each that failed."""
    using = run._state.db or DEFAULT_DB_ALIAS
    entries = MigrationRunEntry.objects.using(using).filter(run=run)
    return list(entries.filter(state=EntryState.FAILED) if only_failed else entries)


def as_facts(found: Report, *, only_failed: bool = False) -> dict[str, Any]:
    """Return a report for programs, with what became of each schema."""
    run = found.run
    columns = ("schema_name", "wave", "state", "how", "attempts", "milliseconds", "error")
    entries = list_entries(run, only_failed=only_failed)
    return {
        "run": run.pk,
        "state": found.state,
        "command": run.command,
        "actor": run.actor,
        "pid": run.pid,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "done": found.done,
        "failed": found.failed,
        "pending": found.pending,
        "schemas": [{name: getattr(entry, name) for name in columns} for entry in entries],
    }


def estimate(groups: Iterable[Group], *, jobs: int) -> Estimate | None:
    """Return how long `groups` will take by the pace of earlier runs, None where there is none."""
    entries = MigrationRunEntry.objects.using(settings.DDL_DATABASE).order_by()
    done = entries.filter(state=EntryState.DONE, milliseconds__isnull=False)
    milliseconds, is_same = 0.0, True
    for group in groups:
        same = done.filter(migrations=[str(step) for step in group.steps])
        pace = _average(same)
        if pace is None:
            is_same = False
            pace = _average(done.filter(run__in=_last_runs(), how=group.how))
        if pace is None:
            pace = _average(done.filter(run__in=_last_runs()))
        if pace is None:
            return None
        milliseconds += pace * len(group.targets)
    basis = "as the same migrations took before" if is_same else "at the pace of the last runs"
    return Estimate(milliseconds / 1000 / jobs, basis)


def _last_runs() -> list[int]:
    runs = MigrationRun.objects.using(settings.DDL_DATABASE)
    return list(runs.values_list("pk", flat=True)[:EARLIER_RUNS])


def _average(entries: QuerySet[MigrationRunEntry]) -> float | None:
    tenants = entries.filter(wave__gt=0)
    average: float | None = tenants.aggregate(average=Avg("milliseconds"))["average"]
    return average
