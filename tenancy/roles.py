"""
Which PostgreSQL roles exist, and what may each do?

    <db>_app        LOGIN, owns nothing, may do nothing by itself; becomes one of the others
    <db>_platform   reads and writes the public schema
    <db>_tenants    the group of all tenants: what they share, which is next to nothing
    <db>_<schema>   one for each tenant: reads and writes the tables of its schema
    <db>_ddl        owns every schema and table, makes tenants' roles
    <db>_ddl_login  LOGIN, becomes <db>_ddl: migrations, provisioning
    <db>_audit      owns the audit log; nobody's, so that no login can change what is in it

Roles belong to the whole server, hence the database's name in front of each. This
module needs no settings: the script that makes a database runs before there are any.
"""

from __future__ import annotations

from psycopg import sql

from tenancy import audit_schema

# What is no tenant's: a schema of this name would have one of these for its role.
FIXED = ("app", "platform", "tenants", "ddl", "ddl_login", "audit")

APP_TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}

# CREATEROLE is an attribute of <db>_ddl and not of its login: attributes are never
# inherited by a role's members (PostgreSQL, chapter 22.3), SET ROLE brings them.
_LOGIN = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name_literal}) THEN
        CREATE ROLE {name} {attributes};
    ELSE
        ALTER ROLE {name} {attributes};
    END IF;
END $$;
"""

# Without a procedural language and without set_config nobody but the owner can hide a SET
# in a DO block, in pg_settings or in a string; to call a function or to fire a trigger its
# language is not needed. The logins set their time zone when they connect, and pg_dump its path.
_DATABASE = """
ALTER DATABASE {database} OWNER TO {ddl};
ALTER DATABASE {database} SET timezone TO 'UTC';
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO {app}, {ddl_login};
GRANT CREATE ON DATABASE {database} TO {ddl};
ALTER SCHEMA public OWNER TO {ddl};
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO {ddl};
REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO {app}, {ddl_login}, {ddl};
GRANT USAGE ON SCHEMA public TO {platform}, {tenants};
GRANT {platform} TO {app};
GRANT {ddl} TO {ddl_login};
GRANT {tenants} TO {ddl} WITH ADMIN OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {platform};
ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA public
    GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {platform};
ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {ddl} IN SCHEMA public
    GRANT EXECUTE ON FUNCTIONS TO {platform}, {tenants};
"""


def name(prefix: str, suffix: str) -> str:
    """Return the name of a role of the database whose roles begin with `prefix`."""
    return f"{prefix}_{suffix}"


def bootstrap_sql(
    *, database: str, app_password: str, ddl_password: str, prefix: str | None = None
) -> str:
    """
    Return the script that makes the roles of `database` and its audit log, and takes from
    PUBLIC what it has.

    Their names begin with `prefix`, the database's own name unless given. To be run by a
    superuser who is connected to `database`; running it again repairs what was changed and
    sets the passwords anew.
    """
    prefix = prefix or database
    app, ddl_login = name(prefix, "app"), name(prefix, "ddl_login")
    statements = [
        _role(app, f"LOGIN {_NOTHING} PASSWORD", password=app_password),
        _role(ddl_login, f"LOGIN {_NOTHING} PASSWORD", password=ddl_password),
        _role(name(prefix, "platform"), f"NOLOGIN {_NOTHING}"),
        _role(name(prefix, "tenants"), f"NOLOGIN {_NOTHING}"),
        _role(name(prefix, "ddl"), f"NOLOGIN {_NOTHING.replace('NOCREATEROLE', 'CREATEROLE')}"),
        _role(name(prefix, "audit"), f"NOLOGIN {_NOTHING}"),
    ]
    names = {suffix: name(prefix, suffix) for suffix in FIXED}
    identifiers = {suffix: sql.Identifier(role) for suffix, role in names.items()}
    statements += [
        sql.SQL(_DATABASE).format(database=sql.Identifier(database), **identifiers),
        audit_schema.bootstrap_sql(names),
    ]
    statements += [
        sql.SQL("ALTER ROLE {app} SET {timeout} TO {value};\n").format(
            app=sql.Identifier(app), timeout=sql.Identifier(timeout), value=sql.Literal(value)
        )
        for timeout, value in APP_TIMEOUTS.items()
    ]
    return sql.Composed(statements).as_string(None)


_NOTHING = "NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"


def _role(role: str, attributes: str, *, password: str | None = None) -> sql.Composed:
    clause: sql.Composable = sql.SQL(attributes)
    if password is not None:
        clause = clause + sql.SQL(" ") + sql.Literal(password)
    return sql.SQL(_LOGIN).format(
        name=sql.Identifier(role), name_literal=sql.Literal(role), attributes=clause
    )
