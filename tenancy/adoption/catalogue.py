"""
What is in a database that stock django-tenants made, and whose is it?

Asked with a superuser's connection of psycopg's own: the roles that Django would work with
are what is still to be made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

Server: TypeAlias = psycopg.Connection[Any]

IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user"

TABLE_EXISTS = "SELECT to_regclass(format('public.%%I', %(table)s::text)) IS NOT NULL"

# Everything in a schema that has an owner of its own and belongs to no extension. What
# follows its table, such as the sequence of a column, is not asked for.
OBJECTS = """
    WITH here AS (
        SELECT oid, nspname
          FROM pg_catalog.pg_namespace
         WHERE nspname = ANY(%(schemas)s)
    ), member (classid, objid) AS (
        SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
    ), found (schema, kind, name, owner) AS (
        SELECT nspname,
               CASE relkind
               WHEN 'v' THEN 'VIEW'
               WHEN 'm' THEN 'MATERIALIZED VIEW'
               WHEN 'f' THEN 'FOREIGN TABLE'
               WHEN 'S' THEN 'SEQUENCE'
               ELSE 'TABLE'
               END,
               format('%%I.%%I', nspname, relname), relowner
          FROM pg_catalog.pg_class AS class
          JOIN here ON here.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           AND ('pg_class'::regclass, class.oid) NOT IN (SELECT classid, objid FROM member)
           AND NOT EXISTS (
               SELECT
                 FROM pg_catalog.pg_depend
                WHERE classid = 'pg_class'::regclass
                  AND objid = class.oid
                  AND relkind = 'S'
                  AND deptype IN ('a', 'i')
           )
         UNION ALL
        SELECT nspname, 'ROUTINE',
               format('%%I.%%I(%%s)', nspname, proname,
                      pg_get_function_identity_arguments(proc.oid)),
               proowner
          FROM pg_catalog.pg_proc AS proc
          JOIN here ON here.oid = pronamespace
         WHERE ('pg_proc'::regclass, proc.oid) NOT IN (SELECT classid, objid FROM member)
         UNION ALL
        SELECT nspname, 'TYPE', format('%%I.%%I', nspname, typname), typowner
          FROM pg_catalog.pg_type AS type
          JOIN here ON here.oid = typnamespace
          LEFT JOIN pg_catalog.pg_class AS class ON class.oid = typrelid
         WHERE (typtype IN ('e', 'd', 'r') OR (typtype = 'c' AND relkind = 'c'))
           AND ('pg_type'::regclass, type.oid) NOT IN (SELECT classid, objid FROM member)
         UNION ALL
        SELECT nspname, 'STATISTICS', format('%%I.%%I', nspname, stxname), stxowner
          FROM pg_catalog.pg_statistic_ext
          JOIN here ON here.oid = stxnamespace
    )
    SELECT schema, kind, name, pg_get_userbyid(owner)
      FROM found
     ORDER BY schema, kind, name
"""

# What has an owner as well, and is so rare in a Django project that a person should look.
CURIOSITIES = """
    WITH here AS (
        SELECT oid, nspname
          FROM pg_catalog.pg_namespace
         WHERE nspname = ANY(%(schemas)s)
    )
    SELECT nspname, 'the extension ' || quote_ident(extname)
      FROM pg_catalog.pg_extension JOIN here ON here.oid = extnamespace
     WHERE nspname <> 'public'
     UNION ALL
    SELECT nspname, 'the operator ' || oprname
      FROM pg_catalog.pg_operator AS op JOIN here ON here.oid = oprnamespace
     WHERE NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend WHERE objid = op.oid AND deptype = 'e')
     UNION ALL
    SELECT nspname, 'the collation ' || quote_ident(collname)
      FROM pg_catalog.pg_collation AS coll JOIN here ON here.oid = collnamespace
     WHERE NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend WHERE objid = coll.oid AND deptype = 'e')
     UNION ALL
    SELECT nspname, 'the text search configuration ' || quote_ident(cfgname)
      FROM pg_catalog.pg_ts_config AS config JOIN here ON here.oid = cfgnamespace
     WHERE NOT EXISTS (
           SELECT FROM pg_catalog.pg_depend WHERE objid = config.oid AND deptype = 'e')
     ORDER BY 1, 2
