"""
Which schemas are there, and what is in one?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from tenancy.names import PUBLIC_SCHEMA
from tenancy.schemas.composing import ask_one
from tenancy.schemas.tenant_roles import owner_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

EXISTS = "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL"
LIST_TABLES = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
       AND relkind IN ('r', 'p')
       AND NOT relispartition
     ORDER BY relname
"""
COUNT_ROWS = "SELECT {literal}, count(*) FROM {schema}.{table}"
# Indexes and what is too long for a row count with the table that they are of.
SIZES = """
    SELECT nspname, sum(pg_total_relation_size(class.oid))::bigint
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
     WHERE nspname = ANY(%(schemas)s)
       AND relkind IN ('r', 'm')
     GROUP BY nspname
"""
# Schemas of the owner's and roles of tenants', whether or not anybody has them.
LIST_SCHEMAS = """
    SELECT nspname
      FROM pg_catalog.pg_namespace
     WHERE pg_get_userbyid(nspowner) = %(ddl)s
       AND nspname <> %(public)s
     ORDER BY nspname
"""


def exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    return bool(ask_one(connection, EXISTS, {"schema": schema}))


def list_all(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the schemas that the owner made for tenants, also those that no tenant has."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_SCHEMAS, {"ddl": owner_of(connection), "public": PUBLIC_SCHEMA})
        return [name for (name,) in cursor.fetchall()]


def list_tables(connection: BaseDatabaseWrapper, schema: str) -> list[str]:
    """Return the tables of `schema`, partitioned ones once."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_TABLES, {"schema": schema})
        return [name for (name,) in cursor.fetchall()]


def count_rows(connection: BaseDatabaseWrapper, schema: str) -> dict[str, int]:
    """Return how many rows each table of `schema` has; all are looked at, in one query."""
    tables = list_tables(connection, schema)
    if not tables:
        return {}
    questions = [
        sql.SQL(COUNT_ROWS).format(
            literal=sql.Literal(table),
            schema=sql.Identifier(schema),
            table=sql.Identifier(table),
        )
        for table in tables
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(questions).as_string(None))
        return dict(cursor.fetchall())


def sizes(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, int]:
    """Return the bytes on disk of each of the schemas `names` that has a table; one query."""
    with connection.cursor() as cursor:
        cursor.execute(SIZES, {"schemas": names})
        return dict(cursor.fetchall())
