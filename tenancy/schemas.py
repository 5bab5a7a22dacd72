"""
Every statement that names a tenant's schema or its role.

"Can a tenant's name escape?" is answered by this file: names are composed as
identifiers, values travel as parameters, and nothing is formatted into a string.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from psycopg import sql

from tenancy import roles
from tenancy.conf import settings
from tenancy.names import PUBLIC_SCHEMA

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# The role comes last: once it is taken, a setting that only the login may make is out of reach.
BIND = "SET LOCAL search_path = {path}; SET LOCAL ROLE {role}; "

# current_schema() is the first schema of the path that exists and may be used, NULL if there
# is none: a path or a role that was changed and a schema that is gone all divide by zero.
ASSERT_BOUND = "SELECT 1 / (({bound}) IS TRUE)::int; "
IS_BOUND = "current_schema() = {schema} AND current_user = {role}"

# For what no transaction takes, on a connection that no pooler shares.
BIND_SESSION = "SET search_path = {path}; SET ROLE {role}"
UNBIND_SESSION = b"RESET ROLE; RESET search_path"

CREATE_ROLE = "CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT"
GRANT_ROLE = "GRANT {tenants} TO {role}; GRANT {role} TO {app}"
CREATE = "CREATE SCHEMA {schema}"
GRANT = """
    GRANT USAGE ON SCHEMA {schema} TO {role};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {role};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        GRANT EXECUTE ON FUNCTIONS TO {role}
"""
# The schema goes before the role: a role that still owns rights cannot be dropped.
DROP = "DROP SCHEMA IF EXISTS {schema} CASCADE"
DROP_ROLE = "DROP ROLE IF EXISTS {role}"

EXISTS = "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL"
ROLE_EXISTS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %(role)s)"

LIST_WITH_MIGRATIONS = """
    SELECT namespace.nspname
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
     WHERE class.relname = 'django_migrations'
       AND namespace.nspname = ANY(%(schemas)s)
"""
APPLIED = "SELECT {literal}, app, name FROM {schema}.django_migrations"

REVOKE_READABLE = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {tenants}"
GRANT_READABLE = "GRANT SELECT ON public.{table} TO {tenants}"


def role_prefix(connection: BaseDatabaseWrapper) -> str:
    """Return what the names of the database's roles begin with: its own name, unless set."""
    prefix = settings.ROLE_PREFIX or connection.settings_dict["NAME"]
    return str(prefix)


def role_for(connection: BaseDatabaseWrapper, schema: str) -> str:
    """Return the role that works in `schema`."""
    return roles.name(role_prefix(connection), schema)


def bind_sql(path: tuple[str, ...], role: str) -> bytes:
    """Return the statements that bind a transaction, to stand in front of another statement."""
    return _compose(BIND, path=sql.SQL(", ").join(map(sql.Identifier, path)), role=role)


def bind_session_sql(path: tuple[str, ...], role: str) -> bytes:
    """Return the statements that bind a session until UNBIND_SESSION."""
    return _compose(BIND_SESSION, path=sql.SQL(", ").join(map(sql.Identifier, path)), role=role)


def assert_bound_sql(bindings: Iterable[tuple[str, str]]) -> bytes:
    """Return the statement that fails unless schema and role are one of `bindings`."""
    alternatives = [
        sql.SQL(IS_BOUND).format(schema=sql.Literal(schema), role=sql.Literal(role))
        for schema, role in bindings
    ]
    return _compose(ASSERT_BOUND, bound=sql.SQL(" OR ").join(alternatives))


def create(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Make `schema` and its role, with the rights of one in the other."""
    prefix = role_prefix(connection)
    names = {
        "schema": schema,
        "role": role_for(connection, schema),
        "app": roles.name(prefix, "app"),
        "ddl": roles.name(prefix, "ddl"),
        "tenants": roles.name(prefix, "tenants"),
    }
    with connection.cursor() as cursor:
        for statement in (CREATE_ROLE, GRANT_ROLE, CREATE, GRANT):
            cursor.execute(_compose(statement, **names).decode())


def drop(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Drop `schema` with all that is in it, then its role; what is gone already is no error."""
    names = {"schema": schema, "role": role_for(connection, schema)}
    with connection.cursor() as cursor:
        cursor.execute(_compose(DROP, **names).decode())
        cursor.execute(_compose(DROP_ROLE, **names).decode())


def exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    return bool(_one(connection, EXISTS, {"schema": schema}))


def role_exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    """Tell whether the role of `schema` exists, whether or not the schema does."""
    return bool(_one(connection, ROLE_EXISTS, {"role": role_for(connection, schema)}))


def list_applied(
    connection: BaseDatabaseWrapper, names: list[str]
) -> dict[str, set[tuple[str, str]]]:
    """
    Return the migrations that each of the schemas `names` has recorded.

    A schema that does not exist or records none is missing in the answer. One query for
    all: asking each schema by itself costs a fleet minutes.
    """
    applied: dict[str, set[tuple[str, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(LIST_WITH_MIGRATIONS, {"schemas": names})
        recording = [name for (name,) in cursor.fetchall()]
        if not recording:
            return applied

        questions = [
            sql.SQL(APPLIED).format(literal=sql.Literal(name), schema=sql.Identifier(name))
            for name in recording
        ]
        cursor.execute(sql.SQL(" UNION ALL ").join(questions).as_string(None))
        for schema, app, name in cursor.fetchall():
            applied.setdefault(schema, set()).add((app, name))
    return applied


def grant_readable(connection: BaseDatabaseWrapper, tables: Iterable[str]) -> None:
    """Let tenants read exactly `tables` of the public schema, and no other."""
    tenants = roles.name(role_prefix(connection), "tenants")
    with connection.cursor() as cursor:
        cursor.execute(_compose(REVOKE_READABLE, tenants=tenants).decode())
        for table in tables:
            cursor.execute(_compose(GRANT_READABLE, tenants=tenants, table=table).decode())


def first_in_path(path: tuple[str, ...]) -> str:
    """Return what current_schema() answers under `path`."""
    return path[0] if path else PUBLIC_SCHEMA


def _one(connection: BaseDatabaseWrapper, query: str, parameters: dict[str, str]) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def _compose(statement: str, **names: str | sql.Composable) -> bytes:
    parts = {
        key: sql.Identifier(value) if isinstance(value, str) else value
        for key, value in names.items()
    }
    return sql.SQL(statement).format(**parts).as_bytes(None)
