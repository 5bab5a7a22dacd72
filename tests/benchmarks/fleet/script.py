"""
What makes the tables and rows of a schema, as one script? For raw SQL, which has no Django.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from psycopg import sql

TABLES = """
    SELECT relname,
           (SELECT array_agg(attname ORDER BY attnum)
              FROM pg_catalog.pg_attribute
             WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped)
      FROM pg_catalog.pg_class AS class
     WHERE relnamespace = %(schema)s::regnamespace
       AND relkind = 'r'
     ORDER BY relname
"""
ROWS = "SELECT {columns} FROM {table}"
INSERT = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES {rows}"
SEQUENCES = """
    SELECT format('SELECT pg_catalog.setval(%%L, %%s)', sequencename, last_value)
      FROM pg_catalog.pg_sequences
     WHERE schemaname = %(schema)s
       AND last_value IS NOT NULL
     ORDER BY sequencename
"""


def write(schema: str) -> str:
    """Return what makes everything that is in `schema`, in one that is empty and first in path."""
    from tenancy import catalogue, context

    with context.override(context.PLATFORM):
        connection = connections["ddl"]
        tables = catalogue.script(connection, schema)
        with connection.cursor() as cursor:
            rows = [
                _insert(cursor, schema, table, columns)
                for table, columns in _ask(cursor, TABLES, schema)
            ]
            sequences = [statement for (statement,) in _ask(cursor, SEQUENCES, schema)]
    return ";\n".join(filter(None, [tables.strip().removesuffix(";"), *rows, *sequences]))


def _insert(cursor: Any, schema: str, table: str, columns: list[str]) -> str:
    """Return the statement that makes the table's rows, "" if it has none."""
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL(ROWS).format(columns=named, table=sql.Identifier(schema, table))
    cursor.execute(query.as_string(None))
    rows = [
        sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row)))
        for row in cursor.fetchall()
    ]
    if not rows:
        return ""
    return (
        sql.SQL(INSERT)
        .format(table=sql.Identifier(table), columns=named, rows=sql.SQL(", ").join(rows))
        .as_string(None)
    )


def _ask(cursor: Any, query: str, schema: str) -> list[tuple[Any, ...]]:
    cursor.execute(query, {"schema": schema})
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
