"""
What does Django make of a schema of which is known what was applied there?

Django's loader asks the active schema, and reads the migrations of all applications anew for
each. Here they are read once, and the schemas that have applied the same are one question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from django.apps import apps
from django.db.migrations import Migration
from django.db.migrations.exceptions import (
    AmbiguityError,
    InconsistentMigrationHistory,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState

from tenancy.errors import UnableToMigrate

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Key: TypeAlias = tuple[str, str]
"""A migration, by application and name."""

Goal: TypeAlias = tuple[str, str | None]
"""An application, and the migration to which it is brought: None for its last, or "zero"."""


class Code(MigrationLoader):
    """The migrations of the code, as they are on disk."""

    def __init__(self) -> None:
        super().__init__(None, load=False)
        self.load_disk()


class Loader(MigrationLoader):
    """Django's loader for a schema in which `recorded` is applied."""

    def __init__(self, code: Code, recorded: Iterable[Key]) -> None:
        self._code = code
        self._recorded = frozenset(recorded)
        super().__init__(None)

    def load_disk(self) -> None:
        # Copies: a receiver of pre_migrate may add operations to a migration.
        self.disk_migrations = {
            key: type(migration)(migration.name, migration.app_label)
            for key, migration in self._code.disk_migrations.items()
        }
        self.unmigrated_apps = set(self._code.unmigrated_apps)
        self.migrated_apps = set(self._code.migrated_apps)

    @property
    def applied_migrations(self) -> dict[Key, Any]:
        return self._applied

    @applied_migrations.setter
    def applied_migrations(self, nothing: object) -> None:
        # Django begins with what the database says, of which there is none here; and then
        # adds the migrations that replace others to it.
        self._applied: dict[Key, Any] = dict.fromkeys(self._recorded)


class History(MigrationExecutor):
    """Django's executor for a schema in which `recorded` is applied; it asks nobody."""

    def __init__(
        self, connection: BaseDatabaseWrapper, code: Code, recorded: Iterable[Key]
    ) -> None:
        self.connection = connection
        self.recorded = frozenset(recorded)
        self.loader: Loader = Loader(code, self.recorded)
        self.recorder = MigrationRecorder(connection)
        self.progress_callback = None

    def plan(self, goal: Goal | None) -> list[tuple[Migration, bool]]:
        """
        Return the migrations on the way to `goal`, or to the code, and whether backwards.

        Raise UnableToMigrate where Django would refuse as well: a migration that is
        applied before another that it depends on, or a goal that there is not.
        """
        self._check_consistent()
        return self.migration_plan(self._targets(goal))

    def state(self, *, applied: bool = True) -> ProjectState:
        """Return the models that `recorded` makes, or of applications without migrations alone."""
        made: ProjectState = self._create_project_state(  # type: ignore[attr-defined]  # Django's
            with_applied_migrations=applied
        )
        return made

    def check_goal(self, goal: Goal | None) -> None:
        """Raise UnableToMigrate when there is no such goal."""
        self._targets(goal)

    def list_replacing(self, recorded: Iterable[Key]) -> list[Key]:
        """Return the squashed migrations of which all is in `recorded` and they are not."""
        known = set(recorded)
        return [
            key
            for key, migration in sorted(self.loader.replacements.items())
            if key not in known and all(replaced in known for replaced in migration.replaces)
        ]

    def _targets(self, goal: Goal | None) -> list[tuple[str, str | None]]:
        if goal is None:
            return list(self.loader.graph.leaf_nodes())
        app, name = goal
        _check_application(self.loader, app)
        if name is None:
            return [key for key in self.loader.graph.leaf_nodes() if key[0] == app]
        if name == "zero":
            return [(app, None)]
        try:
            found = (app, self.loader.get_migration_by_prefix(app, name).name)
        except AmbiguityError as error:
            raise UnableToMigrate(
                f"More than one migration of {app!r} begins with {name!r}: give more of its name."
            ) from error
        except KeyError as error:
            raise UnableToMigrate(
                f"No migration of {app!r} begins with {name!r}. "
                f"Type: manage.py showmigrations {app}"
            ) from error
        if found not in self.loader.graph.nodes and found in self.loader.replacements:
            # Of a squashed migration this schema has a part only: go where that one ends.
            found = self.loader.replacements[found].replaces[-1]
        return [found]

    def _check_consistent(self) -> None:
        for key, parent in self._edges():
            if parent not in self.recorded and parent not in self.loader.applied_migrations:
                raise UnableToMigrate(
                    f"{_say(key)} is applied before {_say(parent)}, on which it depends "
                    f"({InconsistentMigrationHistory.__name__})."
                )

    def _edges(self) -> Iterator[tuple[Key, Key]]:
        for key in sorted(self.recorded):
            if key in self.loader.graph.nodes:
                for parent in sorted(self.loader.graph.node_map[key].parents):
                    yield key, parent.key


def check_conflicts(code: Code) -> None:
    """Raise UnableToMigrate when an application of the code has two last migrations."""
    conflicts = Loader(code, ()).detect_conflicts()
    if conflicts:
        said = "; ".join(f"{', '.join(names)} in {app}" for app, names in conflicts.items())
        raise UnableToMigrate(
            f"There are applications with more than one last migration: {said}. "
            "Type: manage.py makemigrations --merge"
        )


def _check_application(loader: MigrationLoader, app: str) -> None:
    try:
        apps.get_app_config(app)
    except LookupError as error:
        raise UnableToMigrate(str(error)) from error
    if app not in loader.migrated_apps:
        raise UnableToMigrate(f"The application {app!r} has no migrations.")


def _say(key: Key) -> str:
    return f"{key[0]}.{key[1]}"
