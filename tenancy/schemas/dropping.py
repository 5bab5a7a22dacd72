"""
How do a schema, its role and what is in it go?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenancy.schemas.composing import ask_one, compose
from tenancy.schemas.tenant_roles import has_role, names_of, role_for, role_prefix

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# The login becomes this role no more, and so reads no half of what is being dropped.
REVOKE_ROLE = "REVOKE {role} FROM {app}"
# Statements that drop what is in a schema, some at a time and the most entangled last: each
# table takes some twenty locks with its indexes, defaults and types, and a foreign key those of
# two tables. What belongs to an extension goes with that.
LIST_DROPS = """
    WITH here AS (
        SELECT oid, nspname
          FROM pg_catalog.pg_namespace
         WHERE nspname = %(schema)s
    ), of_extensions AS (
        SELECT classid, objid
          FROM pg_catalog.pg_depend
         WHERE deptype = 'e'
    ), drops (turn, place, statement) AS (
        SELECT 1, conname::text,
               format('ALTER TABLE IF EXISTS %%I.%%I DROP CONSTRAINT IF EXISTS %%I',
                      nspname, relname, conname)
          FROM pg_catalog.pg_constraint
          JOIN here ON here.oid = connamespace
          JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
         WHERE contype = 'f'
           AND conparentid = 0
         UNION ALL
        SELECT CASE relkind WHEN 'v' THEN 2 WHEN 'm' THEN 2 WHEN 'S' THEN 4 ELSE 3 END,
               relname,
               format('DROP %%s IF EXISTS %%I.%%I CASCADE',
                      CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                   WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
                                   ELSE 'TABLE' END,
                      nspname, relname)
          FROM pg_catalog.pg_class AS class
          JOIN here ON here.oid = relnamespace
         WHERE relkind IN ('v', 'm', 'r', 'p', 'f', 'S')
           AND ('pg_class'::regclass, class.oid) NOT IN (SELECT classid, objid FROM of_extensions)
           -- A column's sequence goes with its table, and the partitions before the whole.
           AND NOT EXISTS (
               SELECT
                 FROM pg_catalog.pg_depend
                WHERE relkind = 'S'
                  AND classid = 'pg_class'::regclass
                  AND objid = class.oid
                  AND refclassid = 'pg_class'::regclass
                  AND deptype IN ('a', 'i')
           )
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = class.oid)
         UNION ALL
        SELECT 5, proname,
               format('DROP ROUTINE IF EXISTS %%I.%%I(%%s) CASCADE',
                      nspname, proname, pg_get_function_identity_arguments(proc.oid))
          FROM pg_catalog.pg_proc AS proc
          JOIN here ON here.oid = pronamespace
         WHERE ('pg_proc'::regclass, proc.oid) NOT IN (SELECT classid, objid FROM of_extensions)
         UNION ALL
        SELECT 6, typname, format('DROP TYPE IF EXISTS %%I.%%I CASCADE', nspname, typname)
          FROM pg_catalog.pg_type AS type
          JOIN here ON here.oid = typnamespace
         WHERE typtype IN ('d', 'e', 'r')
            OR typtype = 'c' AND EXISTS (
               SELECT FROM pg_catalog.pg_class WHERE oid = typrelid AND relkind = 'c'
           )
    )
    SELECT statement
      FROM drops
     ORDER BY turn, place
     LIMIT %(most)s
"""
# The schema goes before the role: a role that still owns rights cannot be dropped.
DROP = "DROP SCHEMA IF EXISTS {schema} CASCADE"
DROP_ROLE = "DROP ROLE IF EXISTS {role}"
# Rights that somebody gave it elsewhere, for example in the public schema. DROP OWNED would
# take them too, and asks for rights of the role's own, which the owner does not inherit.
LIST_REVOKES = """
    WITH granted AS (
        SELECT classid, objid, quote_ident(rolname) AS role
          FROM pg_catalog.pg_shdepend
          JOIN pg_catalog.pg_roles AS role ON role.oid = refobjid
         WHERE rolname = %(role)s
           AND refclassid = 'pg_authid'::regclass
           AND deptype = 'a'
           AND dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    )
    SELECT format('REVOKE ALL ON %%s %%s FROM %%s',
                  CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, objid::regclass, role)
      FROM granted
      JOIN pg_catalog.pg_class AS class ON class.oid = objid
     WHERE classid = 'pg_class'::regclass
     UNION ALL
    SELECT format('REVOKE ALL ON SCHEMA %%s FROM %%s', objid::regnamespace, role)
      FROM granted
     WHERE classid = 'pg_namespace'::regclass
     UNION ALL
    SELECT format('REVOKE ALL ON ROUTINE %%s FROM %%s', objid::regprocedure, role)
      FROM granted
     WHERE classid = 'pg_proc'::regclass
"""
IS_INVALID_INDEX = """
    SELECT EXISTS (
        SELECT
          FROM pg_catalog.pg_index
          JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
         WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
           AND relname = %(index)s
           AND NOT indisvalid
    )
"""
DROP_INDEX = "DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}"


def drop(connection: BaseDatabaseWrapper, schema: str) -> None:
    """
    Drop `schema` with all that is in it, then its role; what is gone already is no error.

    In a transaction. All at once this takes some twenty locks for each table: see `list_drops`.
    """
    drop_schema(connection, schema)
    drop_role(connection, schema)


def drop_schema(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Drop `schema` with all that is in it; what is gone already is no error."""
    with connection.cursor() as cursor:
        cursor.execute(compose(DROP, schema=schema).decode())


def drop_role(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Drop the role of `schema`, which has to be gone, with what it may do elsewhere."""
    if not has_role(connection, schema):
        return
    role = role_for(connection, schema)
    with connection.cursor() as cursor:
        cursor.execute(LIST_REVOKES, {"role": role})
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
        cursor.execute(compose(DROP_ROLE, role=role).decode())


def close(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Let nobody but the owner work in `schema` from now on, whoever remembers it."""
    if has_role(connection, schema):
        parts = names_of(role_prefix(connection), schema)
        with connection.cursor() as cursor:
            cursor.execute(compose(REVOKE_ROLE, **parts).decode())


def list_drops(connection: BaseDatabaseWrapper, schema: str, *, most: int) -> list[str]:
    """
    Return statements that drop what comes next in `schema`, at most so many, or none.

    For transactions that take a bounded number of locks; what is dropped twice is no error.
    """
    with connection.cursor() as cursor:
        cursor.execute(LIST_DROPS, {"schema": schema, "most": most})
        return [statement for (statement,) in cursor.fetchall()]


def drop_invalid_index(connection: BaseDatabaseWrapper, schema: str, index: str) -> None:
    """Drop `index` if its making CONCURRENTLY was broken off; outside a transaction."""
    names = {"schema": schema, "index": index}
    if ask_one(connection, IS_INVALID_INDEX, names):
        with connection.cursor() as cursor:
            cursor.execute(compose(DROP_INDEX, **names).decode())
