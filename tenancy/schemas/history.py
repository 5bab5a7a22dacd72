"""
Which migrations has each schema recorded?
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from hashlib import md5
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

LIST_WITH_MIGRATIONS = """
    SELECT namespace.nspname
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
     WHERE class.relname = 'django_migrations'
       AND namespace.nspname = ANY(%(schemas)s)
"""
APPLIED = "SELECT {literal}, app, name FROM {schema}.django_migrations"
# A hash says which lists are alike: 500 lists of 60 migrations would be 30,000 rows. In an
# order that does not depend on the language of the database.
HASH_APPLIED = """
    SELECT {literal},
           md5(string_agg(app || '.' || name, ',' ORDER BY app COLLATE "C", name COLLATE "C"))
      FROM {schema}.django_migrations
"""
# Each relation of a query is a lock until its transaction ends, in a table of a fixed size.
MOST_AT_ONCE = 500


def list_applied(
    connection: BaseDatabaseWrapper, names: Sequence[str]
) -> dict[str, set[tuple[str, str]]]:
    """
    Return the migrations that each of the schemas `names` has recorded.

    A schema that does not exist or records none is missing in the answer. A query for each
    MOST_AT_ONCE of them: asking each schema by itself costs a fleet minutes.
    """
    applied: dict[str, set[tuple[str, str]]] = {}
    for schema, app, name in _of_migrations(connection, APPLIED, names):
        applied.setdefault(str(schema), set()).add((str(app), str(name)))
    return applied


def hash_applied(connection: BaseDatabaseWrapper, names: Sequence[str]) -> dict[str, str]:
    """
    Return of each of the schemas `names` a hash of the migrations that it has recorded.

    A schema that does not exist or records none is missing in the answer. A query for each
    MOST_AT_ONCE of them.
    """
    rows = _of_migrations(connection, HASH_APPLIED, names)
    return {str(schema): str(found) for schema, found in rows if found is not None}


def hash_of_applied(applied: Collection[tuple[str, str]]) -> str:
    """Return what `hash_applied` returns of a schema that has recorded `applied`."""
    # By the bytes, as the collation "C" has it.
    listed = sorted(applied, key=lambda key: (key[0].encode(), key[1].encode()))
    told = ",".join(f"{app}.{name}" for app, name in listed)
    return md5(told.encode(), usedforsecurity=False).hexdigest()


def hash_applied_sql(schema: str) -> sql.Composed:
    """Return the query for the hash of one schema's migrations."""
    return sql.SQL(HASH_APPLIED).format(literal=sql.Literal(schema), schema=sql.Identifier(schema))


def _of_migrations(
    connection: BaseDatabaseWrapper, question: str, names: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    """Yield the answers of all schemas that have a table of migrations."""
    if not names:
        return
    with connection.cursor() as cursor:
        cursor.execute(LIST_WITH_MIGRATIONS, {"schemas": list(names)})
        recording = [name for (name,) in cursor.fetchall()]
        for start in range(0, len(recording), MOST_AT_ONCE):
            questions = [
                sql.SQL(question).format(literal=sql.Literal(name), schema=sql.Identifier(name))
                for name in recording[start : start + MOST_AT_ONCE]
            ]
            cursor.execute(sql.SQL(" UNION ALL ").join(questions).as_string(None))
            yield from cursor.fetchall()
