"""
What are the models before and after each operation of some migrations?

That depends on the migrations alone and on no schema, and is what takes the time when Django
migrates: so it is made once, and used for all schemas that are migrated in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from django.apps import apps
from django.db import transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration, RunPython
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState, StateApps

from tenancy.rollout.history import History

Around = Callable[[Operation], AbstractContextManager[object]]


@dataclass(frozen=True)
class Move:
    """One operation with the models that it comes from and those that it goes to."""

    operation: Operation
    before: ProjectState
    after: ProjectState

    def make(self, app: str, editor: BaseDatabaseSchemaEditor, *, backwards: bool) -> None:
        run = self.operation.database_backwards if backwards else self.operation.database_forwards
        run(app, editor, self.before, self.after)


@dataclass(frozen=True)
class Stage:
    """One migration, as the moves that it is made of."""

    migration: Migration
    backwards: bool
    moves: tuple[Move, ...]

    def run(self, editor: BaseDatabaseSchemaEditor, around: Around) -> None:
        """Run the operations as Django's Migration.apply() and unapply() do, each `around`."""
        for move in self.moves:
            operation = move.operation
            is_atomic = operation.atomic or (
                self.migration.atomic and operation.atomic is not False
            )
            with around(operation):
                if is_atomic and not editor.atomic_migration:
                    with transaction.atomic(using=editor.connection.alias):
                        self._make(move, editor)
                else:
                    self._make(move, editor)

    def _make(self, move: Move, editor: BaseDatabaseSchemaEditor) -> None:
        move.make(self.migration.app_label, editor, backwards=self.backwards)


def stages(history: History, plan: Sequence[tuple[Migration, bool]]) -> list[Stage]:
    """Return the moves of all migrations of `plan`, which are all forwards or all backwards."""
    if any(backwards for _, backwards in plan):
        return _backwards(history, [migration for migration, _ in plan])
    return _forwards(history, [migration for migration, _ in plan])


def apps_before(history: History) -> StateApps:
    """Return the models as they are at the schemas, as the receivers of pre_migrate want them."""
    rendered: StateApps = history.state().apps
    return rendered


def apps_after(history: History) -> StateApps:
    """
    Return the models of all that is applied, as the receivers of post_migrate want them.

    Applications without migrations are rendered again, with their relations to the others,
    as Django's `migrate` does.
    """
    state = history.state()
    state.clear_delayed_apps_cache()
    rendered: StateApps = state.apps
    keys = [(model.app_label, model.name_lower) for model in _real(rendered)]
    with rendered.bulk_update():
        for key in keys:
            rendered.unregister_model(*key)
    rendered.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])
    return rendered


def _real(rendered: StateApps) -> list[ModelState]:
    return list(rendered.real_models)


def _forwards(history: History, plan: Sequence[Migration]) -> list[Stage]:
    state = history.state()
    _render(state)
    found = []
    for migration in _in_order(history, plan):
        moves = []
        for operation in migration.operations:
            after = state.clone()
            operation.state_forwards(migration.app_label, after)
            moves.append(Move(operation, state, after))
            state = after
        found.append(Stage(migration, False, tuple(moves)))
    return _rendered(found)


def _in_order(history: History, plan: Sequence[Migration]) -> list[Migration]:
    """Return `plan` in the order in which an empty database would be migrated, as Django does."""
    leaves = history.loader.graph.leaf_nodes()
    in_order = [each for each, _ in history.migration_plan(leaves, clean_start=True)]
    return sorted(plan, key=in_order.index)


def _backwards(history: History, plan: Sequence[Migration]) -> list[Stage]:
    before = _states_before(history, plan)
    found = []
    for migration in plan:
        state = before[migration]
        moves = []
        for operation in migration.operations:
            if not operation.reversible:
                raise IrreversibleError(f"Operation {operation} in {migration} is not reversible")
            after = state.clone()
            operation.state_forwards(migration.app_label, after)
            moves.append(Move(operation, after, state))
            state = after
        found.append(Stage(migration, True, tuple(reversed(moves))))
    return _rendered(found)


def _states_before(history: History, plan: Sequence[Migration]) -> dict[Migration, ProjectState]:
    """Return the state before each of the migrations, with what is applied of the others."""
    loader = history.loader
    nodes = loader.graph.nodes
    applied = {nodes[key] for key in loader.applied_migrations if key in nodes}
    state = history.state(applied=False)
    before = {}
    for migration, _ in history.migration_plan(loader.graph.leaf_nodes(), clean_start=True):
        if migration in plan:
            _render(state)
            before[migration] = state
            state = migration.mutate_state(state, preserve=True)
        elif migration in applied:
            migration.mutate_state(state, preserve=False)
    return before


def _rendered(found: list[Stage]) -> list[Stage]:
    for stage in found:
        for move in stage.moves:
            if isinstance(move.operation, RunPython):
                _render_for_good(move.before)
            _render(move.before)
            _render(move.after)
    return found


def _render(state: ProjectState) -> None:
    state.apps  # noqa: B018  # a cached property


def _render_for_good(state: ProjectState) -> None:
    """Make all relations between the models now: RunPython throws away what has only some."""
    state.clear_delayed_apps_cache()
    _render(state)
    state.is_delayed = False
