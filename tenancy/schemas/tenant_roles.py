"""
Which role works in a schema, and is it there?
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenancy import compat, names, roles
from tenancy.conf import settings
from tenancy.schemas.composing import ask_one

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ROLE_EXISTS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %(role)s)"
LIST_ROLES = """
    SELECT pg_get_userbyid(member)
      FROM pg_catalog.pg_auth_members
     WHERE pg_get_userbyid(roleid) = %(tenants)s
       AND pg_get_userbyid(member) <> %(ddl)s
     ORDER BY 1
"""


def role_prefix(connection: BaseDatabaseWrapper) -> str:
    """Return what the names of the database's roles begin with: its own name, unless set."""
    prefix = settings.ROLE_PREFIX or connection.settings_dict["NAME"]
    return str(prefix)


def role_for(connection: BaseDatabaseWrapper, schema: str) -> str:
    """Return the role that works in `schema`."""
    return roles.name(role_prefix(connection), schema)


def names_of(prefix: str, schema: str) -> dict[str, str]:
    return {
        "schema": schema,
        "role": roles.name(prefix, schema),
        "app": roles.name(prefix, "app"),
        "ddl": roles.name(prefix, "ddl"),
        "tenants": roles.name(prefix, "tenants"),
    }


def check_role_name(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Raise InvalidName when the role of `schema` cannot be called as it would have to be."""
    if not compat.is_on("no_roles"):
        names.check_role(role_for(connection, schema), schema=schema)


def owner_of(connection: BaseDatabaseWrapper) -> str:
    """Return the role that owns what is made at the owner's address."""
    if compat.is_on("no_roles"):
        return str(connection.settings_dict["USER"])
    return roles.name(role_prefix(connection), "ddl")


def has_role(connection: BaseDatabaseWrapper, schema: str) -> bool:
    # Of a schema that never had one the name may be another's: the login's, for example.
    if schema in roles.FIXED or compat.is_on("no_roles"):
        return False
    return role_exists(connection, schema)


def role_exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    """Tell whether the role of `schema` exists, whether or not the schema does."""
    return bool(ask_one(connection, ROLE_EXISTS, {"role": role_for(connection, schema)}))


def list_roles(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the schemas whose roles there are, also those that no tenant has."""
    if compat.is_on("no_roles"):
        return []
    prefix = role_prefix(connection)
    parameters = {"tenants": roles.name(prefix, "tenants"), "ddl": roles.name(prefix, "ddl")}
    with connection.cursor() as cursor:
        cursor.execute(LIST_ROLES, parameters)
        return [name.removeprefix(f"{prefix}_") for (name,) in cursor.fetchall()]
