"""
What may all tenants read and write in the public schema?
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from tenancy import compat, roles
from tenancy.schemas.composing import compose
from tenancy.schemas.tenant_roles import role_prefix

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

REVOKE_READABLE = """
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {tenants};
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {tenants}
"""
# Of an application whose migrations were not run yet there is nothing to grant.
EXISTING_TABLES = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = 'public'::regnamespace
       AND relname = ANY(%(tables)s)
     ORDER BY relname
"""
GRANT_READABLE = "GRANT SELECT ON public.{table} TO {tenants}"
GRANT_WRITABLE = "GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO {tenants}"
GRANT_SEQUENCES = "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {tenants}"


def grant_readable(
    connection: BaseDatabaseWrapper, tables: Iterable[str], writable: Collection[str] = ()
) -> None:
    """
    Let tenants read exactly `tables` of the public schema and write `writable`, of which some
    may not be there yet, and no other.
    """
    if compat.is_on("no_roles"):
        return
    with connection.cursor() as cursor:
        if writable:
            cursor.execute(EXISTING_TABLES, {"tables": list(writable)})
            writable = [name for (name,) in cursor.fetchall()]
        cursor.execute(readable_sql(role_prefix(connection), tables, writable))


def readable_sql(prefix: str, tables: Iterable[str], writable: Collection[str] = ()) -> str:
    """Return the statements of `grant_readable`, of roles whose names begin with `prefix`."""
    tenants = roles.name(prefix, "tenants")
    statements = [compose(REVOKE_READABLE, tenants=tenants)]
    statements += [compose(GRANT_READABLE, tenants=tenants, table=table) for table in tables]
    statements += [compose(GRANT_WRITABLE, tenants=tenants, table=table) for table in writable]
    if writable:
        statements.append(compose(GRANT_SEQUENCES, tenants=tenants))
    return ";\n".join(statement.decode() for statement in statements)