"""

# How far each schema is. A role that may delete in all tables got all that is granted with it.
STATES = """
    SELECT nspname,
           pg_get_userbyid(nspowner),
           role.oid IS NOT NULL,
           role.oid IS NOT NULL
           AND has_schema_privilege(role.oid, namespace.oid, 'USAGE')
           AND EXISTS (
               SELECT FROM pg_catalog.pg_default_acl WHERE defaclnamespace = namespace.oid)
           AND NOT EXISTS (
               SELECT
                 FROM pg_catalog.pg_class
                WHERE relnamespace = namespace.oid
                  AND relkind IN ('r', 'p', 'v', 'm', 'f')
                  AND NOT has_table_privilege(role.oid, pg_class.oid, 'DELETE')
           )
      FROM pg_catalog.pg_namespace AS namespace
      LEFT JOIN pg_catalog.pg_roles AS role ON rolname = %(prefix)s || '_'
           || CASE nspname WHEN 'public' THEN 'platform' ELSE nspname END
     WHERE nspname = ANY(%(schemas)s)
"""

OTHER_SCHEMAS = """
    SELECT nspname
      FROM pg_catalog.pg_namespace
     WHERE nspname <> ALL(%(schemas)s)
       AND nspname NOT LIKE 'pg\\_%%'
       AND nspname NOT IN ('public', 'information_schema')
     ORDER BY nspname
"""

# Who may do something in our schemas, and is neither an owner nor one of our roles.
OTHER_GRANTEES = """
    WITH here AS (
        SELECT oid, nspacl, nspowner
          FROM pg_catalog.pg_namespace
         WHERE nspname = ANY(%(schemas)s)
    ), granted (acl, owner) AS (
        SELECT nspacl, nspowner FROM here
         UNION ALL
        SELECT relacl, relowner FROM pg_catalog.pg_class JOIN here ON here.oid = relnamespace
    )
    SELECT DISTINCT rolname
      FROM granted, aclexplode(acl)
      JOIN pg_catalog.pg_roles ON pg_roles.oid = grantee
     WHERE grantee <> owner
       AND NOT rolsuper
       AND NOT starts_with(rolname, %(prefix)s || '_')
       AND NOT starts_with(rolname, 'pg_')
       AND rolname <> ALL(%(owners)s)
     ORDER BY rolname
"""

# Roles that have what the owner has: those who owned it before, and a superuser's need no grant.
MEMBERS = """
    SELECT pg_get_userbyid(member)
      FROM pg_catalog.pg_auth_members
     WHERE pg_get_userbyid(roleid) = %(role)s
"""
SUPERUSERS = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolsuper"
OWNER_OF_TABLE = """
    SELECT pg_get_userbyid(relowner)
      FROM pg_catalog.pg_class
     WHERE oid = to_regclass(format('public.%%I', %(table)s::text))
"""


@dataclass(frozen=True)
class Thing:
    """Something in a schema that has an owner."""

    schema: str
    kind: str
    name: str
    """As PostgreSQL would write it, quotes and schema included."""
    owner: str


@dataclass(frozen=True)
class State:
    """How far a schema has come."""

    owner: str
    has_role: bool
    is_granted: bool


def list_things(server: Server, schemas: Iterable[str]) -> list[Thing]:
    rows = server.execute(OBJECTS, {"schemas": list(schemas)}).fetchall()
    return [Thing(*row) for row in rows]


def list_curiosities(server: Server, schemas: Iterable[str]) -> list[tuple[str, str]]:
    """Return (schema, what it is) of what adoption does not understand."""
    return server.execute(CURIOSITIES, {"schemas": list(schemas)}).fetchall()


def states(server: Server, prefix: str, schemas: Iterable[str]) -> dict[str, State]:
    """Return how far each of `schemas` is that exists."""
    rows = server.execute(STATES, {"schemas": list(schemas), "prefix": prefix}).fetchall()
    return {name: State(*facts) for name, *facts in rows}


def column(server: Server, query: str, **parameters: Any) -> list[str]:
    """Return the first column of the answer."""
    return [row[0] for row in server.execute(query, parameters).fetchall()]
