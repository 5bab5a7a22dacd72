"""
How does a run of tests come by its database, and by a copy of it for each of its processes?

Migrations run once, in a *reference*: a database with the public schema and the tenants that
every test may use. Each process works in a copy of it, which PostgreSQL makes of files.
Roles belong to the whole server, so each copy gets roles of its own: two processes can then
provision a tenant of the same name at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from tenancy import roles, schemas

Server: TypeAlias = psycopg.Connection[Any]

# A database named clinicx_live has roles that begin like those of one named clinicx.
ROLES_OF_DATABASE = """
    SELECT rolname
      FROM pg_catalog.pg_roles
     WHERE starts_with(rolname, %(database)s || '_')
       AND NOT EXISTS (
           SELECT
             FROM pg_catalog.pg_database
            WHERE starts_with(datname, %(database)s || '_')
              AND starts_with(rolname, datname || '_')
       )
     ORDER BY rolname
"""

# Whose each role is, as tenancy.schemas.assign() wrote it there.
COMMENTS = """
    SELECT rolname, shobj_description(oid, 'pg_authid')
      FROM pg_catalog.pg_roles
     WHERE rolname = ANY(%(roles)s)
       AND shobj_description(oid, 'pg_authid') IS NOT NULL
"""

# The reference says of itself for which run it was finished.
FINISHED_FOR = """
    SELECT shobj_description(oid, 'pg_database')
      FROM pg_catalog.pg_database
     WHERE datname = %(database)s
"""
LOCK = "SELECT pg_advisory_lock(hashtextextended('tenancy.testing:' || %(database)s, 0))"

# Every grant on what is in our schemas as the statement that makes it, without its grantee.
GRANTS = """
    WITH ours AS (
        SELECT oid, nspname, nspacl
          FROM pg_catalog.pg_namespace
         WHERE nspname NOT LIKE 'pg\\_%%'
           AND nspname <> 'information_schema'
    ), granted AS (
        SELECT '%%s ON SCHEMA ' || quote_ident(nspname) AS form, nspacl AS acl
          FROM ours
         UNION ALL
        SELECT CASE relkind WHEN 'S' THEN '%%s ON SEQUENCE ' ELSE '%%s ON TABLE ' END
               || class.oid::regclass, relacl
          FROM pg_catalog.pg_class AS class
          JOIN ours ON ours.oid = relnamespace
         UNION ALL
        SELECT '%%s (' || quote_ident(attname) || ') ON TABLE ' || attrelid::regclass, attacl
          FROM pg_catalog.pg_attribute
          JOIN pg_catalog.pg_class AS class ON class.oid = attrelid
          JOIN ours ON ours.oid = relnamespace
         UNION ALL
        SELECT '%%s ON ROUTINE ' || proc.oid::regprocedure, proacl
          FROM pg_catalog.pg_proc AS proc
          JOIN ours ON ours.oid = pronamespace
         UNION ALL
        SELECT '%%s ON TYPE ' || type.oid::regtype, typacl
          FROM pg_catalog.pg_type AS type
          JOIN ours ON ours.oid = typnamespace
    )
    SELECT format('GRANT ' || form, string_agg(privilege_type, ', ')),
           pg_get_userbyid(grantee)
      FROM granted, aclexplode(acl)
     WHERE pg_get_userbyid(grantee) = ANY(%(roles)s)
     GROUP BY form, grantee
"""

# What default privileges will grant, as above, and by whose objects.
DEFAULT_GRANTS = """
    SELECT pg_get_userbyid(defaclrole),
           coalesce('IN SCHEMA ' || quote_ident(nspname) || ' ', '')
           || 'GRANT ' || string_agg(privilege_type, ', ') || ' ON '
           || CASE defaclobjtype
              WHEN 'r' THEN 'TABLES'
              WHEN 'S' THEN 'SEQUENCES'
              WHEN 'f' THEN 'FUNCTIONS'
              WHEN 'T' THEN 'TYPES'
              WHEN 'n' THEN 'SCHEMAS'
              END,
           pg_get_userbyid(grantee)
      FROM pg_catalog.pg_default_acl
      LEFT JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = defaclnamespace,
           aclexplode(defaclacl)
     WHERE pg_get_userbyid(defaclrole) = ANY(%(roles)s)
       AND pg_get_userbyid(grantee) = ANY(%(roles)s)
     GROUP BY defaclrole, nspname, defaclobjtype, grantee
