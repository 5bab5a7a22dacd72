"""
What does PostgreSQL's catalogue say of tables, owners and rights?

Asked as a superuser, whom no privilege keeps from seeing all of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

Server = psycopg.Connection[Any]

RELATIONS = """
    SELECT namespace.nspname,
           class.relname,
           class.relkind::text,
           pg_get_userbyid(class.relowner)
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
     WHERE namespace.nspname NOT LIKE 'pg\\_%'
       AND namespace.nspname <> 'information_schema'
     ORDER BY 1, 2
"""

SCHEMAS = """
    SELECT namespace.nspname,
           pg_get_userbyid(namespace.nspowner)
      FROM pg_catalog.pg_namespace AS namespace
     WHERE namespace.nspname NOT LIKE 'pg\\_%'
       AND namespace.nspname <> 'information_schema'
     ORDER BY 1
"""

# Everything that somebody was granted: on the database, schemas, relations, columns and
# functions, and what default privileges will grant. Where nothing was ever granted the
# list in the catalogue is null and means acldefault(), which for a function is everybody.
GRANTS = """
    WITH ours AS (
        SELECT oid, nspname, nspowner, nspacl
          FROM pg_catalog.pg_namespace
         WHERE nspname NOT LIKE 'pg\\_%'
           AND nspname <> 'information_schema'
    ), lists AS (
        SELECT 'database ' || datname AS subject, coalesce(datacl, acldefault('d', datdba)) AS acl
          FROM pg_catalog.pg_database
         WHERE datname = current_database()
         UNION ALL
        SELECT 'schema ' || nspname, coalesce(nspacl, acldefault('n', nspowner))
          FROM ours
         UNION ALL
        SELECT 'relation ' || class.oid::regclass,
               coalesce(class.relacl,
                        acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner))
          FROM pg_catalog.pg_class AS class
          JOIN ours ON ours.oid = class.relnamespace
         WHERE class.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
         UNION ALL
        SELECT 'column ' || attrelid::regclass || '.' || attname, attacl
          FROM pg_catalog.pg_attribute AS attribute
          JOIN pg_catalog.pg_class AS class ON class.oid = attribute.attrelid
          JOIN ours ON ours.oid = class.relnamespace
         WHERE attacl IS NOT NULL
         UNION ALL
        SELECT 'function ' || proc.oid::regprocedure, coalesce(proacl, acldefault('f', proowner))
          FROM pg_catalog.pg_proc AS proc
          JOIN ours ON ours.oid = proc.pronamespace
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS depend
                            WHERE depend.objid = proc.oid
                              AND depend.deptype = 'e')
         UNION ALL
        SELECT 'default of ' || pg_get_userbyid(defaclrole) || ' for ' || defaclobjtype::text
               || coalesce(' in ' || nspname, ''), defaclacl
          FROM pg_catalog.pg_default_acl
          LEFT JOIN ours ON ours.oid = defaclnamespace
    )
    SELECT lists.subject,
           CASE grant_.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grant_.grantee) END,
           grant_.privilege_type
      FROM lists, aclexplode(lists.acl) AS grant_
"""

ROLES = """
    SELECT rolname,
           rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
           rolcanlogin,
           rolinherit
      FROM pg_catalog.pg_roles
     WHERE starts_with(rolname, %(prefix)s)
"""

MEMBERSHIPS = """
    SELECT pg_get_userbyid(member), pg_get_userbyid(roleid)
      FROM pg_catalog.pg_auth_members
     WHERE starts_with(pg_get_userbyid(member)::text, %(prefix)s)
"""

# What `role` may do with which table or sequence, by grant, by membership, by column.
REACHABLE = """
    SELECT namespace.nspname, class.relname, privilege
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace,
           unnest(%(privileges)s::text[]) AS privilege
     WHERE namespace.nspname NOT LIKE 'pg\\_%%'
       AND namespace.nspname <> 'information_schema'
       AND CASE
           WHEN class.relkind = 'S'
           THEN privilege IN ('USAGE', 'SELECT', 'UPDATE')
            AND has_sequence_privilege(%(role)s, class.oid, privilege)
           WHEN class.relkind NOT IN ('r', 'p', 'v', 'm', 'f') OR privilege = 'USAGE'
           THEN false
           WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
           THEN has_any_column_privilege(%(role)s, class.oid, privilege)
           ELSE has_table_privilege(%(role)s, class.oid, privilege)
           END
"""
PRIVILEGES = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE"]

SCHEMA_RIGHTS = """
    SELECT namespace.nspname, privilege
      FROM pg_catalog.pg_namespace AS namespace,
           unnest(ARRAY['USAGE', 'CREATE']) AS privilege
     WHERE namespace.nspname NOT LIKE 'pg\\_%%'
       AND namespace.nspname <> 'information_schema'
       AND has_schema_privilege(%(role)s, namespace.oid, privilege)
