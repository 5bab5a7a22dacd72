"""
How is a run of migrations told, before it and after it, in 80 columns?
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage

from tenancy.ledger import How, MigrationRunEntry, RunState
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout.order import Order, Survey
from tenancy.rollout.plan import Group
from tenancy.rollout.reports import Estimate, Failure, Report
from tenancy.rollout.run import Summary

WIDTH = 80
SHOWN = 6

IN_WORDS = {
    How.REPLAY: "replayed from the reference",
    How.EXECUTOR: "by Django's operations",
    How.MIGRATE: "by Django's command",
    "": "found done",
}
STATES = {
    RunState.RUNNING: "is running",
    RunState.DONE: "is done",
    RunState.FAILED: "ended with failures",
    RunState.INTERRUPTED: "was interrupted",
}


def name_some(names: Sequence[str], most: int = SHOWN) -> str:
    """Return the names, or the first of them and how many more there are."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def say_seconds(seconds: float) -> str:
    """Return a time as one would say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


# Before


def plan(
    found: Survey, wanted: Order, estimate: Estimate | None, *, is_long: bool = False
) -> Iterator[str]:
    """Say who is behind, by what, what would be done about it, and how long that takes."""
    if not found.behind:
        yield f"Nothing to do: {_all(found.schemas)}."
        return
    if found.public:
        yield "The public schema comes first, by Django's command:"
        yield from _steps(found.public)
        yield ""
    if not found.are_tenants_known:
        yield "Which tenants there are can be asked when that is done."
        return
    behind = sum(len(group.targets) for group in found.groups)
    if wanted.tenants:
        yield f"{behind} of {found.schemas - wanted.public} tenants are to be migrated."
    for group in found.groups:
        yield from _group(group, is_long=is_long)
    if found.groups:
        yield ""
        yield _say_estimate(estimate, wanted)


def findings(messages: Sequence[CheckMessage]) -> Iterator[str]:
    """Say what the checks find in the migrations of a plan, and where one reads what to do."""
    if not messages:
        return
    yield ""
    yield "While the release before still serves, or people work:"
    for message in messages:
        yield f"    {message.id}  {message.obj}"
        yield from textwrap.wrap(
            message.msg, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8
        )
    yield "What to write instead is said by: manage.py check"


def _group(group: Group, *, is_long: bool) -> Iterator[str]:
    names = sorted(target.schema for target in group.targets)
    count = len(group.steps)
    yield ""
    if group.problem:
        yield f"{len(names)} cannot be migrated:"
        yield from _wrapped(group.problem)
    else:
        yield f"{len(names)} by {count} migration{'s' * (count != 1)}, {_way(group)}:"
        yield from _steps(group)
    yield from _wrapped(f"in {name_some(names, len(names) if is_long else SHOWN)}")


def _way(group: Group) -> str:
    said = IN_WORDS[group.how]
    return f"{said} ({group.why})" if group.why else said


def _steps(group: Group) -> Iterator[str]:
    for step in group.steps:
        yield f"    {step}"
    if not group.steps:
        yield f"    {group.problem or group.why}"


def _say_estimate(estimate: Estimate | None, wanted: Order) -> str:
    if estimate is None:
        return "How long that takes is not known: no earlier run says."
    return f"About {say_seconds(estimate.seconds)} with {wanted.jobs} jobs, {estimate.basis}."


def check(found: Survey) -> str:
    """Say who is behind."""
    names = [PUBLIC_SCHEMA] if found.public else []
    names += sorted(target.schema for group in found.groups for target in group.targets)
    return (
        f"{len(names)} of {found.schemas} schemas are behind the code: {name_some(names)}.\n"
        "What they lack is shown by: manage.py migrate_schemas --plan"
    )


# After


def nothing(summary: Summary) -> str:
    """Say that nothing was to be done."""
    return f"Nothing to do: {_all(summary.schemas)}."


def _all(schemas: int) -> str:
    if schemas == 1:
        return "the one schema lacks nothing"
    return f"none of {schemas} schemas lacks anything"


def table(summary: Summary) -> Iterator[str]:
    """Say what was done, in which way and how fast."""
    done = [result for result in summary.results if not result.error]
    counts = Counter(result.how for result in done)
    yield ""
    for how, count in counts.most_common():
        seconds = sum(result.milliseconds for result in done if result.how == how) / 1000
        yield _row("done", count, f"{IN_WORDS[how]}, {seconds / count:.2f} s each")
    if summary.failures:
        yield _row("failed", len(summary.failures), "")
    if summary.pending:
        yield _row("pending", summary.pending, summary.why)
    if summary.gone:
        yield _row("gone", len(summary.gone), f"deleted or renamed: {name_some(summary.gone, 2)}")
    pace = len(summary.results) / summary.seconds if summary.seconds else 0.0
    yield f"{say_seconds(summary.seconds)}, {pace:.1f} schemas a second."


def _row(what: str, count: int, said: str) -> str:
    return f"  {what:8}{count:6}  {said}".rstrip()


def what_failed(summary: Summary) -> Iterator[str]:
    """Say what failed, those together that failed alike, and what to type next."""
    alike: dict[str, list[str]] = {}
    for result in summary.failures:
        alike.setdefault(result.error, []).append(result.schema)
    if alike:
        yield f"{len(summary.failures)} of the schemas failed:"
        for error, names in alike.items():
            yield from _failure(Failure(error, sorted(names)))
    yield from _next(summary)


def _failure(failure: Failure, *, is_long: bool = False) -> Iterator[str]:
    most = len(failure.schemas) if is_long else SHOWN
    yield from _wrapped(f"{len(failure.schemas)} x {failure.error}")
    yield from _wrapped(f"in {name_some(failure.schemas, most)}", indent="      ")


def _next(summary: Summary) -> Iterator[str]:
    if not summary.failures and not summary.pending:
        return
    if summary.run is None:
        yield "Type the same once more when the cause is gone."
    else:
        yield f"Go on with:    manage.py migrate_schemas --resume {summary.run.pk}"
        yield f"Look at it:    manage.py show_migration_run {summary.run.pk}"


# At any time


def report(found: Report, *, is_long: bool = False) -> Iterator[str]:
    """Say what became of a run."""
    run = found.run
    began = run.started_at
    yield f"{run} {STATES[found.state]}: {run.command}"
    yield f"  began    {began:%Y-%m-%d %H:%M:%S} UTC by {run.actor}, process {run.pid}"
    if run.finished_at is not None:
        took = (run.finished_at - began).total_seconds()
        yield f"  ended    {run.finished_at:%Y-%m-%d %H:%M:%S} UTC, after {say_seconds(took)}"
    yield ""
    for how, count, together in found.by_how:
        each = f", {together / 1000 / count:.2f} s each" if together else ""
        yield _row("done", count, f"{IN_WORDS[how]}{each}")
    yield _row("failed", found.failed, "")
    yield _row("pending", found.pending, "")
    if found.slowest:
        yield "\nSlowest:"
        for schema, milliseconds in found.slowest:
            yield f"  {(milliseconds or 0) / 1000:8.2f} s  {schema}"
    if found.failures:
        yield "\nFailed:"
        for failure in found.failures:
            yield from _failure(failure, is_long=is_long)
    if found.is_resumable:
        yield f"\nGo on with: manage.py migrate_schemas --resume {run.pk}"


def entry(row: MigrationRunEntry) -> str:
    """Say what became of one schema of a run."""
    took = f"{row.milliseconds / 1000:.2f} s" if row.milliseconds is not None else ""
    again = f" (attempt {row.attempts})" if row.attempts > 1 else ""
    said = row.error or row.how
    return f"{row.schema_name:24} {row.state:8}{took:>9}  {said}{again}".rstrip()


def _wrapped(text: str, indent: str = "    ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
