"""
How is a whole fleet compared, when nearly all of it is as it should be?

By fingerprint: what differs is read of one schema for each fingerprint, and told once for all
that have the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from django.db import connections

from tenancy import catalogue, context, schemas
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.drift import strays
from tenancy.drift.comparing import Difference, Reference, compare
from tenancy.drift.strays import Stray
from tenancy.rollout import executor, plan, reference, scratch

# Of one query: small enough that a progress bar moves.
CHUNK = 100


@dataclass(frozen=True)
class Report:
    """What was found out about some tenants' schemas."""

    same: list[ActiveTenant]
    differing: dict[ActiveTenant, tuple[Difference, ...]]
    behind: dict[ActiveTenant, int]
    """How many migrations each lacks; such schemas are not compared."""
    gone: list[ActiveTenant]
    """Those that have no schema."""
    strays: list[Stray] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.differing or self.behind or self.gone or self.strays)

    @property
    def compared(self) -> int:
        return len(self.same) + len(self.differing)

    @cached_property
    def groups(self) -> list[tuple[list[ActiveTenant], list[Difference]]]:
        """The differences with those that have them, the most frequent first."""
        having: dict[Difference, list[ActiveTenant]] = {}
        for target, differences in self.differing.items():
            for difference in differences:
                having.setdefault(difference, []).append(target)
        alike: dict[tuple[ActiveTenant, ...], list[Difference]] = {}
        for difference, targets in having.items():
            alike.setdefault(tuple(targets), []).append(difference)
        by_number = sorted(alike.items(), key=lambda each: -len(each[0]))
        return [(list(targets), differences) for targets, differences in by_number]


def check(
    targets: Sequence[ActiveTenant],
    *,
    with_strays: bool = True,
    tell: Callable[[int], None] = lambda number: None,
) -> Report:
    """
    Compare the schema of each of `targets` with what the code's migrations make.

    `tell` is called with the number of those that were compared meanwhile; `with_strays`
    looks for schemas, roles and organizations that have lost their other half. Nothing is
    changed, but that a reference is captured where there was none. Raise UnableToMigrate where
    even that cannot be made.
    """
    connection = connections[settings.DDL_DATABASE]
    with context.override(context.PLATFORM, in_transaction=True):
        behind = _list_behind(targets)
        current = [target for target in targets if target not in behind]
        found: dict[str, str] = {}
        for start in range(0, len(current), CHUNK):
            chunk = current[start : start + CHUNK]
            found |= catalogue.fingerprints(connection, [target.schema for target in chunk])
            tell(len(chunk))
        # Of what has no schema all migrations are missing too.
        missing = _without_schema([target.schema for target in behind])
        report = Report(
            same=[],
            differing={},
            behind={each: n for each, n in behind.items() if each.schema not in missing},
            gone=[each for each in targets if each.schema in missing],
            strays=strays.find(connection) if with_strays else [],
        )
        for kind in sorted({target.type for target in current}):
            _sort(report, [each for each in current if each.type == kind], found, kind)
    return report


def _list_behind(targets: Sequence[ActiveTenant]) -> dict[ActiveTenant, int]:
    """Return how many migrations of the code are missing in the schemas that lack any."""
    connection = connections[settings.DDL_DATABASE]
    missing = plan.list_missing(connection, [target.schema for target in targets])
    return {each: len(missing[each.schema]) for each in targets if each.schema in missing}


def _without_schema(names: Collection[str]) -> set[str]:
    connection = connections[settings.DDL_DATABASE]
    return {name for name in names if not schemas.exists(connection, name)}


def _sort(report: Report, targets: list[ActiveTenant], found: dict[str, str], kind: str) -> None:
    """Put each of `targets`, all of one kind, where it belongs in the report."""
    wanted = reference.current(type=kind).fingerprint
    by_fingerprint: dict[str, list[ActiveTenant]] = {}
    for target in targets:
        by_fingerprint.setdefault(found.get(target.schema, ""), []).append(target)
    report.same.extend(by_fingerprint.pop(wanted, ()))
    if not by_fingerprint:
        return
    should_be = read_reference(kind)
    connection = connections[settings.DDL_DATABASE]
    for alike in by_fingerprint.values():
        one = alike[0].schema
        differences = tuple(compare(should_be, catalogue.read(connection, [one])[one]))
        report.differing.update(dict.fromkeys(alike, differences))


def read_reference(kind: str) -> Reference:
    """Return what a schema of tenants of the type `kind` should be, all of it."""
    connection = connections[settings.DDL_DATABASE]
    captured = reference.current(type=kind)
    with scratch.schema(type=kind) as target:
        if captured.script:
            with connection.cursor() as cursor:
                cursor.execute(captured.script)
        else:
            executor.migrate_unused(target)
        source = catalogue.open_source(connection, target.schema)
    owner = schemas.owner_of(connection)
    return Reference(fingerprint=captured.fingerprint, source=source, owner=owner)
