"""
Which schemas, roles and organizations lack their other half?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_tenants.utils import get_tenant_model
from psycopg import sql

from tenancy import compat, roles, schemas
from tenancy.conf import settings
from tenancy.models import STATES_GONE, STATES_TO_COME
from tenancy.names import PUBLIC_SCHEMA
from tenancy.references import WarmSchema

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# What migrations were run in, or what is called like a tenant's.
SCHEMAS = """
    SELECT nspname
      FROM pg_catalog.pg_namespace AS namespace
     WHERE nspname NOT LIKE 'pg\\_%%'
       AND nspname NOT IN ('public', 'information_schema')
       AND (
           starts_with(nspname, %(schema_prefix)s)
           OR EXISTS (
               SELECT
                 FROM pg_catalog.pg_class
                WHERE relnamespace = namespace.oid AND relname = 'django_migrations'
           )
       )
     ORDER BY nspname
"""
# Members of the tenants' group: another database's role may be called as one of ours.
ROLES = """
    SELECT substr(pg_get_userbyid(member), length(%(prefix)s) + 2)
      FROM pg_catalog.pg_auth_members
     WHERE roleid = to_regrole(quote_ident(%(tenants)s))
       AND starts_with(pg_get_userbyid(member), %(prefix)s || '_')
     ORDER BY 1
"""


@dataclass(frozen=True)
class Stray:
    """Something that belongs together with what is not there."""

    name: str
    problem: str
    remedy: str


def find(connection: BaseDatabaseWrapper) -> list[Stray]:
    """Return what has lost its other half, for the platform. Three queries and two of rows."""
    existing, with_role = _schemas(connection), _roles(connection)
    rows = {row.schema_name: row for row in _rows(connection)}
    known = rows.keys() | _waiting(connection)
    return [
        *_unknown_schemas(connection, existing, known, rows),
        *_rows_without_schema(rows, existing),
        *_without_role(rows, existing, with_role),
        *_roles_without_schema(connection, with_role, existing, rows),
    ]


def _schemas(connection: BaseDatabaseWrapper) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMAS, {"schema_prefix": settings.SCHEMA_PREFIX})
        return {name for (name,) in cursor.fetchall()}


def _roles(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the schemas for which there is a role."""
    if compat.is_on("no_roles"):
        return set()
    prefix = schemas.role_prefix(connection)
    with connection.cursor() as cursor:
        cursor.execute(ROLES, {"prefix": prefix, "tenants": roles.name(prefix, "tenants")})
        return {name for (name,) in cursor.fetchall()} - set(roles.FIXED)


def _rows(connection: BaseDatabaseWrapper) -> Any:
    rows = get_tenant_model()._default_manager.using(connection.alias)
    return rows.exclude(schema_name=PUBLIC_SCHEMA)


def _waiting(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the schemas of the pool, which are nobody's yet."""
    rows = WarmSchema.objects.using(connection.alias)
    return set(rows.values_list("schema_name", flat=True))


def _unknown_schemas(
    connection: BaseDatabaseWrapper, existing: set[str], known: set[str], rows: dict[str, Any]
) -> Iterator[Stray]:
    for schema in sorted(existing - known):
        yield Stray(
            schema,
            "a schema that belongs to no organization",
            f"Look into it; to delete all that is in it: {_drop(connection, schema)}",
        )
    for schema in sorted(existing & rows.keys()):
        if getattr(rows[schema], "state", "") in STATES_GONE:
            yield Stray(
                schema,
                "a schema whose organization is deleted, or was being deleted",
                "manage.py reconcile_tenants",
            )


def _rows_without_schema(rows: dict[str, Any], existing: set[str]) -> Iterator[Stray]:
    for schema in sorted(rows.keys() - existing):
        row = rows[schema]
        if getattr(row, "state", "") in (*STATES_TO_COME, *STATES_GONE):
            continue
        slug = getattr(row, "slug", schema)
        yield Stray(
            slug,
            f"an organization whose schema {schema} is not there",
            f"Restore it from a backup; or, to give it up: manage.py delete_tenant {slug}",
        )


def _without_role(rows: dict[str, Any], existing: set[str], with_role: set[str]) -> Iterator[Stray]:
    if compat.is_on("no_roles"):
        return
    for schema in sorted((rows.keys() & existing) - with_role):
        yield Stray(
            schema,
            "a schema without its role, in which nobody can work",
            "manage.py adopt_roles --apply",
        )


def _roles_without_schema(
    connection: BaseDatabaseWrapper,
    with_role: set[str],
    existing: set[str],
    rows: dict[str, Any],
) -> Iterator[Stray]:
    for schema in sorted(with_role):
        if schema in existing or schema in rows or schemas.exists(connection, schema):
            continue
        role = schemas.role_for(connection, schema)
        yield Stray(role, "a role whose schema is not there", f"{_drop_role(role)}")


def _drop(connection: BaseDatabaseWrapper, schema: str) -> str:
    drops = [sql.SQL("DROP SCHEMA {} CASCADE;").format(sql.Identifier(schema)).as_string(None)]
    if not compat.is_on("no_roles") and schemas.role_exists(connection, schema):
        drops.append(_drop_role(schemas.role_for(connection, schema)))
    return " ".join(drops)


def _drop_role(role: str) -> str:
    return sql.SQL("DROP ROLE {};").format(sql.Identifier(role)).as_string(None)
