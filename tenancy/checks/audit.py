"""
Is the audit log there, whole, ahead of the calendar, and nobody's to change?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Warning

from tenancy import audit, compat, roles, schemas
from tenancy.conf import settings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# There are fewer than this many months after the current one.
FEW_MONTHS = 2

# Since PostgreSQL 16 only who made a role, or was given it, may give it to others.
SAFE_CREATEROLE = (16,)

MONTHS_LEFT = """
    SELECT count(*)
      FROM pg_catalog.pg_class
     WHERE relnamespace = 'audit'::regnamespace
       AND relispartition
       AND relkind = 'r'
       AND relname > to_char(now() AT TIME ZONE 'UTC', '"event_"YYYY_MM')
"""

# What is the log's and somebody else owns or may write, and who becomes its owner.
CHANGED_BY = """
    WITH log AS (
        SELECT oid, nspname, nspowner, nspacl
          FROM pg_catalog.pg_namespace
         WHERE nspname = 'audit'
    ), owners AS (
        SELECT nspowner AS owner FROM log
         UNION
        SELECT relowner FROM pg_catalog.pg_class JOIN log ON log.oid = relnamespace
         UNION
        SELECT proowner FROM pg_catalog.pg_proc JOIN log ON log.oid = pronamespace
    ), granted AS (
        SELECT grantee
          FROM log, aclexplode(nspacl)
         WHERE privilege_type = 'CREATE'
         UNION
        SELECT grantee
          FROM pg_catalog.pg_class JOIN log ON log.oid = relnamespace, aclexplode(relacl)
         WHERE privilege_type <> 'SELECT'
    )
    SELECT pg_get_userbyid(owner) FROM owners
     UNION
    SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END FROM granted
     UNION
    SELECT pg_get_userbyid(member)
      FROM pg_catalog.pg_auth_members
     WHERE pg_get_userbyid(roleid) = %(owner)s
     ORDER BY 1
"""


def check(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Ask at the owner's address; with no roles there is no log (tenancy.W010)."""
    if connection.alias != settings.DDL_DATABASE or compat.is_on("no_roles"):
        return []
    if not _one(connection, audit.IS_THERE):
        return [
            Error(
                "The database has no audit log, so that nothing which is recorded can be done.",
                hint=f"As a superuser run what {_bootstrap(connection)} returns.",
                id="tenancy.E065",
            )
        ]
    return [*_check_months(connection), *_check_owner(connection), *_check_version(connection)]


def _check_months(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    left = _one(connection, MONTHS_LEFT)
    if left < FEW_MONTHS:
        yield Error(
            f"The audit log has partitions for {left} of the months to come; without one nothing "
            "which is recorded can be done.",
            hint="Type: manage.py migrate_schemas --shared",
            id="tenancy.E066",
        )


def _check_owner(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    owner = roles.name(schemas.role_prefix(connection), "audit")
    with connection.cursor() as cursor:
        cursor.execute(CHANGED_BY, {"owner": owner})
        strangers = [name for (name,) in cursor.fetchall() if name != owner]
    if strangers:
        yield Error(
            f"The audit log can be changed by {', '.join(strangers)}.",
            hint=f"As a superuser run what {_bootstrap(connection)} returns: it repairs that.",
            id="tenancy.E067",
        )


def _check_version(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    version = connection.get_database_version()
    if version < SAFE_CREATEROLE:
        yield Warning(
            f"On PostgreSQL {version[0]} whoever may make roles can become any of them: whoever "
            "has the owner's address can change the audit log.",
            hint="Use PostgreSQL 16 or newer, and keep the owner's address from pods that serve.",
            id="tenancy.W068",
        )


def _bootstrap(connection: BaseDatabaseWrapper) -> str:
    return f"tenancy.roles.bootstrap_sql(database={connection.settings_dict['NAME']!r}, ...)"


def _one(connection: BaseDatabaseWrapper, query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
