"""
Every statement that names a tenant's schema or its role.

"Can a tenant's name escape?" is answered by this file: names are composed as
identifiers, values travel as parameters, and nothing is formatted into a string.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import md5
from typing import TYPE_CHECKING

from psycopg import sql

from tenancy import compat, names, roles
from tenancy.conf import settings
from tenancy.names import PUBLIC_SCHEMA

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# The role comes last: once it is taken, a setting that only the login may make is out of reach.
BIND = "SET LOCAL search_path = {path}; SET LOCAL ROLE {role}; "
BIND_WITHOUT_ROLE = "SET LOCAL search_path = {path}; "

# current_schema() is the first schema of the path that exists and may be used, NULL if there
# is none: a path or a role that was changed and a schema that is gone all divide by zero.
ASSERT_BOUND = "SELECT 1 / (({bound}) IS TRUE)::int; "
IS_BOUND = "current_schema() = {schema} AND current_user = {role}"
IS_BOUND_WITHOUT_ROLE = "current_schema() = {schema}"

# For what no transaction takes, on a connection that no pooler shares.
BIND_SESSION = "SET search_path = {path}; SET ROLE {role}"
BIND_SESSION_WITHOUT_ROLE = "SET search_path = {path}"
UNBIND_SESSION = b"RESET ROLE; RESET search_path"

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

# The login becomes this role no more, and so reads no half of what is being dropped.
REVOKE_ROLE = "REVOKE {role} FROM {app}"
# Statements that drop what is in a schema, some at a time and the most entangled last: each
# table takes some twenty locks with its indexes, defaults and types, and a foreign key those of
# two tables. What belongs to an extension goes with that.
LIST_DROPS = """
    WITH here AS (
        SELECT oid, nspname
          FROM pg_catalog.pg_namespace
         WHERE nspname = %(schema)s
    ), of_extensions AS (
        SELECT classid, objid
          FROM pg_catalog.pg_depend
         WHERE deptype = 'e'
    ), drops (turn, place, statement) AS (
        SELECT 1, conname::text,
               format('ALTER TABLE IF EXISTS %%I.%%I DROP CONSTRAINT IF EXISTS %%I',
                      nspname, relname, conname)
          FROM pg_catalog.pg_constraint
          JOIN here ON here.oid = connamespace
          JOIN pg_catalog.pg_class AS class ON class.oid = conrelid
         WHERE contype = 'f'
           AND conparentid = 0
         UNION ALL
        SELECT CASE relkind WHEN 'v' THEN 2 WHEN 'm' THEN 2 WHEN 'S' THEN 4 ELSE 3 END,
               relname,
               format('DROP %%s IF EXISTS %%I.%%I CASCADE',
                      CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                   WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
                                   ELSE 'TABLE' END,
                      nspname, relname)
          FROM pg_catalog.pg_class AS class
          JOIN here ON here.oid = relnamespace
         WHERE relkind IN ('v', 'm', 'r', 'p', 'f', 'S')
           AND ('pg_class'::regclass, class.oid) NOT IN (SELECT classid, objid FROM of_extensions)
           -- A column's sequence goes with its table, and the partitions before the whole.
           AND NOT EXISTS (
               SELECT
                 FROM pg_catalog.pg_depend
                WHERE relkind = 'S'
                  AND classid = 'pg_class'::regclass
                  AND objid = class.oid
                  AND refclassid = 'pg_class'::regclass
                  AND deptype IN ('a', 'i')
           )
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = class.oid)
         UNION ALL
        SELECT 5, proname,
               format('DROP ROUTINE IF EXISTS %%I.%%I(%%s) CASCADE',
                      nspname, proname, pg_get_function_identity_arguments(proc.oid))
          FROM pg_catalog.pg_proc AS proc
          JOIN here ON here.oid = pronamespace
         WHERE ('pg_proc'::regclass, proc.oid) NOT IN (SELECT classid, objid FROM of_extensions)
         UNION ALL
        SELECT 6, typname, format('DROP TYPE IF EXISTS %%I.%%I CASCADE', nspname, typname)
          FROM pg_catalog.pg_type AS type
          JOIN here ON here.oid = typnamespace
         WHERE typtype IN ('d', 'e', 'r')
            OR typtype = 'c' AND EXISTS (
               SELECT FROM pg_catalog.pg_class WHERE oid = typrelid AND relkind = 'c'
           )
    )
    SELECT statement
      FROM drops
     ORDER BY turn, place
     LIMIT %(most)s