"""


def make_database(
    *, superuser_url: str, database: str, app_password: str, ddl_password: str
) -> None:
    """Make `database` anew with its roles; what it held before is gone, tenants' roles too."""
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _drop(server, database)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(
                sql.Identifier(database)
            )
        )
    _make_roles(superuser_url, database, app_password=app_password, ddl_password=ddl_password)


def drop_database(*, superuser_url: str, database: str) -> None:
    """Drop `database` and its roles, tenants' roles too; what is gone already is no error."""
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _drop(server, database)


def clone_database(
    *, superuser_url: str, reference: str, database: str, app_password: str, ddl_password: str
) -> None:
    """
    Make `database` anew as a copy of `reference`, with roles of its own.

    Each of them owns, and may do, in the copy what the reference's role may in the
    reference. Nobody may be connected to the reference; afterwards its own roles may no
    longer connect to it either.
    """
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _drop(server, database)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(database), sql.Identifier(reference)
            )
        )
    _make_roles(superuser_url, database, app_password=app_password, ddl_password=ddl_password)
    with psycopg.connect(superuser_url, dbname=database) as server:
        _hand_over(server, reference, database)


@contextmanager
def building(*, superuser_url: str, reference: str, run: str, keep: bool) -> Iterator[bool]:
    """
    Let one process at a time into the block, and tell it whether the reference is to be made.

    It is, unless the process of this `run` that came first has made it; with `keep` also
    the one of an earlier run will do. A block that fails leaves it to be made.
    """
    with psycopg.connect(superuser_url, autocommit=True) as server:
        server.execute(LOCK, {"database": reference})
        row = server.execute(FINISHED_FOR, {"database": reference}).fetchone()
        is_missing = not row or not row[0] or (row[0] != run and not keep)
        yield is_missing
        if is_missing:
            name = sql.Identifier(reference)
            # Handing the copy's objects over would hand the reference itself over too.
            server.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name))
            server.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, run))


def _drop(server: Server, database: str) -> None:
    server.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
    )
    if known := _list_roles(server, database):
        # At once: since PostgreSQL 16 whoever granted a membership cannot go before its member.
        names = sql.SQL(", ").join(map(sql.Identifier, known))
        server.execute(sql.SQL("DROP ROLE {}").format(names))


def _list_roles(server: Server, database: str) -> list[str]:
    rows = server.execute(ROLES_OF_DATABASE, {"database": database})
    return [name for (name,) in rows.fetchall()]


def _make_roles(superuser_url: str, database: str, *, app_password: str, ddl_password: str) -> None:
    script = roles.bootstrap_sql(
        database=database, app_password=app_password, ddl_password=ddl_password
    )
    with psycopg.connect(superuser_url, dbname=database, autocommit=True) as server:
        server.execute(script.encode())


def _hand_over(server: Server, reference: str, database: str) -> None:
    """Give what each of the reference's roles owns, and may do, to the copy's alone."""
    old = _list_roles(server, reference)
    heirs = {name: database + name.removeprefix(reference) for name in old}
    known = {"roles": old}
    _make_tenants_roles(server, heirs, database)
    for name, comment in server.execute(COMMENTS, known).fetchall():
        _run(server, schemas.ASSIGN, role=heirs[name], whose=sql.Literal(comment))
    for name, heir in heirs.items():
        _run(server, "REASSIGN OWNED BY {} TO {}", name, heir)
    for form, grantee in server.execute(GRANTS, known).fetchall():
        _run(server, form + " TO {}", heirs[grantee])
    for owner, form, grantee in server.execute(DEFAULT_GRANTS, known).fetchall():
        statement = f"ALTER DEFAULT PRIVILEGES FOR ROLE {{}} {form} TO {{}}"
        _run(server, statement, heirs[owner], heirs[grantee])
    for name in heirs:
        _run(server, "DROP OWNED BY {}", name)


def _make_tenants_roles(server: Server, heirs: dict[str, str], database: str) -> None:
    """Make the heirs that bootstrap_sql() did not, by the owner's role as provisioning does."""
    there = server.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()
    named = {suffix: roles.name(database, suffix) for suffix in ("app", "tenants")}
    _run(server, "SET ROLE {}", roles.name(database, "ddl"))
    for role in sorted(heirs.values()):
        if (role,) not in there:
            _run(server, schemas.CREATE_ROLE, role=role)
            _run(server, schemas.GRANT_ROLE, role=role, **named)
    server.execute("RESET ROLE")


def _run(server: Server, statement: str, *names: str, **named: str | sql.Literal) -> None:
    keywords = {
        key: sql.Identifier(part) if isinstance(part, str) else part for key, part in named.items()
    }
    server.execute(sql.SQL(statement).format(*map(sql.Identifier, names), **keywords))
