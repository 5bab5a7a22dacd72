"""
What does a database's audit log consist of, and who may do what with it?

    audit.event          what was done, a row for each deed; a partition for each month
    audit.record()       writes a row, and decides itself for which tenant
    audit.make_partitions()   makes the months to come
    audit.tenant_of()    whose a role is

Everything in the schema `audit` belongs to the role <db>_audit, in which no login is a
member: who owns a table may empty it. The script is run by a superuser together with that of
the roles, see tenancy.roles.bootstrap_sql(); it needs no settings, as that.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

SCHEMA = "audit"

# As many months ahead as there are when the log is made, and after each migration of the
# public schema.
MONTHS_AHEAD = 24

# A schema of this name that somebody else made may hold triggers of theirs.
_SCHEMA = """
DO $audit$
DECLARE
    owner text := (
        SELECT pg_catalog.pg_get_userbyid(nspowner)
          FROM pg_catalog.pg_namespace
         WHERE nspname = 'audit'
    );
BEGIN
    IF owner IS NULL THEN
        CREATE SCHEMA audit;
    ELSIF owner NOT LIKE '%\\_audit' THEN
        RAISE EXCEPTION 'The schema audit exists and belongs to %, not to the audit log.', owner
            USING HINT = 'Rename it: ALTER SCHEMA audit RENAME TO ...';
    END IF;
END $audit$;
ALTER SCHEMA audit OWNER TO {audit};
"""

# No row is changed or deleted, so that its times rise with its numbers, and a few pages of
# the BRIN index tell where a day is.
_EVENT = """
CREATE TABLE IF NOT EXISTS audit.event (
    tenant  text COLLATE "C" NOT NULL,
    seq     bigint GENERATED ALWAYS AS IDENTITY,
    tx      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind    "char" NOT NULL,
    action  text COLLATE "C" NOT NULL,
    tbl     text,
    pk      text,
    patient uuid,
    actor   text NOT NULL,
    ctx     jsonb NOT NULL,
    changed jsonb,
    outcome smallint NOT NULL,
    PRIMARY KEY (seq, at)
) PARTITION BY RANGE (at);
ALTER TABLE audit.event OWNER TO {audit};
CREATE INDEX IF NOT EXISTS event_at ON audit.event USING brin (at);
CREATE INDEX IF NOT EXISTS event_tenant ON audit.event (tenant, seq);
CREATE INDEX IF NOT EXISTS event_action ON audit.event (action, seq);
CREATE INDEX IF NOT EXISTS event_patient ON audit.event (tenant, patient, at)
    WHERE patient IS NOT NULL;
"""

# The name of a tenant's role and that of its schema change with the tenant's; its comment
# stays, and only who may make roles can write it.
_TENANT_OF = """
CREATE OR REPLACE FUNCTION audit.tenant_of(role name) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $audit$
    SELECT substring(description from '^tenant (.+)$')
      FROM pg_shdescription
     WHERE objoid = to_regrole(quote_ident(role))
       AND classoid = 'pg_authid'::regclass