"""
# The schema goes before the role: a role that still owns rights cannot be dropped.
DROP = "DROP SCHEMA IF EXISTS {schema} CASCADE"
DROP_ROLE = "DROP ROLE IF EXISTS {role}"
# Rights that somebody gave it elsewhere, for example in the public schema. DROP OWNED would
# take them too, and asks for rights of the role's own, which the owner does not inherit.
LIST_REVOKES = """
    WITH granted AS (
        SELECT classid, objid, quote_ident(rolname) AS role
          FROM pg_catalog.pg_shdepend
          JOIN pg_catalog.pg_roles AS role ON role.oid = refobjid
         WHERE rolname = %(role)s
           AND refclassid = 'pg_authid'::regclass
           AND deptype = 'a'
           AND dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    )
    SELECT format('REVOKE ALL ON %%s %%s FROM %%s',
                  CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, objid::regclass, role)
      FROM granted
      JOIN pg_catalog.pg_class AS class ON class.oid = objid
     WHERE classid = 'pg_class'::regclass
     UNION ALL
    SELECT format('REVOKE ALL ON SCHEMA %%s FROM %%s', objid::regnamespace, role)
      FROM granted
     WHERE classid = 'pg_namespace'::regclass
     UNION ALL
    SELECT format('REVOKE ALL ON ROUTINE %%s FROM %%s', objid::regprocedure, role)
      FROM granted
     WHERE classid = 'pg_proc'::regclass
"""

EXISTS = "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL"
ROLE_EXISTS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %(role)s)"

IS_INVALID_INDEX = """
    SELECT EXISTS (
        SELECT
          FROM pg_catalog.pg_index
          JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
         WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
           AND relname = %(index)s
           AND NOT indisvalid
    )
"""
DROP_INDEX = "DROP INDEX CONCURRENTLY IF EXISTS {schema}.{index}"

LIST_WITH_MIGRATIONS = """
    SELECT namespace.nspname
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
     WHERE class.relname = 'django_migrations'
       AND namespace.nspname = ANY(%(schemas)s)
"""
APPLIED = "SELECT {literal}, app, name FROM {schema}.django_migrations"
# A hash says which lists are alike: 500 lists of 60 migrations would be 30,000 rows. In an
# order that does not depend on the language of the database.
HASH_APPLIED = """
    SELECT {literal},
           md5(string_agg(app || '.' || name, ',' ORDER BY app COLLATE "C", name COLLATE "C"))
      FROM {schema}.django_migrations
"""
# Each relation of a query is a lock until its transaction ends, in a table of a fixed size.
MOST_AT_ONCE = 500

LIST_TABLES = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
       AND relkind IN ('r', 'p')
       AND NOT relispartition
     ORDER BY relname
"""
COUNT_ROWS = "SELECT {literal}, count(*) FROM {schema}.{table}"
# Constraints that wait for the commit: what they wait for is in the way of a TRUNCATE.
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
CHECK_AT_COMMIT = "SET CONSTRAINTS ALL DEFERRED"
TRUNCATE = "TRUNCATE {tables}"
# What PostgreSQL generates it does not take from others.
LIST_COLUMNS = """
    SELECT attname
      FROM pg_catalog.pg_attribute
     WHERE attrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass
       AND attnum > 0
       AND NOT attisdropped
       AND attgenerated = ''
     ORDER BY attnum
"""
COPY_ROWS = """
    INSERT INTO {new_schema}.{table} ({columns}) OVERRIDING SYSTEM VALUE
    SELECT {columns} FROM {schema}.{table}
"""
LIST_SEQUENCES = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s))
       AND relkind = 'S'
     ORDER BY relname
"""
COPY_SEQUENCE = """
    SELECT setval(format('%%I.%%I', %(new_schema)s::text, %(name)s::text), last_value, is_called)
      FROM {schema}.{name}
"""
# Indexes and what is too long for a row count with the table that they are of.
SIZES = """
    SELECT nspname, sum(pg_total_relation_size(class.oid))::bigint
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
     WHERE nspname = ANY(%(schemas)s)
       AND relkind IN ('r', 'm')
     GROUP BY nspname
