"""
How do a schema and its role come to be, with the rights of one in the other?
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from psycopg import sql

from tenancy import compat
from tenancy.schemas.composing import compose
from tenancy.schemas.tenant_roles import names_of, role_exists, role_for, role_prefix

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

CREATE_ROLE = "CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT"
GRANT_ROLE = "GRANT {tenants} TO {role}; GRANT {role} TO {app}"
# Names change, this stays: it is how the audit log knows for whom a role works.
ASSIGN = "COMMENT ON ROLE {role} IS {whose}"
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
# What was there before its role was: rights of its own in all of it, and nobody else's.
GRANT_EXISTING = """
    REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC;
    REVOKE ALL ON ALL ROUTINES IN SCHEMA {schema} FROM PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
    GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};
    GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {schema} TO {role}
"""
REVOKE_OTHERS = """
    REVOKE ALL ON SCHEMA {schema} FROM {others};
    REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {others};
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {others};
    REVOKE ALL ON ALL ROUTINES IN SCHEMA {schema} FROM {others};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        REVOKE ALL ON TABLES FROM {others};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        REVOKE ALL ON SEQUENCES FROM {others};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        REVOKE ALL ON FUNCTIONS FROM {others};
    ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA {schema}
        REVOKE ALL ON TYPES FROM {others}
"""
# Other tenants who may do anything here, or will with what is made here.
OTHER_TENANTS = """
    WITH here AS (
        SELECT oid, nspacl
          FROM pg_catalog.pg_namespace
         WHERE nspname = %(schema)s
    ), granted (acl) AS (
        SELECT nspacl FROM here
         UNION ALL
        SELECT relacl FROM pg_catalog.pg_class JOIN here ON here.oid = relnamespace
         UNION ALL
        SELECT proacl FROM pg_catalog.pg_proc JOIN here ON here.oid = pronamespace
         UNION ALL
        SELECT defaclacl FROM pg_catalog.pg_default_acl JOIN here ON here.oid = defaclnamespace
    )
    SELECT DISTINCT pg_get_userbyid(grantee)
      FROM granted, aclexplode(acl)
     WHERE pg_get_userbyid(grantee) <> %(role)s
       AND grantee IN (
           SELECT member
             FROM pg_catalog.pg_auth_members
            WHERE pg_get_userbyid(roleid) = %(tenants)s
       )
       AND pg_get_userbyid(grantee) <> %(ddl)s
     ORDER BY 1
"""
RENAME = "ALTER SCHEMA {schema} RENAME TO {new_schema}"
RENAME_ROLE = "ALTER ROLE {role} RENAME TO {new_role}"


def create(
    connection: BaseDatabaseWrapper, schema: str, *, tenant: object = None, script: str = ""
) -> None:
    """
    Make `schema` and its role, with the rights of one in the other; all in one message.

    `tenant` is what `assign` says on the role. `script` is run last; for that the schema has
    to be the active one's.
    """
    with connection.cursor() as cursor:
        cursor.execute("\n".join([*_create_sql(connection, schema, tenant), script]))


def _create_sql(connection: BaseDatabaseWrapper, schema: str, tenant: object) -> Iterator[str]:
    if compat.is_on("no_roles"):
        yield f"{compose(CREATE, schema=schema).decode()};"
        return
    parts = names_of(role_prefix(connection), schema)
    for statement in (CREATE_ROLE, GRANT_ROLE, CREATE, GRANT):
        yield f"{compose(statement, **parts).decode()};"
    if tenant is not None:
        yield f"{_assign_sql(connection, schema, tenant)};"


def assign(connection: BaseDatabaseWrapper, schema: str, tenant: object) -> None:
    """
    Say on the role of `schema` that it is that of the tenant whose id is `tenant`.

    Without that nothing can be recorded for it in the audit log. Idempotent; a rename of the
    role keeps it, a schema that is given to another tenant is assigned anew.
    """
    if compat.is_on("no_roles"):
        return
    with connection.cursor() as cursor:
        cursor.execute(_assign_sql(connection, schema, tenant))


def _assign_sql(connection: BaseDatabaseWrapper, schema: str, tenant: object) -> str:
    whose = sql.Literal(f"tenant {tenant}")
    return compose(ASSIGN, role=role_for(connection, schema), whose=whose).decode()


def adopt(connection: BaseDatabaseWrapper, schema: str) -> None:
    """
    Make the role of a `schema` that exists, with its rights there, and take away other tenants'.

    Idempotent. All that is in it must be the owner's already.
    """
    if compat.is_on("no_roles"):
        return
    prefix = role_prefix(connection)
    is_new = not role_exists(connection, schema)
    with connection.cursor() as cursor:
        cursor.execute(OTHER_TENANTS, others_parameters(prefix, schema))
        others = [name for (name,) in cursor.fetchall()]
        cursor.execute(adopt_sql(prefix, schema, is_new=is_new, others=others))


def adopt_sql(prefix: str, schema: str, *, is_new: bool, others: Collection[str]) -> str:
    """Return the statements of `adopt`, of roles whose names begin with `prefix`."""
    parts = names_of(prefix, schema)
    statements = [CREATE_ROLE] if is_new else []
    statements += [GRANT_ROLE, GRANT_EXISTING, GRANT]
    composed = [compose(statement, **parts).decode() for statement in statements]
    if others:
        revoked = sql.SQL(", ").join(map(sql.Identifier, others))
        composed.insert(0, compose(REVOKE_OTHERS, **parts, others=revoked).decode())
    return ";\n".join(composed)


def others_parameters(prefix: str, schema: str) -> dict[str, str]:
    """Return the parameters of OTHER_TENANTS."""
    parts = names_of(prefix, schema)
    return {name: parts[name] for name in ("schema", "role", "tenants", "ddl")}


def rename(connection: BaseDatabaseWrapper, schema: str, new_schema: str) -> None:
    """Rename `schema` and its role."""
    new_role = role_for(connection, new_schema)
    parts = {"schema": schema, "new_schema": new_schema}
    with connection.cursor() as cursor:
        cursor.execute(compose(RENAME, **parts).decode())
        if role_exists(connection, schema):
            role = role_for(connection, schema)
            cursor.execute(compose(RENAME_ROLE, role=role, new_role=new_role).decode())
