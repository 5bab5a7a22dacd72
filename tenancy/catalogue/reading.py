"""
Which objects does each of many schemas have, and do two schemas have the same?
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, transaction
from psycopg import sql

from tenancy import context, schemas
from tenancy.catalogue import queries

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Of one query: PostgreSQL's memory and its locks (four for each schema) stay small.
CHUNK = 500
# So many schemas are asked for on two connections: a process of the server works on one core,
# and what it does here is all its own work.
WORTH_TWO = 50


@dataclass(frozen=True, order=True)
class Item:
    """An object of a schema, or a right in it, without the schema's name."""

    kind: str
    relation: str
    """The table or view that it is part of, or '' where it is part of none."""
    name: str
    """As the catalogue has it, unquoted; '' for a table or view itself."""
    definition: str

    def __str__(self) -> str:
        is_said = self.kind in ("grant", "owner", "comment") or self.name == self.relation
        place = () if is_said else (self.relation,)
        return f"{self.kind} {'.'.join(filter(None, (*place, self.name)))}"


def fingerprints(
    connection: BaseDatabaseWrapper,
    names: Sequence[str],
    *,
    tables: Collection[str] | None = None,
    with_rows: bool = True,
) -> dict[str, str]:
    """
    Return a hash for each of the schemas `names` that exists.

    Two are equal if and only if all their objects are, and their content types and
    permissions by natural key. With `tables` only these relations and what is part of them
    are compared; without `with_rows` all objects, and no rows. A few queries for every 500
    schemas, for a fleet on two connections; in a transaction what it has not committed is
    seen.
    """
    # What a transaction has not committed, another connection does not see.
    if len(names) < WORTH_TWO or connection.in_atomic_block:
        return _fingerprints(connection, names, tables, with_rows)
    half = len(names) // 2
    with ThreadPoolExecutor(1) as other:
        task = context.carry(_fingerprints_elsewhere)
        rest = other.submit(task, connection.alias, names[half:], tables, with_rows)
        found = _fingerprints(connection, names[:half], tables, with_rows)
        return found | rest.result()


def _fingerprints_elsewhere(alias: str, *arguments: Any) -> dict[str, str]:
    connection = connections[alias]
    try:
        return _fingerprints(connection, *arguments)
    finally:
        connection.close()


def _fingerprints(
    connection: BaseDatabaseWrapper,
    names: Sequence[str],
    tables: Collection[str] | None,
    with_rows: bool,
) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in _chunks(names):
        with reading(connection):
            for schema, fingerprint in _ask(connection, queries.FINGERPRINTS, chunk, tables):
                found[schema] = fingerprint
            if tables is None and with_rows:
                for schema, of_rows in _ask_rows(connection, queries.FINGERPRINTS_OF_ROWS, chunk):
                    found[schema] = _combined(found[schema], of_rows)
    return found


def read(
    connection: BaseDatabaseWrapper,
    names: Sequence[str],
    *,
    tables: Collection[str] | None = None,
    with_rows: bool = True,
) -> dict[str, list[Item]]:
    """
    Return what is in each of the schemas `names` that exists, in an order that is the same for all.

    Equal lists for equal fingerprints. For a few schemas: a fleet's are compared by fingerprint.
    """
    found: dict[str, list[Item]] = {}
    for chunk in _chunks(names):
        with reading(connection):
            rows = list(_ask(connection, queries.ITEMS, chunk, tables))
            if tables is None and with_rows:
                rows += _ask_rows(connection, queries.ITEMS_OF_ROWS, chunk)
            existing = _ask_existing(connection, chunk)
        found |= {name: [] for name in existing}
        for schema, kind, relation, name, definition in rows:
            found[schema].append(Item(kind, relation, name, definition))
    return found


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), CHUNK):
        yield list(names[start : start + CHUNK])


@contextmanager
def reading(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Run the block in a transaction whose settings, the path among them, end with it."""
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute(queries.SETTINGS)
        yield
        # Nothing was written. A savepoint would keep them when it is released.
        transaction.set_rollback(True, using=connection.alias)


def _ask(
    connection: BaseDatabaseWrapper, query: str, names: list[str], tables: Collection[str] | None
) -> list[Any]:
    with_items = queries.items(relations_only=tables is not None)
    parameters = {
        "schemas": names,
        "prefix": schemas.role_prefix(connection),
        "owner": schemas.owner_of(connection),
        "tables": None if tables is None else list(tables),
    }
    with connection.cursor() as cursor:
        cursor.execute(with_items + query, parameters)
        return list(cursor.fetchall())


def _ask_existing(connection: BaseDatabaseWrapper, names: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(queries.EXISTING, {"schemas": names})
        return [name for (name,) in cursor.fetchall()]


def _ask_rows(connection: BaseDatabaseWrapper, query: str, names: list[str]) -> list[Any]:
    """Ask the schemas' own tables of content types and permissions, where they have them."""
    tables = _tables_of_rows()
    with connection.cursor() as cursor:
        cursor.execute(queries.HAVING_TABLES, {"schemas": names, "tables": list(tables.values())})
        questions = [
            sql.SQL(queries.ROWS[kind]).format(
                literal=sql.Literal(schema),
                schema=sql.Identifier(schema),
                **{name: sql.Identifier(table) for name, table in tables.items()},
            )
            for schema, existing in cursor.fetchall()
            for kind, table in tables.items()
            if table in existing
        ]
        if not questions:
            return []
        union = sql.SQL(" UNION ALL ").join(questions)
        cursor.execute(sql.SQL(query).format(rows=union).as_string(None))
        return list(cursor.fetchall())


def _tables_of_rows() -> dict[str, str]:
    models = {
        "content_types": ("contenttypes", "ContentType"),
        "permissions": ("auth", "Permission"),
    }
    return {
        name: apps.get_model(*model)._meta.db_table
        for name, model in models.items()
        if apps.is_installed(f"django.contrib.{model[0]}")
    }


def _combined(*parts: str) -> str:
    return sha256(" ".join(parts).encode()).hexdigest()