"""

# Schemas of the owner's and roles of tenants', whether or not anybody has them.
LIST_SCHEMAS = """
    SELECT nspname
      FROM pg_catalog.pg_namespace
     WHERE pg_get_userbyid(nspowner) = %(ddl)s
       AND nspname <> %(public)s
     ORDER BY nspname
"""
LIST_ROLES = """
    SELECT pg_get_userbyid(member)
      FROM pg_catalog.pg_auth_members
     WHERE pg_get_userbyid(roleid) = %(tenants)s
       AND pg_get_userbyid(member) <> %(ddl)s
     ORDER BY 1
"""

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


def role_prefix(connection: BaseDatabaseWrapper) -> str:
    """Return what the names of the database's roles begin with: its own name, unless set."""
    prefix = settings.ROLE_PREFIX or connection.settings_dict["NAME"]
    return str(prefix)


def role_for(connection: BaseDatabaseWrapper, schema: str) -> str:
    """Return the role that works in `schema`."""
    return roles.name(role_prefix(connection), schema)


def bind_sql(path: tuple[str, ...], role: str | None) -> bytes:
    """
    Return the statements that bind a transaction, to stand in front of another statement.

    Two of them, or one where there is no role to take (TENANCY_COMPAT).
    """
    if role is None:
        return _compose(BIND_WITHOUT_ROLE, path=_path(path))
    return _compose(BIND, path=_path(path), role=role)


def bind_session_sql(path: tuple[str, ...], role: str | None) -> bytes:
    """Return the statements that bind a session until UNBIND_SESSION."""
    if role is None:
        return _compose(BIND_SESSION_WITHOUT_ROLE, path=_path(path))
    return _compose(BIND_SESSION, path=_path(path), role=role)


