"""
What must a migration not do while the release before it is running?

A fleet is migrated clinic by clinic, for minutes, while pods of the old release serve both
those that are migrated and those that are not. docs/decisions/0026 has the reasons, and
docs/howto/write-a-safe-migration.md the way around each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    NotInTransactionMixin,
    ValidateConstraint,
)
from django.db import models
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelManagers,
    AlterModelOptions,
    AlterModelTable,
    AlterUniqueTogether,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
)
from django.db.migrations.state import ModelState

from tenancy.checks.migrations import types
from tenancy.checks.migrations.steps import (
    AnyField,
    Step,
    column_of,
    is_same_in_database,
    table_of,
)

SAYS_ROWS = re.compile(
    r"\b(insert\s+into|update\s+\S+\s+set|delete\s+from|merge\s+into|copy\s+\S)", re.IGNORECASE
)
NAMES_ONLY = (AlterModelManagers, AlterModelOptions)


class Finding(NamedTuple):
    id: str
    message: str
    hint: str


def list_findings(steps: Iterator[Step]) -> list[Finding]:
    """Return what is to be said of one migration; each step is looked at when it is reached."""
    seen: list[Sight] = []
    found: list[Finding] = []
    for step in steps:
        for rule in OF_A_STEP:
            found += rule(step)
        seen.append(Sight(step, changes_rows=_changes_rows(step), alters=_alters(step)))
    for rule_of_all in OF_A_MIGRATION:
        found += rule_of_all(seen)
    return found


# E070: what the running release reads or writes is gone


def removed(step: Step) -> Iterator[Finding]:
    if step.is_state_only or not step.has_table or step.before is None:
        return
    operation, before, after = step.operation, step.before, step.after
    if isinstance(operation, RemoveField):
        column = column_of(operation.name, before.fields[operation.name])
        if column is not None:
            yield _gone(step, f"drops the column {step.table}.{column}", _take_out_first(step, column))
        elif table := _table_between(step, operation.name):
            yield _gone(step, f"drops the table {table}", _take_out_first(step))
    elif isinstance(operation, DeleteModel):
        yield _gone(step, f"drops the table {step.table}", _take_out_first(step))
    elif isinstance(operation, RenameField):
        yield from _renamed_column(step, before, operation.old_name, operation.new_name)
    elif isinstance(operation, AlterField) and after is not None:
        yield from _renamed_column(step, before, operation.name, operation.name)
    elif isinstance(operation, RenameModel | AlterModelTable) and after is not None:
        if table_of(before) != table_of(after):
            yield _gone(
                step,
                f"renames the table {table_of(before)} to {table_of(after)}",
                f"Keep the table: write db_table = {table_of(before)!r} into the model's Meta, and "
                "run makemigrations again.",
            )


def _renamed_column(step: Step, before: ModelState, old: str, new: str) -> Iterator[Finding]:
    assert step.after is not None  # noqa: S101  # of no operation that leaves no model
    one, other = before.fields[old], step.after.fields[new]
    was, will_be = column_of(old, one), column_of(new, other)
    if was and will_be and was != will_be:
        yield _gone(
            step,
            f"renames the column {step.table}.{was} to {will_be}",
            f"Keep the column: give {new!r} db_column={was!r}, and run makemigrations again.",
        )


def _gone(step: Step, what: str, hint: str) -> Finding:
    return Finding(
        "tenancy.E070", f"{step} {what}, which the running release reads and writes.", hint
    )


def _take_out_first(step: Step, column: str = "") -> str:
    operation, model, table = step.operation, _name(step), step.table
    back = "migrations.RunSQL.noop"
    if not isinstance(operation, RemoveField):
        forgotten, drop = f"DeleteModel({model!r})", f"DROP TABLE {table}"
    elif column:
        forgotten = f"RemoveField({model!r}, {operation.name!r})"
        drop = f"ALTER TABLE {table} DROP COLUMN {column}"
        field = step.before.fields[operation.name] if step.before else None
        back = repr(f"ALTER TABLE {table} ADD COLUMN {column} {step.type_of(field)}")
    else:
        forgotten = f"RemoveField({model!r}, {operation.name!r})"
        drop = f"DROP TABLE {_table_between(step, operation.name)}"
    return (
        "In this release let only the models forget it: migrations.SeparateDatabaseAndState("
        f"state_operations=[migrations.{forgotten}]). In the next: "
        f"migrations.RunSQL({drop!r}, {back})."
    )


def _table_between(step: Step, name: str) -> str:
    """Return the table that Django made for a many-to-many field, if it did."""
    field: AnyField = step.before.fields[name] if step.before else None
    if not isinstance(field, models.ManyToManyField) or field.remote_field.through is not None:
        return ""
    named: str | None = getattr(field, "db_table", None)
    return named or f"{step.table}_{name}"


# E071: a column that the running release, or the new one, has no value for


def unfillable(step: Step) -> Iterator[Finding]:
    if not step.has_table:
        return
    operation, before = step.operation, step.before
    if isinstance(operation, AddField) and not step.is_state_only:
        if _needs_a_value(operation.name, operation.field):
            yield _unfilled(
                step,
                operation.name,
                "the running release inserts rows without it",
                f"Give {operation.name!r} a db_default beside its default, or null=True.",
            )
    elif isinstance(operation, AlterField) and before is not None and not step.is_state_only:
        was = before.fields[operation.name]
        if was.has_db_default() and _needs_a_value(operation.name, operation.field):
            yield _unfilled(
                step,
                operation.name,
                "the running release leaves its value to the default that goes",
                "Keep the db_default in this release.",
            )
    elif isinstance(operation, RemoveField) and before is not None and step.is_state_only:
        if _needs_a_value(operation.name, before.fields[operation.name]):
            yield _unfilled(
                step,
                operation.name,
                "this release inserts rows without it, as the column stays",
                f"Put migrations.AlterField({before.name_lower!r}, {operation.name!r}, ...) with "
                "null=True or a db_default before it.",
            )


def _needs_a_value(name: str, field: AnyField) -> bool:
    """Tell whether PostgreSQL refuses a row in which nobody said it."""
    if field.null or field.has_db_default() or column_of(name, field) is None:
        return False
    return not (field.generated or isinstance(field, models.AutoField | models.BigAutoField))


def _unfilled(step: Step, name: str, why: str, hint: str) -> Finding:
    return Finding(
        "tenancy.E071", f"{step}: {step.table}.{name} is NOT NULL, and {why}.", hint
    )


# W072: every row is written anew while nobody may read the table


def rewritten(step: Step) -> Iterator[Finding]:
    if step.is_state_only or not step.has_table:
        return
    operation = step.operation
    if isinstance(operation, AddField):
        if why := _writes_each_row(operation.field):
            yield _rewrite(step, why, _add_in_three(step, operation.name))
    elif isinstance(operation, AlterField) and step.before is not None:
        old = step.type_of(step.before.fields[operation.name])
        new = step.type_of(operation.field)
        if old and new and types.is_rewritten(old, new):
            yield _rewrite(
                step,
                f"for {operation.name!r} to become {new} from {old}",
                "Add a column of the new type, let the code write both, fill it, let the code "
                "read it, and let the models forget the old one, in releases one after the other.",
            )


def _writes_each_row(field: AnyField) -> str:
    if field.generated and getattr(field, "db_persist", False):
        return "to compute a stored generated column"
    if isinstance(field, models.AutoField | models.BigAutoField | models.SmallAutoField):
        return "to number each row"
    if types.is_volatile(field):
        return "as its db_default is another for each row"
    return ""


def _add_in_three(step: Step, name: str) -> str:
    return (
        f"Add {name!r} with null=True and without it, set the default by an AlterField of its own, "
        "and fill the rows that there are in a migration with RunPython."
    )


def _rewrite(step: Step, why: str, hint: str) -> Finding:
    return Finding(
        "tenancy.W072",
        f"{step} writes all of {step.table} anew, {why}; nobody reads it meanwhile.",
        hint,
    )


# W073: NOT NULL on a column that had none


def not_null(step: Step) -> Iterator[Finding]:
    operation, before = step.operation, step.before
    if step.is_state_only or not step.has_table or before is None:
        return
    if not isinstance(operation, AlterField):
        return
    name = operation.name
    if not before.fields[name].null or operation.field.null or _is_given(step, before, name):
        return
    constraint = f"{step.table}_{name}_given"
    yield Finding(
        "tenancy.W073",
        f"{step} reads all of {step.table} while nobody may write it, and is refused for a clinic "
        f"where {name!r} is NULL in any row: the running release may still write that.",
        "Once no release writes NULL: AddConstraintNotValid("
        f"{before.name_lower!r}, models.CheckConstraint(condition=models.Q({name}__isnull=False), "
        f"name={constraint!r})), in a migration after it ValidateConstraint({before.name_lower!r}, "
        f"{constraint!r}), and then this.",
    )


def _is_given(step: Step, before: ModelState, name: str) -> bool:
    """Tell whether a constraint that was validated says so already: PostgreSQL believes it."""
    return any(
        isinstance(each, models.CheckConstraint)
        and each.condition == models.Q(**{f"{name}__isnull": False})
        and step.history.is_valid(before, each.name)
        for each in before.options.get("constraints", ())
    )


# W074 and W075: what is built or proven from all rows of a large table


def indexed(step: Step) -> Iterator[Finding]:
    if step.is_state_only or not step.is_large or not (name := _new_index(step)):
        return
    yield Finding(
        "tenancy.W074",
        f"{step} builds an index of {step.label}, a large table, while nobody may write it.",
        f"Give {name} a name in Meta.indexes, and in a migration of its own, with atomic = False: "
        f"AddIndexConcurrently({_name(step)!r}, models.Index(...)).",
    )


def _new_index(step: Step) -> str:
    """Return of what an index is built by this operation, other than concurrently."""
    operation, before = step.operation, step.before
    if isinstance(operation, AddIndex) and not isinstance(operation, AddIndexConcurrently):
        return f"the index {operation.index.name!r}"
    if isinstance(operation, AddField) and _has_index(operation.field):
        return f"that of {operation.name!r}"
    if isinstance(operation, AlterField) and before is not None:
        if _has_index(operation.field) and not _has_index(before.fields[operation.name]):
            return f"that of {operation.name!r}"
    return ""


def _has_index(field: AnyField) -> bool:
    return not field.many_to_many and bool(field.db_index or field.unique)


def constrained(step: Step) -> Iterator[Finding]:
    if step.is_state_only or not step.is_large:
        return
    operation = step.operation
    if isinstance(operation, AddConstraint) and not isinstance(operation, AddConstraintNotValid):
        yield _proven(step, _without_proof(step, operation))
    elif isinstance(operation, AlterUniqueTogether) and _new_together(step, operation):
        yield _proven(step, "Write models.UniqueConstraint in Meta.constraints. " + _unique(step))
    elif isinstance(operation, ValidateConstraint) and not _is_valid_now(step, operation):
        yield _proven(step, "Put it into a migration of its own, after the one that adds it.")
    elif isinstance(operation, AlterField) and _points_now(step, operation):
        yield _proven(
            step,
            f"migrations.RunSQL('ALTER TABLE {step.table} ADD CONSTRAINT ... FOREIGN KEY ... NOT "
            "VALID', state_operations=[...]), and in a migration after it VALIDATE CONSTRAINT.",
        )


def _without_proof(step: Step, operation: AddConstraint) -> str:
    if not isinstance(operation.constraint, models.CheckConstraint):
        return _unique(step)
    name = operation.constraint.name
    return (
        f"AddConstraintNotValid({_name(step)!r}, ...) from django.contrib.postgres.operations, and "
        f"in a migration after it ValidateConstraint({_name(step)!r}, {name!r})."
    )


def _unique(step: Step) -> str:
    return (
        "In a migration of its own, with atomic = False: migrations.RunSQL('CREATE UNIQUE INDEX "
        f"CONCURRENTLY ... ON {step.table} (...)', 'DROP INDEX ...', state_operations=["
        f"migrations.AddConstraint({_name(step)!r}, ...)])."
    )


def _new_together(step: Step, operation: AlterUniqueTogether) -> bool:
    before = step.before.options.get("unique_together", ()) if step.before else ()
    return not set(operation.option_value or ()) <= set(map(tuple, before or ()))


def _is_valid_now(step: Step, operation: ValidateConstraint) -> bool:
    return step.before is not None and step.history.is_valid(step.before, operation.name)


def _points_now(step: Step, operation: AlterField) -> bool:
    if step.before is None:
        return False
    old, new = step.before.fields[operation.name], operation.field
    return _is_proven(new) and not _is_proven(old)


def _is_proven(field: AnyField) -> bool:
    return bool(field.many_to_one and field.db_constraint)


def _proven(step: Step, hint: str) -> Finding:
    return Finding(
        "tenancy.W075",
        f"{step} proves a constraint of {step.label}, a large table, while nobody may write it.",
        hint,
    )


def _name(step: Step) -> str:
    state = step.before or step.after
    return state.name_lower if state else ""


# W076, W077 and W078: a migration as a whole


class Sight(NamedTuple):
    step: Step
    changes_rows: bool
    alters: bool
    """It locks a table that was there before, until the transaction ends."""


def _changes_rows(step: Step) -> bool:
    operation = step.operation
    if isinstance(operation, RunPython):
        return operation.code is not RunPython.noop and not step.is_state_only
    return isinstance(operation, RunSQL) and bool(SAYS_ROWS.search(str(operation.sql)))


def _alters(step: Step) -> bool:
    operation = step.operation
    if step.is_state_only or not step.has_table:
        return False
    if isinstance(operation, (*NAMES_ONLY, CreateModel, RunPython, RunSQL)):
        return False
    if isinstance(operation, AlterField) and step.before is not None:
        return not is_same_in_database(step.before.fields[operation.name], operation.field)
    return True


def mixed(seen: list[Sight]) -> Iterator[Finding]:
    altering = next((each.step for each in seen if each.alters), None)
    changing = next((each.step for each in seen if each.changes_rows), None)
    if altering and changing and changing.migration.atomic:
        yield Finding(
            "tenancy.W076",
            f"{changing} changes rows in the transaction in which {altering} locks "
            f"{altering.table}: nobody reads it until all rows are done.",
            "Put what changes rows into a migration of its own.",
        )


def no_way_back(seen: list[Sight]) -> Iterator[Finding]:
    for step, _, _ in seen:
        if not step.operation.reversible:
            argument = "reverse_sql" if isinstance(step.operation, RunSQL) else "reverse_code"
            kind = "RunSQL" if isinstance(step.operation, RunSQL) else "RunPython"
            yield Finding(
                "tenancy.W077",
                f"{step} has no way back, so that the fleet cannot be migrated backwards past it.",
                f"Give it {argument}, if only migrations.{kind}.noop where the old code can live "
                "with what it did.",
            )


def not_atomic(seen: list[Sight]) -> Iterator[Finding]:
    if not seen:
        return
    migration = seen[0].step.migration
    alone = [each.step for each in seen if isinstance(each.step.operation, NotInTransactionMixin)]
    if migration.atomic:
        for step in alone:
            yield Finding(
                "tenancy.W078",
                f"{step} cannot run in a transaction, and this migration is one.",
                "Write atomic = False into the Migration, with this operation alone.",
            )
        return
    steps = [each.step for each in seen if not _sends_nothing(each.step)]
    if len(steps) > 1:
        yield Finding(
            "tenancy.W078",
            f"It is not atomic and has {len(steps)} operations: where one fails, those before it "
            "are done and not recorded, and are refused when it is run again.",
            "Give each a migration of its own; leave atomic = False out where it is not needed.",
        )
    elif steps and not alone and not isinstance(steps[0].operation, RunPython | RunSQL):
        yield Finding(
            "tenancy.W078",
            f"It is not atomic, and {steps[0]} needs a transaction like any other.",
            "Leave atomic = False out.",
        )


def _sends_nothing(step: Step) -> bool:
    return step.is_state_only or isinstance(step.operation, NAMES_ONLY)


OF_A_STEP: tuple[Callable[[Step], Iterator[Finding]], ...] = (
    removed,
    unfillable,
    rewritten,
    not_null,
    indexed,
    constrained,
)
OF_A_MIGRATION: tuple[Callable[[list[Sight]], Iterator[Finding]], ...] = (
    mixed,
    no_way_back,
    not_atomic,
)
