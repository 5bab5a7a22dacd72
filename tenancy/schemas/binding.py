"""
How is a statement bound to a schema and a role, and how is that asserted?
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from psycopg import sql

from tenancy.names import PUBLIC_SCHEMA
from tenancy.schemas.composing import compose

# The role comes last: once it is taken, a setting that only the login may make is out of reach.
BIND = "SET LOCAL search_path = {path}; SET LOCAL ROLE {role}; "
BIND_WITHOUT_ROLE = "SET LOCAL search_path = {path}; "
LIMIT_STATEMENT = "SET LOCAL statement_timeout = {milliseconds}; "
# current_schema() is the first schema of the path that exists and may be used, NULL if there
# is none: a path or a role that was changed and a schema that is gone all divide by zero.
ASSERT_BOUND = "SELECT 1 / (({bound}) IS TRUE)::int; "
IS_BOUND = "current_schema() = {schema} AND current_user = {role}"
IS_BOUND_WITHOUT_ROLE = "current_schema() = {schema}"
# For what no transaction takes, on a connection that no pooler shares.
BIND_SESSION = "SET search_path = {path}; SET ROLE {role}"
BIND_SESSION_WITHOUT_ROLE = "SET search_path = {path}"
UNBIND_SESSION = b"RESET ROLE; RESET search_path"


def bind_sql(
    path: tuple[str, ...], role: str | None, statement_timeout: timedelta | None = None
) -> bytes:
    """
    Return the statements that bind a transaction, to stand in front of another statement.

    One for the path, one for the role where there is one to take (TENANCY_COMPAT), one for
    how long a statement may take where that is another time than the login's.
    """
    limit = b""
    if statement_timeout is not None:
        milliseconds = sql.Literal(statement_timeout // timedelta(milliseconds=1))
        limit = compose(LIMIT_STATEMENT, milliseconds=milliseconds)
    if role is None:
        return limit + compose(BIND_WITHOUT_ROLE, path=_path(path))
    return limit + compose(BIND, path=_path(path), role=role)


def bind_session_sql(path: tuple[str, ...], role: str | None) -> bytes:
    """Return the statements that bind a session until UNBIND_SESSION."""
    if role is None:
        return compose(BIND_SESSION_WITHOUT_ROLE, path=_path(path))
    return compose(BIND_SESSION, path=_path(path), role=role)


def _path(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def assert_bound_sql(bindings: Iterable[tuple[str, str | None]]) -> bytes:
    """Return the statement that fails unless schema and role are one of `bindings`."""
    alternatives = [
        sql.SQL(IS_BOUND if role else IS_BOUND_WITHOUT_ROLE).format(
            schema=sql.Literal(schema), role=sql.Literal(role)
        )
        for schema, role in bindings
    ]
    return compose(ASSERT_BOUND, bound=sql.SQL(" OR ").join(alternatives))


def first_in_path(path: tuple[str, ...]) -> str:
    """Return what current_schema() answers under `path`."""
    return path[0] if path else PUBLIC_SCHEMA
