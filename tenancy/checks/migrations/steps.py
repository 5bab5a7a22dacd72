"""
What does each operation of a migration do, and to which table?

Operations say what they change, and not what was there before: so the migrations are walked
from the first one on, as Django does to find out what models looked like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.migrations import Migration
from django.db.migrations.operations import (
    CreateModel,
    RenameModel,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models import Field

from tenancy.conf import settings

Key: TypeAlias = "tuple[str, str]"
AnyField: TypeAlias = Any  # a Field; Django's types know half of what one has


@dataclass(frozen=True)
class Step:
    """An operation, with what it finds and what it leaves."""

    migration: Migration
    position: int
    """From 1, as they stand in the file."""

    operation: Operation
    before: ModelState | None
    after: ModelState | None
    is_new: bool
    """The table is empty: it is made by the same migration, or by its app's first."""

    is_state_only: bool
    """It changes what Django knows, and nothing in the database."""

    history: History

    def __str__(self) -> str:
        return f"Operation {self.position} ({self.operation.describe()})"

    @property
    def table(self) -> str:
        """The table that there was, or the one that there is now."""
        state = self.before or self.after
        return table_of(state) if state else ""

    @property
    def label(self) -> str:
        state = self.before or self.after
        return f"{state.app_label}.{state.name}" if state else ""

    @property
    def has_table(self) -> bool:
        """Whether it is a table with rows in it, perhaps, that Django looks after."""
        state = self.before or self.after
        if state is None or self.is_new:
            return False
        return bool(state.options.get("managed", True)) and not state.options.get("proxy")

    @property
    def is_large(self) -> bool:
        large = {label.lower() for label in settings.LARGE_MODELS}
        return self.has_table and self.label.lower() in large

    def type_of(self, column: AnyField) -> str | None:
        return self.history.type_of(column, self.migration.app_label)


@dataclass
class History:
    """The models as they are after the migrations that were walked so far."""

    state: ProjectState = field(default_factory=ProjectState)
    not_valid: dict[tuple[Key, str], Migration] = field(default_factory=dict)
    """Constraints that hold for new rows only, and since which migration."""

    def skip(self, migration: Migration) -> None:
        """Walk a migration that nobody asks about."""
        for operation in migration.operations:
            operation.state_forwards(migration.app_label, self.state)

    def walk(self, migration: Migration) -> Iterator[Step]:
        """Yield each operation while the models are as it leaves them; none may be left out."""
        made: set[Key] = set()
        for position, operation in enumerate(migration.operations, start=1):
            yield from self._walk(migration, position, operation, made)

    def _walk(
        self,
        migration: Migration,
        position: int,
        operation: Operation,
        made: set[Key],
        *,
        is_state_only: bool = False,
    ) -> Iterator[Step]:
        parts = _parts(operation)
        if parts is not None:
            in_database, in_state = parts
            # Both begin with the same models, and what is left is what the state's say.
            beside = History(self.state.clone(), self.not_valid)
            for part in in_database:
                yield from beside._walk(migration, position, part, made)
            for part in in_state:
                yield from self._walk(migration, position, part, made, is_state_only=True)
            return
        app = migration.app_label
        key, key_after = _keys(app, operation)
        before = self.state.models[key].clone() if key in self.state.models else None
        operation.state_forwards(app, self.state)
        after = self.state.models.get(key_after)
        if isinstance(operation, CreateModel):
            made.add(key_after)
        is_new = bool(migration.initial) or key in made
        if is_new:
            made.add(key_after)
        self._note_constraint(migration, operation, key)
        yield Step(
            migration, position, operation, before, after, is_new, is_state_only, history=self
        )

    def _note_constraint(self, migration: Migration, operation: Operation, key: Key) -> None:
        if isinstance(operation, AddConstraintNotValid):
            self.not_valid[key, operation.constraint.name] = migration
        elif isinstance(operation, ValidateConstraint):
            since = self.not_valid.get((key, operation.name))
            # In the same transaction it is no better than a constraint that is valid at once.
            if since is not migration:
                self.not_valid.pop((key, operation.name), None)

    def is_valid(self, state: ModelState, constraint: str) -> bool:
        return ((state.app_label, state.name_lower), constraint) not in self.not_valid

    def type_of(self, column: AnyField, app: str) -> str | None:
        """Return PostgreSQL's type of a column, or None where it cannot be told."""
        if not isinstance(column, models.ForeignKey):
            found: str | None = column.db_type(connections[DEFAULT_DB_ALIAS])
            return found
        target = self.state.models.get(resolve_relation(column.remote_field.model, app))
        if target is None:
            return None
        (named,) = column.to_fields
        pointed = target.fields.get(named) if named else _primary_key(target)
        return self.type_of(pointed, target.app_label) if pointed is not None else None


def _parts(operation: Operation) -> tuple[Sequence[Operation], Sequence[Operation]] | None:
    """Return what is done to the database and what to the state, where they differ."""
    if isinstance(operation, SeparateDatabaseAndState):
        return operation.database_operations, operation.state_operations
    if isinstance(operation, RunSQL) and operation.state_operations:
        alone = RunSQL(operation.sql, operation.reverse_sql)
        return [alone], list(operation.state_operations)
    return None


def _keys(app: str, operation: Operation) -> tuple[Key, Key]:
    """Return which model it is, before and after."""
    if isinstance(operation, RenameModel):
        return (app, operation.old_name_lower), (app, operation.new_name_lower)
    name = getattr(operation, "model_name", None)
    if name is None:
        name = getattr(operation, "name", "")
    key = (app, str(name).lower())
    return key, key


def _primary_key(state: ModelState) -> AnyField | None:
    own = (each for each in state.fields.values() if each.primary_key)
    return next(own, None) or models.BigAutoField(primary_key=True)


def table_of(state: ModelState) -> str:
    return str(state.options.get("db_table") or f"{state.app_label}_{state.name_lower}")


def column_of(name: str, column: AnyField) -> str | None:
    """Return the name of a field's column; None for one that has a table instead, or nothing."""
    if column.many_to_many:
        return None
    if column.db_column:
        return str(column.db_column)
    return f"{name}_id" if isinstance(column, models.ForeignKey) else name


def is_same_in_database(old: AnyField, new: AnyField) -> bool:
    """Tell whether both make the same column, so that altering it sends nothing."""
    return _as_database_has_it(old) == _as_database_has_it(new)


def _as_database_has_it(column: AnyField) -> tuple[str, Any, dict[str, Any]]:
    _, path, arguments, options = column.deconstruct()
    return (
        path,
        arguments,
        {name: value for name, value in options.items() if name not in column.non_db_attrs},
    )

