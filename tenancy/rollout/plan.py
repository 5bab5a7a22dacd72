"""
Which schemas are behind the code, and by which migrations?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from django.db.migrations.loader import MigrationLoader

from tenancy import schemas

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Migration: TypeAlias = tuple[str, str]


def list_missing(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, list[Migration]]:
    """
    Return, for each of the schemas `names` that is behind, the migrations that it lacks.

    Two queries whatever the number of schemas. Django records every migration in every
    schema, also those whose tables live elsewhere, so that one list serves all.
    """
    wanted = list_known()
    applied = schemas.list_applied(connection, names)
    missing = {
        name: [migration for migration in wanted if migration not in applied.get(name, set())]
        for name in names
    }
    return {name: migrations for name, migrations in missing.items() if migrations}


def list_known() -> list[Migration]:
    """Return all migrations of the code, each after those that it depends on."""
    graph = MigrationLoader(None).graph
    order: dict[Migration, None] = {}
    for leaf in sorted(graph.leaf_nodes()):
        for migration in graph.forwards_plan(leaf):
            order[migration] = None
    return list(order)
