"""
How do the schemas of an existing database come to their roles?

Each schema in a transaction of its own, the roles and the public schema first. What is done
can be seen in the catalogue, so that a run that was killed is continued by the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS
from psycopg import sql

from tenancy import roles, router, schemas
from tenancy.adoption import catalogue
from tenancy.adoption.catalogue import Server, Thing
from tenancy.adoption.plan import Plan, Step, database_name
from tenancy.conf import settings
from tenancy.errors import UnableToAdopt

# For a project that goes on working meanwhile: whoever waits behind us waits no longer.
WAIT_FOR_LOCKS = "SET LOCAL lock_timeout = '5s'"

HAND_OVER_SCHEMA = "ALTER SCHEMA {schema} OWNER TO {owner}"
HAND_OVER = "ALTER {kind} {name} OWNER TO {owner}"

# Who owned everything goes on doing so, until the project is started with its new settings.
KEEP_FORMER_OWNER = "GRANT {owner} TO {former}"
RELEASE_FORMER_OWNER = "REVOKE {owner} FROM {former}"

GRANT_PUBLIC = """
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {platform};
    GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {platform};
    GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO {platform}, {tenants}
"""
GRANT_EXTRA_SCHEMA = "GRANT USAGE ON SCHEMA {schema} TO {platform}, {tenants}"


def begin(server: Server, plan: Plan) -> None:
    """Make the roles that are no tenant's, and hand them the public schema."""
    addresses = django_settings.DATABASES
    parts: dict[str, sql.Composable] = {
        suffix: sql.Identifier(roles.name(plan.prefix, suffix)) for suffix in roles.FIXED
    }
    superusers = catalogue.column(server, catalogue.SUPERUSERS)
    with _transaction(server, "public"):
        server.execute(
            roles.bootstrap_sql(
                database=database_name(),
                prefix=plan.prefix,
                app_password=addresses[DEFAULT_DB_ALIAS]["PASSWORD"],
                ddl_password=addresses[settings.DDL_DATABASE]["PASSWORD"],
            ).encode()
        )
        for former in plan.former_owners:
            if former not in superusers:
                _execute(server, KEEP_FORMER_OWNER, owner=parts["ddl"], former=former)
        _hand_over(server, plan, plan.public.to_hand_over)
        _execute(server, GRANT_PUBLIC, **parts)
        for schema in getattr(django_settings, "PG_EXTRA_SEARCH_PATHS", ()):
            _execute(server, GRANT_EXTRA_SCHEMA, schema=schema, **parts)
        writable = catalogue.column(
            server, schemas.EXISTING_TABLES, tables=router.list_writable_tables()
        )
        readable = schemas.readable_sql(plan.prefix, settings.READABLE_TABLES, writable)
        server.execute(readable.encode())


def adopt(server: Server, plan: Plan) -> Iterator[Step]:
    """Give each tenant's schema its role, and yield each; raise UnableToAdopt naming one."""
    for step in plan.tenants:
        if not step.is_done:
            with _transaction(server, step.schema):
                _execute(server, HAND_OVER_SCHEMA, schema=step.schema, owner=plan.owner)
                _hand_over(server, plan, step.to_hand_over)
                parameters = schemas.others_parameters(plan.prefix, step.schema)
                others = catalogue.column(server, schemas.OTHER_TENANTS, **parameters)
                if not step.state.has_role:
                    _make_role(server, plan.prefix, step.schema)
                statements = schemas.adopt_sql(
                    plan.prefix, step.schema, is_new=False, others=others
                )
                server.execute(statements.encode())
        yield step


def _make_role(server: Server, prefix: str, schema: str) -> None:
    """As the owner: since PostgreSQL 16 only who made a role may rename, grant or drop it."""
    names = {suffix: roles.name(prefix, suffix) for suffix in ("app", "tenants")}
    _execute(server, "SET LOCAL ROLE {owner}", owner=roles.name(prefix, "ddl"))
    for statement in (schemas.CREATE_ROLE, schemas.GRANT_ROLE):
        _execute(server, statement, role=roles.name(prefix, schema), **names)
    _execute(server, "RESET ROLE")


def release(server: Server, plan: Plan) -> list[str]:
    """Take from who owned everything before what is left of that; return who it was."""
    members = catalogue.column(server, catalogue.MEMBERS, role=plan.owner)
    former = [name for name in members if name != roles.name(plan.prefix, "ddl_login")]
    for name in former:
        _execute(server, RELEASE_FORMER_OWNER, owner=plan.owner, former=name)
    return former


def _hand_over(server: Server, plan: Plan, things: list[Thing]) -> None:
    for thing in things:
        # Both come from PostgreSQL's catalogue, quoted by PostgreSQL.
        kind, name = sql.SQL(thing.kind), sql.SQL(thing.name)
        _execute(server, HAND_OVER, kind=kind, name=name, owner=plan.owner)


class _transaction:
    """A transaction for one schema; what PostgreSQL refuses names it."""

    def __init__(self, server: Server, schema: str) -> None:
        self.server, self.schema = server, schema

    def __enter__(self) -> None:
        self.context = self.server.transaction()
        self.context.__enter__()
        self.server.execute(WAIT_FOR_LOCKS)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.context.__exit__(kind, error, trace)
        if isinstance(error, psycopg.Error):
            raise UnableToAdopt(
                f"Schema {self.schema!r}: {str(error).strip()}. What was done before remains; run "
                "the same command again when the cause is gone."
            ) from error


def _execute(server: Server, statement: str, **parts: Any) -> None:
    composed = {
        key: part if isinstance(part, sql.Composable) else sql.Identifier(part)
        for key, part in parts.items()
    }
    server.execute(sql.SQL(statement).format(**composed))