$audit$;
ALTER FUNCTION audit.tenant_of OWNER TO {audit};
"""

# In here current_user is the log's owner; the setting `role` says as whom the caller works,
# and a tenant's role can only be left by who became it.
_RECORD = """
CREATE OR REPLACE FUNCTION audit.record(
    action text, kind "char", tenant text, actor text, outcome smallint, ctx jsonb,
    tbl text, pk text, patient uuid, changed jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $audit$
DECLARE
    role text := current_setting('role');
    own text;
BEGIN
    IF role NOT IN ({platform_name}, {ddl_name}) THEN
        IF role = 'none' OR NOT pg_has_role(role, {tenants_name}, 'MEMBER') THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('The role %s writes no audit log.', role);
        END IF;
        own := audit.tenant_of(role);
        IF own IS NULL THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('The role %s does not say whose it is.', role),
                HINT = 'Type: manage.py migrate_schemas --shared';
        ELSIF tenant <> own THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('The role %s writes for its own tenant only.', role);
        END IF;
        tenant := own;
    END IF;
    INSERT INTO audit.event (
        tenant, kind, action, tbl, pk, patient, actor, ctx, changed, outcome
    ) VALUES (
        coalesce(tenant, 'platform'), kind, action, tbl, pk, patient, actor,
        coalesce(ctx, '{{}}') || jsonb_build_object('role', role), changed, outcome
    );
END $audit$;
ALTER FUNCTION audit.record OWNER TO {audit};
"""

# Attached and not made as partitions: that would keep everybody from writing meanwhile.
_MAKE_PARTITIONS = """
CREATE OR REPLACE FUNCTION audit.make_partitions(months_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $audit$
DECLARE
    month timestamptz;
    partition text;
    made int := 0;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', now()),
            date_trunc('month', now()) + least(months_ahead, 120) * interval '1 month',
            interval '1 month')
    LOOP
        partition := 'event_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('audit.' || partition) IS NOT NULL;
        IF made = 0 THEN
            -- One at a time; who waited looks again.
            LOCK TABLE audit.event IN SHARE UPDATE EXCLUSIVE MODE;
            CONTINUE WHEN to_regclass('audit.' || partition) IS NOT NULL;
        END IF;
        EXECUTE format(
            'CREATE TABLE audit.%I (LIKE audit.event INCLUDING DEFAULTS)', partition);
        EXECUTE format(
            'ALTER TABLE audit.event ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + interval '1 month');
        made := made + 1;
    END LOOP;
    RETURN made;
END $audit$;
ALTER FUNCTION audit.make_partitions OWNER TO {audit};
"""

# Whoever owns nothing here, and is a member of nobody who does, can change nothing.
_RIGHTS = """
REVOKE ALL ON SCHEMA audit FROM PUBLIC, {others};
REVOKE ALL ON ALL TABLES IN SCHEMA audit FROM PUBLIC, {others};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA audit FROM PUBLIC, {others};
REVOKE ALL ON ALL ROUTINES IN SCHEMA audit FROM PUBLIC, {others};
GRANT USAGE ON SCHEMA audit TO {platform}, {tenants}, {ddl};
GRANT SELECT ON audit.event TO {platform}, {tenants};
GRANT EXECUTE ON FUNCTION audit.record TO {platform}, {tenants}, {ddl};
GRANT EXECUTE ON FUNCTION audit.tenant_of TO {platform}, {tenants}, {ddl};
GRANT EXECUTE ON FUNCTION audit.make_partitions TO {platform}, {ddl};
ALTER TABLE audit.event ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own ON audit.event;
DROP POLICY IF EXISTS every ON audit.event;
CREATE POLICY own ON audit.event FOR SELECT TO {tenants}
    USING (tenant = (SELECT audit.tenant_of(current_user)));
CREATE POLICY every ON audit.event FOR SELECT TO {platform} USING (true);
DO $audit$
DECLARE
    member text;
    partition text;
BEGIN
    FOR partition IN
        SELECT oid::pg_catalog.regclass
          FROM pg_catalog.pg_class
         WHERE relnamespace = 'audit'::pg_catalog.regnamespace
           AND relispartition
           AND relkind = 'r'
           AND pg_catalog.pg_get_userbyid(relowner) <> {audit_name}
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', partition, {audit_name});
    END LOOP;
    FOR member IN
        SELECT pg_catalog.pg_get_userbyid(membership.member)
          FROM pg_catalog.pg_auth_members AS membership
         WHERE pg_catalog.pg_get_userbyid(membership.roleid) = {audit_name}
    LOOP
        EXECUTE pg_catalog.format('REVOKE %I FROM %I CASCADE', {audit_name}, member);
    END LOOP;
END $audit$;
SELECT audit.make_partitions({months_ahead});
"""


def bootstrap_sql(names: Mapping[str, str]) -> sql.Composed:
    """
    Return the script that makes the log, or repairs who may do what with it.

    `names` has those of all of tenancy.roles.FIXED.
    """
    parts: dict[str, sql.Composable] = {
        suffix: sql.Identifier(name) for suffix, name in names.items()
    }
    parts |= {f"{suffix}_name": sql.Literal(name) for suffix, name in names.items()}
    parts["others"] = sql.SQL(", ").join(
        sql.Identifier(name) for suffix, name in names.items() if suffix != "audit"
    )
    parts["months_ahead"] = sql.Literal(MONTHS_AHEAD)
    statements = (_SCHEMA, _EVENT, _TENANT_OF, _RECORD, _MAKE_PARTITIONS, _RIGHTS)
    return sql.Composed([sql.SQL(statement).format(**parts) for statement in statements])