def _path(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def assert_bound_sql(bindings: Iterable[tuple[str, str | None]]) -> bytes:
    """Return the statement that fails unless schema and role are one of `bindings`."""
    alternatives = [
        sql.SQL(IS_BOUND if role else IS_BOUND_WITHOUT_ROLE).format(
            schema=sql.Literal(schema), role=sql.Literal(role)
        )
        for schema, role in bindings
    ]
    return _compose(ASSERT_BOUND, bound=sql.SQL(" OR ").join(alternatives))


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
        yield f"{_compose(CREATE, schema=schema).decode()};"
        return
    parts = _names(role_prefix(connection), schema)
    for statement in (CREATE_ROLE, GRANT_ROLE, CREATE, GRANT):
        yield f"{_compose(statement, **parts).decode()};"
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
    return _compose(ASSIGN, role=role_for(connection, schema), whose=whose).decode()


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
    parts = _names(prefix, schema)
    statements = [CREATE_ROLE] if is_new else []
    statements += [GRANT_ROLE, GRANT_EXISTING, GRANT]
    composed = [_compose(statement, **parts).decode() for statement in statements]
    if others:
        revoked = sql.SQL(", ").join(map(sql.Identifier, others))
        composed.insert(0, _compose(REVOKE_OTHERS, **parts, others=revoked).decode())
    return ";\n".join(composed)


def others_parameters(prefix: str, schema: str) -> dict[str, str]:
    """Return the parameters of OTHER_TENANTS."""
    parts = _names(prefix, schema)
    return {name: parts[name] for name in ("schema", "role", "tenants", "ddl")}


def _names(prefix: str, schema: str) -> dict[str, str]:
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


def rename(connection: BaseDatabaseWrapper, schema: str, new_schema: str) -> None:
    """Rename `schema` and its role."""
    new_role = role_for(connection, new_schema)
    parts = {"schema": schema, "new_schema": new_schema}
    with connection.cursor() as cursor:
        cursor.execute(_compose(RENAME, **parts).decode())
        if role_exists(connection, schema):
            role = role_for(connection, schema)
            cursor.execute(_compose(RENAME_ROLE, role=role, new_role=new_role).decode())


def owner_of(connection: BaseDatabaseWrapper) -> str:
    """Return the role that owns what is made at the owner's address."""
    if compat.is_on("no_roles"):
        return str(connection.settings_dict["USER"])
    return roles.name(role_prefix(connection), "ddl")


def drop(connection: BaseDatabaseWrapper, schema: str) -> None:
    """
    Drop `schema` with all that is in it, then its role; what is gone already is no error.

    In a transaction. All at once this takes some twenty locks for each table: see `list_drops`.
    """
    drop_schema(connection, schema)
    drop_role(connection, schema)


def drop_schema(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Drop `schema` with all that is in it; what is gone already is no error."""
    with connection.cursor() as cursor:
        cursor.execute(_compose(DROP, schema=schema).decode())


def drop_role(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Drop the role of `schema`, which has to be gone, with what it may do elsewhere."""
    if not _has_role(connection, schema):
        return
    role = role_for(connection, schema)
    with connection.cursor() as cursor:
        cursor.execute(LIST_REVOKES, {"role": role})
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
        cursor.execute(_compose(DROP_ROLE, role=role).decode())


def close(connection: BaseDatabaseWrapper, schema: str) -> None:
    """Let nobody but the owner work in `schema` from now on, whoever remembers it."""
    if _has_role(connection, schema):
        parts = _names(role_prefix(connection), schema)
        with connection.cursor() as cursor:
            cursor.execute(_compose(REVOKE_ROLE, **parts).decode())


def list_drops(connection: BaseDatabaseWrapper, schema: str, *, most: int) -> list[str]:
    """
    Return statements that drop what comes next in `schema`, at most so many, or none.

    For transactions that take a bounded number of locks; what is dropped twice is no error.
    """
    with connection.cursor() as cursor:
        cursor.execute(LIST_DROPS, {"schema": schema, "most": most})
        return [statement for (statement,) in cursor.fetchall()]


def _has_role(connection: BaseDatabaseWrapper, schema: str) -> bool:
    # Of a schema that never had one the name may be another's: the login's, for example.
    if schema in roles.FIXED or compat.is_on("no_roles"):
        return False
    return role_exists(connection, schema)


def exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    return bool(_one(connection, EXISTS, {"schema": schema}))


def drop_invalid_index(connection: BaseDatabaseWrapper, schema: str, index: str) -> None:
    """Drop `index` if its making CONCURRENTLY was broken off; outside a transaction."""
    names = {"schema": schema, "index": index}
    if _one(connection, IS_INVALID_INDEX, names):
        with connection.cursor() as cursor:
            cursor.execute(_compose(DROP_INDEX, **names).decode())


def role_exists(connection: BaseDatabaseWrapper, schema: str) -> bool:
    """Tell whether the role of `schema` exists, whether or not the schema does."""
    return bool(_one(connection, ROLE_EXISTS, {"role": role_for(connection, schema)}))


def list_applied(
    connection: BaseDatabaseWrapper, names: Sequence[str]
) -> dict[str, set[tuple[str, str]]]:
    """
    Return the migrations that each of the schemas `names` has recorded.

    A schema that does not exist or records none is missing in the answer. A query for each
    MOST_AT_ONCE of them: asking each schema by itself costs a fleet minutes.
    """
    applied: dict[str, set[tuple[str, str]]] = {}
    for schema, app, name in _of_migrations(connection, APPLIED, names):
        applied.setdefault(str(schema), set()).add((str(app), str(name)))
    return applied


def list_all(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the schemas that the owner made for tenants, also those that no tenant has."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_SCHEMAS, {"ddl": owner_of(connection), "public": PUBLIC_SCHEMA})
        return [name for (name,) in cursor.fetchall()]


def list_roles(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the schemas whose roles there are, also those that no tenant has."""
    if compat.is_on("no_roles"):
        return []
    prefix = role_prefix(connection)
    parameters = {"tenants": roles.name(prefix, "tenants"), "ddl": roles.name(prefix, "ddl")}
    with connection.cursor() as cursor:
        cursor.execute(LIST_ROLES, parameters)
        return [name.removeprefix(f"{prefix}_") for (name,) in cursor.fetchall()]


def list_tables(connection: BaseDatabaseWrapper, schema: str) -> list[str]:
    """Return the tables of `schema`, partitioned ones once."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_TABLES, {"schema": schema})
        return [name for (name,) in cursor.fetchall()]


def count_rows(connection: BaseDatabaseWrapper, schema: str) -> dict[str, int]:
    """Return how many rows each table of `schema` has; all are looked at, in one query."""
    tables = list_tables(connection, schema)
    if not tables:
        return {}
    questions = [
        sql.SQL(COUNT_ROWS).format(
            literal=sql.Literal(table),
            schema=sql.Identifier(schema),
            table=sql.Identifier(table),
        )
        for table in tables
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(" UNION ALL ").join(questions).as_string(None))
        return dict(cursor.fetchall())


def empty(connection: BaseDatabaseWrapper, schema: str, tables: Iterable[str]) -> None:
    """Delete all rows of `tables`, and check what is inserted from here on at the commit."""
    of_schema = [sql.Identifier(schema, table) for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(CHECK_NOW)
        if of_schema:
            truncate = _compose(TRUNCATE, tables=sql.SQL(", ").join(of_schema))
            cursor.execute(truncate.decode())
        cursor.execute(CHECK_AT_COMMIT)


def copy_rows(connection: BaseDatabaseWrapper, table: str, schema: str, new_schema: str) -> None:
    """Copy all rows of `table` from `schema` to `new_schema`, keys included."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_COLUMNS, {"schema": new_schema, "table": table})
        columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
        names = {"schema": schema, "new_schema": new_schema, "table": table}
        cursor.execute(_compose(COPY_ROWS, **names, columns=columns).decode())


def copy_sequences(connection: BaseDatabaseWrapper, schema: str, new_schema: str) -> None:
    """Let the sequences of `new_schema` go on where those of `schema` are; after the rows."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_SEQUENCES, {"schema": new_schema})
        for (name,) in cursor.fetchall():
            statement = _compose(COPY_SEQUENCE, schema=schema, name=name).decode()
            cursor.execute(statement, {"new_schema": new_schema, "name": name})


def sizes(connection: BaseDatabaseWrapper, names: list[str]) -> dict[str, int]:
    """Return the bytes on disk of each of the schemas `names` that has a table; one query."""
    with connection.cursor() as cursor:
        cursor.execute(SIZES, {"schemas": names})
        return dict(cursor.fetchall())


def hash_applied(connection: BaseDatabaseWrapper, names: Sequence[str]) -> dict[str, str]:
    """
    Return of each of the schemas `names` a hash of the migrations that it has recorded.

    A schema that does not exist or records none is missing in the answer. A query for each
    MOST_AT_ONCE of them.
    """
    rows = _of_migrations(connection, HASH_APPLIED, names)
    return {str(schema): str(found) for schema, found in rows if found is not None}


def hash_of_applied(applied: Collection[tuple[str, str]]) -> str:
    """Return what `hash_applied` returns of a schema that has recorded `applied`."""
    # By the bytes, as the collation "C" has it.
    listed = sorted(applied, key=lambda key: (key[0].encode(), key[1].encode()))
    told = ",".join(f"{app}.{name}" for app, name in listed)
    return md5(told.encode(), usedforsecurity=False).hexdigest()


def hash_applied_sql(schema: str) -> sql.Composed:
    """Return the query for the hash of one schema's migrations."""
    return sql.SQL(HASH_APPLIED).format(literal=sql.Literal(schema), schema=sql.Identifier(schema))


def _of_migrations(
    connection: BaseDatabaseWrapper, question: str, names: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    """Yield the answers of all schemas that have a table of migrations."""
    if not names:
        return
    with connection.cursor() as cursor:
        cursor.execute(LIST_WITH_MIGRATIONS, {"schemas": list(names)})
        recording = [name for (name,) in cursor.fetchall()]
        for start in range(0, len(recording), MOST_AT_ONCE):
            questions = [
                sql.SQL(question).format(literal=sql.Literal(name), schema=sql.Identifier(name))
                for name in recording[start : start + MOST_AT_ONCE]
            ]
            cursor.execute(sql.SQL(" UNION ALL ").join(questions).as_string(None))
            yield from cursor.fetchall()


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
    statements = [_compose(REVOKE_READABLE, tenants=tenants)]
    statements += [_compose(GRANT_READABLE, tenants=tenants, table=table) for table in tables]
    statements += [_compose(GRANT_WRITABLE, tenants=tenants, table=table) for table in writable]
    if writable:
        statements.append(_compose(GRANT_SEQUENCES, tenants=tenants))
    return ";\n".join(statement.decode() for statement in statements)


def first_in_path(path: tuple[str, ...]) -> str:
    """Return what current_schema() answers under `path`."""
    return path[0] if path else PUBLIC_SCHEMA


def _one(connection: BaseDatabaseWrapper, query: str, parameters: dict[str, str]) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def _compose(statement: str, **names: str | sql.Composable) -> bytes:
    parts = {
        key: sql.Identifier(value) if isinstance(value, str) else value
        for key, value in names.items()
    }
    return sql.SQL(statement).format(**parts).as_bytes(None)
