"""
What would somebody send to PostgreSQL who had nothing but SQL? One message for each schema.

That is the limit, and the way in which the fleet itself is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from tenancy import roles, schemas
from tests.benchmarks import names
from tests.benchmarks.fleet import changes
from tests.benchmarks.fleet.changes import Change

# The first organization's row with another name: whatever columns it has.
ORGANIZATION = """
    INSERT INTO public.tenancy_organization
    SELECT (json_populate_record(first, json_build_object(
               'id', gen_random_uuid(), 'slug', {slug}::text, 'schema_name', {schema}::text))).*
      FROM public.tenancy_organization AS first
     WHERE slug = {first}
"""
# What stock django-tenants knows of it.
CLINIC = "INSERT INTO public.clinics_clinic (schema_name, name) VALUES ({schema}, {slug})"
MAKE_SCHEMA = "; ".join([schemas.CREATE_ROLE, schemas.GRANT_ROLE, schemas.CREATE, schemas.GRANT])
IN_SCHEMA = "BEGIN; SET LOCAL search_path = {schema}, public; {statements}; COMMIT"

APPLIED = "SELECT {literal}, app, name FROM {schema}.django_migrations"


def creation(database: str, slug: str, *, script: str) -> bytes:
    """Return what makes a clinic with its row, role, rights, tables and first rows."""
    schema = f"tenant_{slug}"
    rows = sql.SQL(ORGANIZATION).format(
        slug=sql.Literal(slug), schema=sql.Literal(schema), first=sql.Literal(names.slug(1))
    )
    made = sql.SQL(MAKE_SCHEMA).format(
        schema=sql.Identifier(schema),
        role=sql.Identifier(roles.name(database, schema)),
        **{name: sql.Identifier(roles.name(database, name)) for name in ("app", "ddl", "tenants")},
    )
    return _in_schema(schema, sql.SQL("; ").join([rows, made, _verbatim(script)]))


def addition(slug: str) -> bytes:
    """
    Return what else a clinic of the fleet has, whose schema is there: wards, and a row that
    tells stock django-tenants of it.
    """
    schema = f"tenant_{slug}"
    row = sql.SQL(CLINIC).format(schema=sql.Literal(schema), slug=sql.Literal(slug))
    return _in_schema(schema, sql.SQL("; ").join([row, _verbatim(changes.FILL)]))


def migration(schema: str, change: Change, statements: Sequence[str]) -> bytes:
    """Return what brings `change` to a schema: Django's own `statements`, and its records."""
    record = sql.SQL(changes.RECORD).format(migration=sql.Literal(changes.MIGRATION))
    done = [*map(_verbatim, statements), *([_verbatim(change.also)] if change.also else []), record]
    return _in_schema(schema, sql.SQL("; ").join(done))


def undoing(schema: str, change: Change) -> bytes:
    unrecord = sql.SQL(changes.UNRECORD).format(migration=sql.Literal(changes.MIGRATION))
    stocks_own = _verbatim(changes.REMOVE_STOCKS_OWN)
    return _in_schema(schema, sql.SQL("; ").join([_verbatim(change.undo), stocks_own, unrecord]))


def proof(schema: str, change: Change) -> bytes:
    """Return a message whose last but one statement tells whether the schema has `change`."""
    asked = sql.SQL(changes.IS_RECORDED).format(
        migration=sql.Literal(changes.MIGRATION), proof=_verbatim(change.proof)
    )
    return _in_schema(schema, asked)


def applied(wanted: Sequence[str]) -> bytes:
    """Return one query for the migrations of all schemas: the least that a plan can cost."""
    return (
        sql.SQL(" UNION ALL ")
        .join(
            sql.SQL(APPLIED).format(literal=sql.Literal(schema), schema=sql.Identifier(schema))
            for schema in wanted
        )
        .as_bytes(None)
    )


def _in_schema(schema: str, statements: sql.Composable) -> bytes:
    parts = {"schema": sql.Identifier(schema), "statements": statements}
    return sql.SQL(IN_SCHEMA).format(**parts).as_bytes(None)


def _verbatim(statements: str) -> sql.SQL:
    return sql.SQL(statements.strip().removesuffix(";"))  # type: ignore[arg-type]  # no literal