"""

FOREIGN_KEYS_OUT_OF_THEIR_SCHEMA = """
    SELECT con.conrelid::regclass::text, con.confrelid::regclass::text
      FROM pg_catalog.pg_constraint AS con
      JOIN pg_catalog.pg_class AS one ON one.oid = con.conrelid
      JOIN pg_catalog.pg_class AS other ON other.oid = con.confrelid
     WHERE con.contype = 'f'
       AND one.relnamespace <> other.relnamespace
"""

# A function that runs as its owner, with a path that its caller chose.
HIJACKABLE_FUNCTIONS = """
    SELECT proc.oid::regprocedure::text
      FROM pg_catalog.pg_proc AS proc
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = proc.pronamespace
     WHERE proc.prosecdef
       AND namespace.nspname NOT LIKE 'pg\\_%'
       AND namespace.nspname <> 'information_schema'
       AND NOT coalesce(proc.proconfig::text LIKE '%search_path=%', false)
"""


# A view that runs with its owner's rights reads whatever its owner may.
READING_ACROSS = """
    SELECT DISTINCT view_class.oid::regclass::text, read_class.oid::regclass::text
      FROM pg_catalog.pg_rewrite AS rule
      JOIN pg_catalog.pg_class AS view_class ON view_class.oid = rule.ev_class
      JOIN pg_catalog.pg_depend AS depend
        ON depend.classid = 'pg_catalog.pg_rewrite'::regclass
       AND depend.objid = rule.oid
       AND depend.refclassid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class AS read_class ON read_class.oid = depend.refobjid
      JOIN pg_catalog.pg_namespace AS read_schema ON read_schema.oid = read_class.relnamespace
     WHERE read_class.relnamespace <> view_class.relnamespace
       AND read_schema.nspname NOT LIKE 'pg\\_%'
       AND read_schema.nspname <> 'information_schema'
"""

SHARED_SEQUENCES = """
    SELECT class.oid::regclass::text, sequence.oid::regclass::text
      FROM pg_catalog.pg_attrdef AS def
      JOIN pg_catalog.pg_class AS class ON class.oid = def.adrelid
      JOIN pg_catalog.pg_depend AS depend
        ON depend.classid = 'pg_catalog.pg_attrdef'::regclass
       AND depend.objid = def.oid
      JOIN pg_catalog.pg_class AS sequence ON sequence.oid = depend.refobjid
     WHERE sequence.relkind = 'S'
       AND sequence.relnamespace <> class.relnamespace
"""

# Not those of an owner who reaches no other schema, as the audit log's.
DEFINER_FUNCTIONS = """
    SELECT proc.oid::regprocedure::text
      FROM pg_catalog.pg_proc AS proc
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = proc.pronamespace
     WHERE proc.prosecdef
       AND namespace.nspname NOT LIKE 'pg\\_%%'
       AND namespace.nspname <> 'information_schema'
       AND has_function_privilege(%(role)s, proc.oid, 'EXECUTE')
       AND has_schema_privilege(%(role)s, namespace.oid, 'USAGE')
       AND EXISTS (
           SELECT
             FROM pg_catalog.pg_namespace AS other
            WHERE other.oid <> namespace.oid
              AND other.nspname NOT LIKE 'pg\\_%%'
              AND other.nspname <> 'information_schema'
              AND has_schema_privilege(proc.proowner, other.oid, 'USAGE')
       )
"""


class Relation(NamedTuple):
    schema: str
    name: str
    kind: str
    owner: str

    def __str__(self) -> str:
        return f'"{self.schema}"."{self.name}"'

    @property
    def is_table(self) -> bool:
        return self.kind in "rpvmf"


def list_relations(server: Server) -> list[Relation]:
    """Return the tables, views, sequences and indexes of all schemas but PostgreSQL's own."""
    return [Relation(*row) for row in server.execute(RELATIONS).fetchall()]


def list_tables(server: Server, schema: str) -> list[Relation]:
    return [each for each in list_relations(server) if each.schema == schema and each.is_table]


def list_reachable(server: Server, role: str) -> set[tuple[str, str, str]]:
    """Return (schema, table or sequence, privilege) for all that `role` may do."""
    parameters = {"role": role, "privileges": PRIVILEGES}
    return set(server.execute(REACHABLE, parameters).fetchall())


def list_schema_rights(server: Server, role: str) -> set[tuple[str, str]]:
    return set(server.execute(SCHEMA_RIGHTS, {"role": role}).fetchall())
