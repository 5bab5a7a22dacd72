"""
Does the server let a login do more than it should, or would one of its functions?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error

from tenancy import compat, roles, schemas
from tenancy.conf import settings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

MINIMUM_VERSION = (15,)

# Enough to see what is meant: a fleet has the same function in each of its schemas.
FUNCTIONS_SHOWN = 5

LOGIN = """
    SELECT role.rolsuper, role.rolbypassrls
      FROM pg_catalog.pg_roles AS role
     WHERE role.rolname = session_user
"""
# A tenant's schema begins with the prefix, and where there is none it is one that has a role,
# as the audit log has, whose functions name its schema.
# What the login may do by itself, without SET ROLE: it should be nothing.
SCHEMAS_OPEN_TO_LOGIN = """
    SELECT namespace.nspname
      FROM pg_catalog.pg_namespace AS namespace
     WHERE starts_with(namespace.nspname, %(prefix)s)
       AND namespace.nspname <> 'audit'
       AND (%(prefix)s::text <> '' OR EXISTS (
           SELECT FROM pg_catalog.pg_roles WHERE rolname = %(roles)s || '_' || namespace.nspname))
       AND has_schema_privilege(session_user, namespace.oid, 'USAGE')
     ORDER BY namespace.nspname
     LIMIT 1
"""
TIMEOUTS_THAT_ARE_NONE = """
    SELECT setting.name
      FROM unnest(%(names)s::text[]) AS setting (name)
     WHERE current_setting(setting.name)::interval = '0'
     ORDER BY setting.name
"""
# What begins like a tenant's schema may be a column, so the catalogue is asked whether it
# is one. A body between BEGIN ATOMIC and END has no text, and follows what is renamed.
FUNCTIONS_THAT_NAME_A_SCHEMA = r"""
    SELECT format('%%I.%%I(%%s)', namespace.nspname, function.proname,
                  pg_get_function_identity_arguments(function.oid)),
           named.schema
      FROM pg_catalog.pg_proc AS function
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = function.pronamespace
     CROSS JOIN LATERAL (
           SELECT concat_ws(' ', function.prosrc, array_to_string(function.proconfig, ' '))
           ) AS source (text)
     CROSS JOIN LATERAL (
           SELECT tenant.nspname
             FROM regexp_matches(source.text, '\m' || %(prefix)s || '\w+', 'gi') AS word
             JOIN pg_catalog.pg_namespace AS tenant ON tenant.nspname = lower(word[1])
            WHERE %(prefix)s::text <> ''
               OR EXISTS (
                  SELECT
                    FROM pg_catalog.pg_roles
                   WHERE rolname = %(roles)s || '_' || tenant.nspname
               )
            UNION
           SELECT 'public'
            WHERE source.text ~* '\mpublic"?[.]["%%\w]'
           ) AS named (schema)
     WHERE starts_with(namespace.nspname, %(prefix)s)
       AND namespace.nspname <> 'audit'
       AND (%(prefix)s::text <> '' OR EXISTS (
           SELECT FROM pg_catalog.pg_roles WHERE rolname = %(roles)s || '_' || namespace.nspname))
     ORDER BY 1, 2
     LIMIT %(limit)s
"""
FUNCTIONS_WITH_THE_CALLERS_PATH = """
    SELECT format('%%I.%%I(%%s)', namespace.nspname, function.proname,
                  pg_get_function_identity_arguments(function.oid)),
           CASE function.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END
      FROM pg_catalog.pg_proc AS function
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = function.pronamespace
     WHERE function.prosecdef
       AND NOT starts_with(namespace.nspname, 'pg_')
       AND namespace.nspname <> 'information_schema'
       AND NOT EXISTS (
           SELECT
             FROM unnest(function.proconfig) AS setting
            WHERE starts_with(setting, 'search_path=')
           )
     ORDER BY 1
     LIMIT %(limit)s
"""


def check(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Ask as the login does; what is in the schemas is asked once, at the owner's address."""
    messages = [*_check_version(connection)]
    if not compat.is_on("no_roles"):
        messages += _check_login(connection)
        if connection.alias != settings.DDL_DATABASE:
            messages += _check_timeouts(connection)
    if connection.alias == settings.DDL_DATABASE:
        messages += _check_names_in_functions(connection)
        messages += _check_definers(connection)
    return messages


def _check_version(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    version = connection.get_database_version()
    if version < MINIMUM_VERSION:
        yield Error(
            f"DATABASES[{connection.alias!r}] is PostgreSQL {version[0]}.",
            hint="Use PostgreSQL 15 or newer; 16 is recommended.",
            id="tenancy.E007",
        )


def _check_login(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    ((is_superuser, bypasses_rls),) = _rows(connection, LOGIN)
    if is_superuser or bypasses_rls:
        yield Error(
            f"DATABASES[{connection.alias!r}] logs in as a role to which privileges do not apply.",
            hint=(
                "Log in as <database>_app, which tenancy.roles.bootstrap_sql() makes: it "
                "is neither SUPERUSER nor BYPASSRLS."
            ),
            id="tenancy.E008",
        )
    elif connection.alias != settings.DDL_DATABASE:
        for (schema,) in _rows(connection, SCHEMAS_OPEN_TO_LOGIN):
            yield Error(
                f"The login of DATABASES[{connection.alias!r}] may use {schema!r} by itself.",
                hint=(
                    f"REVOKE ALL ON SCHEMA {schema} FROM the login, and ALTER ROLE it "
                    f"NOINHERIT; {schemas.role_for(connection, schema)!r} is who may."
                ),
                id="tenancy.E009",
            )


def _check_timeouts(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    login = connection.settings_dict["USER"]
    for (name,) in _rows(connection, TIMEOUTS_THAT_ARE_NONE, names=[*roles.APP_TIMEOUTS]):
        yield Error(
            f"DATABASES[{connection.alias!r}] has no {name}: one request could keep a "
            "connection for ever.",
            hint=(
                f'As a superuser: ALTER ROLE "{login}" SET {name} TO '
                f"'{roles.APP_TIMEOUTS[name]}'; then connect anew."
            ),
            id="tenancy.E080",
        )


def _check_names_in_functions(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    found = _rows(
        connection,
        FUNCTIONS_THAT_NAME_A_SCHEMA,
        limit=FUNCTIONS_SHOWN,
    )
    for function, schema in found:
        yield Error(
            f"{function} names the schema {schema!r}: a tenant that is renamed, copied or "
            "restored elsewhere would run it in another's.",
            hint=(
                "Leave the schema out, since the path is the tenant's own; in a trigger, "
                "EXECUTE format('... %I.name', TG_TABLE_SCHEMA)."
            ),
            id="tenancy.E016",
        )


def _check_definers(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    found = _rows(connection, FUNCTIONS_WITH_THE_CALLERS_PATH, limit=FUNCTIONS_SHOWN)
    for function, kind in found:
        yield Error(
            f"{function} is SECURITY DEFINER and looks names up in its caller's path.",
            hint=f"ALTER {kind} {function} SET search_path = pg_catalog, pg_temp;",
            id="tenancy.E017",
        )


def _rows(connection: BaseDatabaseWrapper, query: str, **parameters: Any) -> list[Any]:
    whose = {"prefix": settings.SCHEMA_PREFIX, "roles": schemas.role_prefix(connection)}
    with connection.cursor() as cursor:
        cursor.execute(query, whose | parameters)
        return list(cursor.fetchall())
