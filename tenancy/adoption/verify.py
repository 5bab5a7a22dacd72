"""
Does each tenant's role read its own schema, and not its neighbour's?

Tried, not read from the catalogue: as the application logs in, with SET ROLE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS
from psycopg import sql

from tenancy import roles
from tenancy.adoption.catalogue import Server
from tenancy.adoption.plan import Plan, database_name
from tenancy.names import PUBLIC_SCHEMA

TABLE_OF_EACH = """
    SELECT nspname, min(relname::text)
      FROM pg_catalog.pg_class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
     WHERE nspname = ANY(%(schemas)s)
       AND relkind IN ('r', 'p')
     GROUP BY nspname
"""
BECOME = "SET LOCAL ROLE {role}"
READ = "SELECT FROM {schema}.{table} LIMIT 1"


def list_failures(server: Server, plan: Plan, superuser_url: str) -> Iterator[str]:
    """Yield a sentence for each role that may less or more than it should."""
    tables = dict(
        server.execute(TABLE_OF_EACH, {"schemas": [s.schema for s in plan.steps]}).fetchall()
    )
    tenants = [step.schema for step in plan.tenants if step.schema in tables]
    try:
        application = _log_in(plan, superuser_url)
    except psycopg.Error as error:
        yield f"The application's login was refused: {str(error).strip()}"
        return
    with application:
        for schema, neighbour in zip(tenants, [*tenants[1:], *tenants[:1]], strict=True):
            role = roles.name(plan.prefix, schema)
            if not _reads(application, role, schema, tables[schema]):
                yield f"{role!r} cannot read its own schema."
            if neighbour != schema and _reads(application, role, neighbour, tables[neighbour]):
                yield f"{role!r} can read the schema {neighbour!r}."
        platform = roles.name(plan.prefix, "platform")
        if tenants and _reads(application, platform, tenants[0], tables[tenants[0]]):
            yield f"{platform!r} can read the schema {tenants[0]!r}."
        if not _reads(application, platform, PUBLIC_SCHEMA, tables[PUBLIC_SCHEMA]):
            yield f"{platform!r} cannot read the public schema."


def _log_in(plan: Plan, superuser_url: str) -> Server:
    return psycopg.connect(
        superuser_url,
        dbname=database_name(),
        user=roles.name(plan.prefix, "app"),
        password=django_settings.DATABASES[DEFAULT_DB_ALIAS]["PASSWORD"],
        autocommit=True,
    )


def _reads(application: psycopg.Connection[Any], role: str, schema: str, table: str) -> bool:
    try:
        with application.transaction():
            application.execute(sql.SQL(BECOME).format(role=sql.Identifier(role)))
            application.execute(
                sql.SQL(READ).format(schema=sql.Identifier(schema), table=sql.Identifier(table))
            )
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
