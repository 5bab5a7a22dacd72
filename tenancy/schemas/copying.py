"""
How do the rows of one schema get into another?
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from psycopg import sql

from tenancy.schemas.composing import compose

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Constraints that wait for the commit: what they wait for is in the way of a TRUNCATE.
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
CHECK_AT_COMMIT = "SET CONSTRAINTS ALL DEFERRED"
TRUNCATE = "TRUNCATE {tables}"
# What PostgreSQL generates it does not take from others.
LIST_COLUMNS = """
    SELECT attname
      FROM pg_catalog.pg_attribute
     WHERE attrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass
       AND attnum > 0
       AND NOT attisdropped
       AND attgenerated = ''
     ORDER BY attnum
"""
COPY_ROWS = """
    INSERT INTO {new_schema}.{table} ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM {schema}.{table}
"""
LIST_SEQUENCES = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
       AND relkind = 'S'
     ORDER BY relname
"""
COPY_SEQUENCE = """
    SELECT setval(format('%%I.%%I', %(new_schema)s::text, %(name)s::text), last_value, is_called)
      FROM {schema}.{name}
"""


def empty(connection: BaseDatabaseWrapper, schema: str, tables: Iterable[str]) -> None:
    """Delete all rows of `tables`, and check what is inserted from here on at the commit."""
    of_schema = [sql.Identifier(schema, table) for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(CHECK_NOW)
        if of_schema:
            truncate = compose(TRUNCATE, tables=sql.SQL(", ").join(of_schema))
            cursor.execute(truncate.decode())
        cursor.execute(CHECK_AT_COMMIT)


def copy_rows(connection: BaseDatabaseWrapper, table: str, schema: str, new_schema: str) -> None:
    """Copy all rows of `table` from `schema` to `new_schema`, keys included."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_COLUMNS, {"schema": new_schema, "table": table})
        columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
        names = {"schema": schema, "new_schema": new_schema, "table": table}
        cursor.execute(compose(COPY_ROWS, **names, columns=columns).decode())


def copy_sequences(connection: BaseDatabaseWrapper, schema: str, new_schema: str) -> None:
    """Let the sequences of `new_schema` go on where those of `schema` are; after the rows."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_SEQUENCES, {"schema": new_schema})
        for (name,) in cursor.fetchall():
            statement = compose(COPY_SEQUENCE, schema=schema, name=name).decode()
            cursor.execute(statement, {"new_schema": new_schema, "name": name})
