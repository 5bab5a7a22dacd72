"""
Which schemas are behind the code, and what is to be run in which of them?

Schemas of the same type that have applied the same are one group: what Django would do is
asked once for each group, however many schemas are in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.migrations.exceptions import NodeNotFoundError

from tenancy import context, schemas
from tenancy.context import ActiveTenant
from tenancy.errors import UnableToMigrate
from tenancy.ledger import How
from tenancy.rollout import operations, receivers
from tenancy.rollout.history import Code, Goal, History, Key, check_conflicts

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Goal", "Group", "Key", "Step", "list_known", "list_missing", "make"]


@dataclass(frozen=True, order=True)
class Step:
    """One migration that is to be run, or undone."""

    app: str
    name: str
    backwards: bool = False

    @property
    def key(self) -> Key:
        return self.app, self.name

    def __str__(self) -> str:
        return f"{self.app}.{self.name}{' backwards' if self.backwards else ''}"


@dataclass(frozen=True)
class Group:
    """
    Schemas for which the same is to be done.

    `how` is foreseen: a schema that does not look as the reference does is migrated by
    Django's operations all the same. `why` says why none of them is replayed, "" where they
    are. With a `problem` nothing can be done for them until somebody has looked into it: to
    prepare such a group is no error, to migrate one of its schemas is.
    """

    targets: tuple[ActiveTenant, ...]
    steps: tuple[Step, ...]
    how: How
    why: str = ""
    problem: str = ""
    applied: frozenset[Key] = field(default=frozenset(), repr=False)
    """The migrations that its schemas have recorded."""


def make(
    connection: BaseDatabaseWrapper,
    targets: Sequence[ActiveTenant],
    *,
    goal: Goal | None = None,
) -> list[Group]:
    """
    Return what is to be done, for those of `targets` that are not where they should be.

    That is at the end of the code's migrations, or with `goal` where it says: an application
    and its last migration (None), a named one or the beginning of its name, or "zero". A
    query for each 500 schemas, and three more. Raise UnableToMigrate for a goal that there is
    not and for an application with two last migrations; what only some schemas suffer from
    is the `problem` of their group.
    """
    code = Code()
    check_conflicts(code)
    History(connection, code, ()).check_goal(goal)
    alike: dict[tuple[str, frozenset[Key]], list[ActiveTenant]] = {}
    recorded = _list_recorded(connection, [target.schema for target in targets])
    for target in targets:
        alike.setdefault((target.type, recorded[target.schema]), []).append(target)
    groups = [
        _group(connection, code, tuple(members), applied, goal)
        for (_, applied), members in alike.items()
    ]
    return [group for group in groups if group.steps or group.problem]


def list_missing(connection: BaseDatabaseWrapper, names: Sequence[str]) -> dict[str, list[Key]]:
    """
    Return, for each of the schemas `names` that is behind, the migrations that it lacks.

    A query for each 500 schemas, and three more. Django records every migration in every
    schema, also those whose tables live elsewhere, so that one list serves all.
    """
    wanted = list_known()
    recorded = _list_recorded(connection, names)
    lacking = {
        applied: [key for key in wanted if key not in applied] for applied in set(recorded.values())
    }
    return {name: lacking[recorded[name]] for name in names if lacking[recorded[name]]}


def list_known() -> list[Key]:
    """Return all migrations of the code, each after those that it depends on."""
    history = History(None, Code(), ())  # type: ignore[arg-type]  # no schema is asked
    plan = history.migration_plan(sorted(history.loader.graph.leaf_nodes()))
    return [(migration.app_label, migration.name) for migration, _ in plan]


def _list_recorded(
    connection: BaseDatabaseWrapper, names: Sequence[str]
) -> dict[str, frozenset[Key]]:
    """Return what each of the schemas has recorded, asking one of those that are alike."""
    with context.override(context.PLATFORM, in_transaction=True):
        hashes = schemas.hash_applied(connection, names)
        examples = {found: name for name, found in hashes.items()}
        applied = schemas.list_applied(connection, list(examples.values()))
    by_hash = {found: frozenset(applied.get(name, frozenset())) for found, name in examples.items()}
    nothing: frozenset[Key] = frozenset()
    return {name: by_hash[hashes[name]] if name in hashes else nothing for name in names}


def _group(
    connection: BaseDatabaseWrapper,
    code: Code,
    targets: tuple[ActiveTenant, ...],
    applied: frozenset[Key],
    goal: Goal | None,
) -> Group:
    try:
        history = History(connection, code, applied)
        plan = history.plan(goal)
        operations.check_reversible(plan)
    except (UnableToMigrate, NodeNotFoundError) as error:
        return Group(targets, (), How.EXECUTOR, problem=str(error), applied=applied)
    steps = tuple(Step(each.app_label, each.name, backwards) for each, backwards in plan)
    steps += _list_replacing(history, steps)
    why = operations.why_not_replayed(migration for migration, _ in plan)
    why = why or receivers.why_not_replayed(steps)
    how = How.EXECUTOR if why else How.REPLAY
    return Group(targets, steps, how, why, applied=applied)


def _list_replacing(history: History, steps: Collection[Step]) -> tuple[Step, ...]:
    """
    Return the squashed migrations that are only to be recorded, as all of them was applied.

    Django does that at each `migrate`, whatever it was called for.
    """
    if any(step.backwards for step in steps):
        return ()
    then = set(history.recorded) | {step.key for step in steps}
    planned = {step.key for step in steps}
    return tuple(Step(*key) for key in history.list_replacing(then) if key not in planned)


def describe(steps: Iterable[Step]) -> str:
    """Return the steps as one would say them."""
    return ", ".join(map(str, steps))
