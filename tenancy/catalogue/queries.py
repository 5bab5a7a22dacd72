"""
How is PostgreSQL asked for everything in many schemas at once, none of them named?

Its own functions (pg_get_constraintdef and its like) write the statements: no text of theirs
is searched for a schema's name, where a literal that happens to hold it would be changed too.
They leave the name out while the schema is first in search_path, so each call of one is made
under the path of the schema that it is about, inside one query for hundreds of them.

What these queries read is asked of pg_catalog alone; each row of ITEMS is one object.
"""

from __future__ import annotations

# Beyond these costs PostgreSQL compiles the query, which takes longer than running it.
SETTINGS = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"

# A CASE is evaluated from left to right (PostgreSQL, chapter 4.2.14), other expressions in
# any order. The path has pg_catalog second: what the schema calls like a part of PostgreSQL
# is the schema's here, wherever it is.
_UNDER_PATH = """
    CASE WHEN current_setting('search_path') = path
           OR set_config('search_path', path, true) IS NOT NULL THEN {} END
"""


def _deparsed(expression: str) -> str:
    return _UNDER_PATH.format(expression)


# `IN ('a', 'b')` of a varchar comes back in another form once what PostgreSQL wrote of it was
# run, after pg_restore as well. Both are told in a third, of which it makes the first again.
_VARCHAR = "''(?:[^'']|'''')*''::character varying"
_ARRAY = rf"ARRAY\[(?:{_VARCHAR}(?:, )?)+\]"
# With the parentheses that PostgreSQL writes, and without, where it writes for people.
_CAST_EACH = rf"(?<=ARRAY\[|, )(?:\(({_VARCHAR})\)|({_VARCHAR}))::text"
_CAST_ALL = rf"(?:\(({_ARRAY})\)|({_ARRAY}))::text\[\]"


def _expression(expression: str) -> str:
    each = rf"regexp_replace({_deparsed(expression)}, '{_CAST_EACH}', '\1\2', 'g')"
    return rf"regexp_replace({each}, '{_CAST_ALL}', '\1\2', 'g')"


# The own role of a schema, whoever owns all schemas, and the schema itself in a function's path:
# their names are another's in another database.
OWN_ROLE = "(own role)"
OWNER = "(owner)"
OWN_SCHEMA = "(own schema)"

_HERE = """
    here AS MATERIALIZED (
        SELECT namespace.oid AS nsp, nspname, nspowner, nspacl, role.oid AS role,
               quote_ident(nspname) || ', pg_catalog, pg_temp' AS path
          FROM pg_catalog.pg_namespace AS namespace
          LEFT JOIN pg_catalog.pg_roles AS role ON rolname = %(prefix)s || '_' || nspname
         WHERE nspname = ANY(%(schemas)s)
    ), member AS MATERIALIZED (
        SELECT classid, objid
          FROM pg_catalog.pg_depend
         WHERE refclassid = 'pg_catalog.pg_extension'::regclass AND deptype = 'e'
         UNION ALL
        -- The constructors of a range, which its type makes.
        SELECT classid, objid
          FROM pg_catalog.pg_depend
         WHERE classid = 'pg_catalog.pg_proc'::regclass AND objid >= 16384 AND deptype = 'i'
    ), rel AS MATERIALIZED (
        SELECT nsp, path, role, class.oid, relname, quote_ident(relname) AS name, relkind, relowner,
               relacl, relpersistence, relreplident, relrowsecurity, relforcerowsecurity,
               relispartition, relpartbound, reloptions, relam, reltablespace
          FROM pg_catalog.pg_class AS class
          JOIN here ON nsp = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           AND (%(tables)s::text[] IS NULL OR relname = ANY(%(tables)s::text[]) OR relkind = 'S')
           AND class.oid NOT IN (
               SELECT objid FROM member WHERE classid = 'pg_catalog.pg_class'::regclass)
    ), owned_by AS MATERIALIZED (
        SELECT objid AS oid, owner.relname AS owner,
               quote_ident(owner.relname) || '.' || quote_ident(attname) AS col,
               deptype = 'i' AS is_identity
          FROM rel
          JOIN pg_catalog.pg_depend ON classid = 'pg_catalog.pg_class'::regclass AND objid = rel.oid
           AND refclassid = 'pg_catalog.pg_class'::regclass AND refobjsubid > 0
           AND deptype IN ('a', 'i')
          JOIN pg_catalog.pg_class AS owner ON owner.oid = refobjid
          JOIN pg_catalog.pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
         WHERE rel.relkind = 'S'
    )
"""

# Each branch yields nsp, kind, relation (NULL: of the schema itself), name and definition.

_TABLES = f"""
    SELECT nsp, 'table', rel.relname, '',
           concat_ws(' ',
               CASE relkind WHEN 'f' THEN 'FOREIGN' END,
               CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
               'TABLE',
               'PARTITION BY ' || CASE relkind WHEN 'p' THEN
                   {_deparsed("pg_get_partkeydef(rel.oid)")} END,
               (SELECT string_agg(
                       CASE WHEN relispartition THEN 'PARTITION OF ' ELSE 'INHERITS ' END
                       || CASE WHEN parent.relnamespace = nsp THEN ''
                          ELSE parent.relnamespace::regnamespace || '.' END
                       || quote_ident(parent.relname), ' ' ORDER BY inhseqno)
                  FROM pg_catalog.pg_inherits
                  JOIN pg_catalog.pg_class AS parent ON parent.oid = inhparent
                 WHERE inhrelid = rel.oid),
               CASE WHEN relispartition THEN {_deparsed("pg_get_expr(relpartbound, rel.oid)")} END,
               'USING ' || (SELECT nullif(amname, 'heap') FROM pg_catalog.pg_am
                             WHERE pg_am.oid = relam),
               'WITH (' || array_to_string(reloptions, ', ') || ')',
               'TABLESPACE ' || (SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace
                                  WHERE pg_tablespace.oid = reltablespace))
      FROM rel
     WHERE relkind IN ('r', 'p', 'f')
"""

_TABLE_SETTINGS = """
    SELECT nsp, 'setting', relname, word, what
      FROM rel,
           LATERAL (VALUES
               ('row level security',
                CASE WHEN relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END),
               ('row level security for the owner',
                CASE WHEN relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END),
               ('replica identity',
                CASE relreplident
                WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                WHEN 'n' THEN 'REPLICA IDENTITY NOTHING'
                WHEN 'i' THEN 'REPLICA IDENTITY USING INDEX ' || (
                    SELECT quote_ident(index.relname)
                      FROM pg_catalog.pg_index
                      JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
                     WHERE indrelid = rel.oid AND indisreplident)
                END)
           ) AS setting (word, what)
     WHERE relkind IN ('r', 'p', 'f') AND what IS NOT NULL
     UNION ALL
    SELECT nsp, 'setting', rel.relname, 'cluster', 'CLUSTER ON ' || quote_ident(index.relname)
      FROM rel
      JOIN pg_catalog.pg_index ON indrelid = rel.oid AND indisclustered
      JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
"""

_COLUMNS = f"""
    SELECT nsp, 'column', rel.relname, attname,
           concat_ws(' ',
               CASE WHEN typnamespace = 'pg_catalog'::regnamespace
               THEN format_type(atttypid, atttypmod)
               ELSE {_deparsed("format_type(atttypid, atttypmod)")} END,
               CASE WHEN attcollation <> typcollation AND attcollation <> 0 THEN
                   'COLLATE ' || {_deparsed("attcollation::regcollation::text")} END,
               CASE attidentity
               WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
               WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
               CASE WHEN adbin IS NOT NULL THEN
                   CASE attgenerated WHEN '' THEN 'DEFAULT ' ELSE 'GENERATED ALWAYS AS (' END
                   || {_deparsed("pg_get_expr(adbin, adrelid)")}
                   || CASE attgenerated WHEN '' THEN '' WHEN 's' THEN ') STORED'
                      ELSE ') VIRTUAL' END
               END,
               CASE WHEN attnotnull THEN 'NOT NULL' END)
      FROM rel
      JOIN pg_catalog.pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
      JOIN pg_catalog.pg_type AS type ON type.oid = atttypid
      LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum AND atthasdef
     WHERE relkind IN ('r', 'p', 'f')
"""

_COLUMN_SETTINGS = """
    SELECT nsp, 'column setting', relname, attname || ' ' || word, what
      FROM rel
      JOIN pg_catalog.pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
      JOIN pg_catalog.pg_type AS type ON type.oid = atttypid,
           LATERAL (VALUES
               ('storage', CASE WHEN attstorage <> typstorage THEN 'SET STORAGE '
                || CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'm' THEN 'MAIN'
                   WHEN 'e' THEN 'EXTERNAL' ELSE 'EXTENDED' END END),
               ('compression', CASE attcompression WHEN 'p' THEN 'SET COMPRESSION pglz'
                WHEN 'l' THEN 'SET COMPRESSION lz4' END),
               ('statistics',
                CASE WHEN attstattarget >= 0 THEN 'SET STATISTICS ' || attstattarget END),
               ('options', 'SET (' || array_to_string(attoptions, ', ') || ')')
           ) AS setting (word, what)
     WHERE relkind IN ('r', 'p', 'f', 'm') AND what IS NOT NULL
       AND (attstorage <> typstorage OR attcompression <> '' OR attstattarget >= 0
            OR attoptions IS NOT NULL)
"""

_CONSTRAINTS = f"""
    SELECT nsp, 'constraint', relname, conname,
           CASE contype WHEN 'c' THEN {_expression("pg_get_constraintdef(con.oid)")}
           ELSE {_deparsed("pg_get_constraintdef(con.oid)")} END
      FROM rel
      JOIN pg_catalog.pg_constraint AS con ON conrelid = rel.oid
     WHERE contype IN ('c', 'p', 'u', 'f', 'x')
"""

# What a constraint made is told with the constraint.
_INDEXES = f"""
    SELECT nsp, 'index', rel.relname, index.relname,
           CASE WHEN indpred IS NULL THEN {_deparsed("pg_get_indexdef(indexrelid, 0, true)")}
           ELSE {_expression("pg_get_indexdef(indexrelid, 0, true)")} END
           || CASE WHEN indisvalid AND indisready AND indislive THEN '' ELSE ' -- INVALID' END
           || coalesce(' TABLESPACE ' || (
                  SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace
                   WHERE pg_tablespace.oid = index.reltablespace), '')
      FROM rel
      JOIN pg_catalog.pg_index ON indrelid = rel.oid
      JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
      LEFT JOIN pg_catalog.pg_constraint ON conindid = indexrelid AND conrelid = indrelid
       AND contype IN ('p', 'u', 'x')
     WHERE conindid IS NULL
"""

_SEQUENCES = """
    SELECT nsp, 'sequence',
           coalesce(owner, CASE WHEN owned_by.oid IS NULL THEN rel.relname END), rel.relname,
           concat_ws(' ',
               CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
               'AS', format_type(seqtypid, NULL),
               'START WITH', seqstart, 'INCREMENT BY', seqincrement,
               'MINVALUE', seqmin, 'MAXVALUE', seqmax, 'CACHE', seqcache,
               CASE WHEN seqcycle THEN 'CYCLE' END,
               CASE WHEN is_identity THEN 'IDENTITY OF ' ELSE 'OWNED BY ' END || col)
      FROM rel
      JOIN pg_catalog.pg_sequence ON seqrelid = rel.oid
      LEFT JOIN owned_by ON owned_by.oid = rel.oid
"""

_VIEWS = f"""
    SELECT nsp, CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, relname, '',
           concat_ws(' ',
               'WITH (' || array_to_string(reloptions, ', ') || ')',
               'AS', {_expression("rtrim(pg_get_viewdef(rel.oid, true), ';')")})
      FROM rel
     WHERE relkind IN ('v', 'm')
     UNION ALL
    SELECT nsp, 'rule', relname, rulename,
           {_deparsed("rtrim(pg_get_ruledef(rule.oid, true), ';')")}
           || CASE ev_enabled WHEN 'O' THEN '' ELSE ' -- ENABLED ' || ev_enabled::text END
      FROM rel
      JOIN pg_catalog.pg_rewrite AS rule ON ev_class = rel.oid AND rulename <> '_RETURN'
"""

# A foreign key's own triggers are PostgreSQL's affair, until somebody disables them.
_TRIGGERS = f"""
    SELECT nsp, 'trigger', relname, tgname,
           {_deparsed("pg_get_triggerdef(trigger.oid, true)")}
           || CASE tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' -- DISABLED'
              WHEN 'R' THEN ' -- ENABLED REPLICA' ELSE ' -- ENABLED ALWAYS' END
      FROM rel
      JOIN pg_catalog.pg_trigger AS trigger ON tgrelid = rel.oid
     WHERE NOT tgisinternal AND tgparentid = 0
     UNION ALL
    SELECT nsp, 'trigger', relname, 'of the constraint ' || conname || ': ' || proname,
           'DISABLED'
      FROM rel
      JOIN pg_catalog.pg_trigger AS trigger ON tgrelid = rel.oid
      JOIN pg_catalog.pg_constraint AS con ON con.oid = tgconstraint
      JOIN pg_catalog.pg_proc AS proc ON proc.oid = tgfoid
     WHERE tgisinternal AND tgenabled <> 'O'
"""

_POLICIES = f"""
    SELECT nsp, 'policy', relname, polname,
           concat_ws(' ',
               'AS', CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               'FOR', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                      WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               'TO', (SELECT string_agg(
                             CASE grantee WHEN 0 THEN 'PUBLIC' WHEN role THEN '{OWN_ROLE}'
                             ELSE quote_ident(pg_get_userbyid(grantee)) END, ', '
                             ORDER BY CASE grantee WHEN role THEN '' ELSE
                                      pg_get_userbyid(grantee) END)
                        FROM unnest(polroles) AS grantee),
               'USING (' || {_expression("pg_get_expr(polqual, polrelid)")} || ')',
               'WITH CHECK (' || {_expression("pg_get_expr(polwithcheck, polrelid)")} || ')')
      FROM rel
      JOIN pg_catalog.pg_policy ON polrelid = rel.oid
"""

# The schema is written first in these: the same number of characters is cut off again.
_STATISTICS = f"""
    SELECT nsp, 'statistics', relname, stxname,
           'CREATE STATISTICS ' || substr(
               {_deparsed("pg_get_statisticsobjdef(stat.oid)")},
               length('CREATE STATISTICS ' || stxnamespace::regnamespace || '.') + 1)
           || CASE WHEN stxstattarget >= 0 THEN ' -- STATISTICS ' || stxstattarget ELSE '' END
      FROM rel
      JOIN pg_catalog.pg_statistic_ext AS stat ON stxrelid = rel.oid
"""

_FUNCTION_SETTINGS = f"""
    (SELECT string_agg(
            ' SET ' || quote_ident(split_part(each, '=', 1)) || ' TO '
            || CASE split_part(each, '=', 1) WHEN 'search_path' THEN (
                   SELECT string_agg(CASE part WHEN quote_ident(nspname) THEN '{OWN_SCHEMA}'
                                     ELSE part END, ', ' ORDER BY position)
                     FROM unnest(string_to_array(substr(each, 13), ', '))
                          WITH ORDINALITY AS parts (part, position))
               ELSE quote_literal(substr(each, strpos(each, '=') + 1)) END,
            '' ORDER BY number)
       FROM unnest(proconfig) WITH ORDINALITY AS settings (each, number))
"""

_FUNCTIONS = f"""
    SELECT nsp, CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, NULL,
           quote_ident(proname) || '('
           || {_deparsed("pg_get_function_identity_arguments(proc.oid)")} || ')',
           concat(quote_ident(proname),
               '(', {_deparsed("pg_get_function_arguments(proc.oid)")}, ')',
               ' RETURNS ' || CASE WHEN prokind <> 'p' THEN
                   {_deparsed("pg_get_function_result(proc.oid)")} END,
               CASE prokind WHEN 'w' THEN ' WINDOW' END,
               ' LANGUAGE ', quote_ident(lanname),
               ' TRANSFORM ' || protrftypes::text,
               CASE provolatile WHEN 'i' THEN ' IMMUTABLE' WHEN 's' THEN ' STABLE' END,
               CASE WHEN proisstrict THEN ' STRICT' END,
               CASE WHEN prosecdef THEN ' SECURITY DEFINER' END,
               CASE WHEN proleakproof THEN ' LEAKPROOF' END,
               CASE proparallel WHEN 's' THEN ' PARALLEL SAFE'
                                WHEN 'r' THEN ' PARALLEL RESTRICTED' END,
               CASE WHEN procost <> 100 THEN ' COST ' || procost END,
               CASE WHEN proretset AND prorows <> 1000 THEN ' ROWS ' || prorows END,
               CASE WHEN prosupport <> 0 THEN ' SUPPORT '
                   || {_deparsed("prosupport::regproc::text")} END,
               {_FUNCTION_SETTINGS},
               CASE WHEN prosqlbody IS NOT NULL THEN
                   ' ' || {_deparsed("pg_get_function_sqlbody(proc.oid)")}
               WHEN strpos(prosrc, '$function$') = 0 THEN
                   ' AS $function$' || prosrc || '$function$'
               ELSE ' AS ' || quote_literal(prosrc) END)
      FROM here
      JOIN pg_catalog.pg_proc AS proc ON pronamespace = nsp
      JOIN pg_catalog.pg_language AS language ON language.oid = prolang
     WHERE prokind <> 'a'
       AND proc.oid NOT IN (SELECT objid FROM member
                             WHERE classid = 'pg_catalog.pg_proc'::regclass)
"""

_TYPES = f"""
    SELECT nsp, 'type', NULL, typname,
           CASE typtype
           WHEN 'e' THEN 'AS ENUM (' || coalesce((
               SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                 FROM pg_catalog.pg_enum WHERE enumtypid = type.oid), '') || ')'
           WHEN 'c' THEN 'AS (' || coalesce((
               SELECT string_agg(concat_ws(' ', quote_ident(attname),
                          {_deparsed("format_type(atttypid, atttypmod)")},
                          CASE WHEN attcollation <> (SELECT typcollation FROM pg_catalog.pg_type
                                                      WHERE oid = atttypid) THEN
                          'COLLATE ' || {_deparsed("attcollation::regcollation::text")} END),
                      ', ' ORDER BY attnum)
                 FROM pg_catalog.pg_attribute
                WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped), '') || ')'
           ELSE (
               SELECT concat('AS RANGE (SUBTYPE = ',
                          {_deparsed("format_type(rngsubtype, NULL)")},
                          ', COLLATION = ' || CASE WHEN rngcollation <> 0 THEN
                              {_deparsed("rngcollation::regcollation::text")} END,
                          ', SUBTYPE_DIFF = ' || CASE WHEN rngsubdiff <> 0 THEN
                              {_deparsed("rngsubdiff::regproc::text")} END,
                          ', MULTIRANGE_TYPE_NAME = '
                              || {_deparsed("format_type(rngmultitypid, NULL)")}, ')')
                 FROM pg_catalog.pg_range WHERE rngtypid = type.oid)
           END
      FROM here
      JOIN pg_catalog.pg_type AS type ON typnamespace = nsp
      LEFT JOIN pg_catalog.pg_class AS class ON class.oid = typrelid
     WHERE (typtype IN ('e', 'r') OR (typtype = 'c' AND relkind = 'c'))
       AND type.oid NOT IN (SELECT objid FROM member
                             WHERE classid = 'pg_catalog.pg_type'::regclass)
     UNION ALL
    SELECT nsp, 'domain', NULL, typname,
           concat_ws(' ',
               'AS', {_deparsed("format_type(typbasetype, typtypmod)")},
               CASE WHEN typcollation <> (SELECT base.typcollation FROM pg_catalog.pg_type AS base
                                           WHERE base.oid = type.typbasetype) THEN
                   'COLLATE ' || {_deparsed("typcollation::regcollation::text")} END,
               'DEFAULT ' || {_deparsed("pg_get_expr(typdefaultbin, 0)")},
               CASE WHEN typnotnull THEN 'NOT NULL' END,
               (SELECT string_agg('CONSTRAINT ' || quote_ident(conname) || ' '
                           || {_expression("pg_get_constraintdef(con.oid)")}, ' ' ORDER BY conname)
                  FROM pg_catalog.pg_constraint AS con
                 WHERE contypid = type.oid AND contype = 'c'))
      FROM here
      JOIN pg_catalog.pg_type AS type ON typnamespace = nsp
     WHERE typtype = 'd'
       AND type.oid NOT IN (SELECT objid FROM member
                             WHERE classid = 'pg_catalog.pg_type'::regclass)
"""

# Rare in a project of Django's, and told by name alone.
_OTHERS = """
    SELECT nsp, 'aggregate', NULL, proname::text, pg_get_function_identity_arguments(proc.oid)
      FROM here
      JOIN pg_catalog.pg_proc AS proc ON pronamespace = nsp AND prokind = 'a'
     UNION ALL
    SELECT nsp, 'operator', NULL, oprname::text, format_type(oprresult, NULL)
      FROM here JOIN pg_catalog.pg_operator ON oprnamespace = nsp
     UNION ALL
    SELECT nsp, 'operator class', NULL, opcname::text, ''
      FROM here JOIN pg_catalog.pg_opclass ON opcnamespace = nsp
     UNION ALL
    SELECT nsp, 'collation', NULL, collname::text,
           concat_ws(' ', collprovider, collcollate, collctype, collisdeterministic)
      FROM here JOIN pg_catalog.pg_collation ON collnamespace = nsp
     UNION ALL
    SELECT nsp, 'conversion', NULL, conname::text, ''
      FROM here JOIN pg_catalog.pg_conversion ON connamespace = nsp
     UNION ALL
    SELECT nsp, 'text search configuration', NULL, cfgname::text, ''
      FROM here JOIN pg_catalog.pg_ts_config ON cfgnamespace = nsp
     UNION ALL
    SELECT nsp, 'text search dictionary', NULL, dictname::text, coalesce(dictinitoption, '')
      FROM here JOIN pg_catalog.pg_ts_dict ON dictnamespace = nsp
     UNION ALL
    SELECT nsp, 'extension', NULL, extname::text, extversion
      FROM here JOIN pg_catalog.pg_extension ON extnamespace = nsp
"""

# What has an owner and rights: the statements' word for it, its name, and whose they are.
_OWNED = f"""
    owned AS MATERIALIZED (
        SELECT nsp, role, coalesce(owned_by.owner, relname) AS relation, relowner AS owner,
               relacl AS acl, coalesce(relacl::text, '') AS key,
               CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS acltype,
               CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW '
               WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE '
               ELSE 'TABLE ' END || name AS thing,
               is_identity IS NOT NULL AS follows
          FROM rel
          LEFT JOIN owned_by ON owned_by.oid = rel.oid
         UNION ALL
        SELECT nsp, role, NULL, proowner, proacl, coalesce(proacl::text, ''), 'f',
               'ROUTINE ' || quote_ident(proname) || '('
               || {_deparsed("pg_get_function_identity_arguments(proc.oid)")} || ')', false
          FROM here
          JOIN pg_catalog.pg_proc AS proc ON pronamespace = nsp
         WHERE proc.oid NOT IN (SELECT objid FROM member
                                 WHERE classid = 'pg_catalog.pg_proc'::regclass)
           AND %(tables)s::text[] IS NULL
         UNION ALL
        SELECT nsp, role, NULL, typowner, typacl, coalesce(typacl::text, ''), 'T',
               CASE typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || quote_ident(typname), false
          FROM here
          JOIN pg_catalog.pg_type AS type ON typnamespace = nsp
          LEFT JOIN pg_catalog.pg_class AS class ON class.oid = typrelid
         WHERE (typtype IN ('e', 'r', 'd') OR (typtype = 'c' AND relkind = 'c'))
           AND type.oid NOT IN (SELECT objid FROM member
                                 WHERE classid = 'pg_catalog.pg_type'::regclass)
           AND %(tables)s::text[] IS NULL
         UNION ALL
        SELECT nsp, role, NULL, nspowner, nspacl, coalesce(nspacl::text, ''), 'n', 'SCHEMA', false
          FROM here
         WHERE %(tables)s::text[] IS NULL
    )
"""

# Hundreds of objects share the same rights: each list of them is taken apart once.
_RIGHTS = """
    rights AS MATERIALIZED (
        SELECT listed.nsp, listed.acltype, listed.owner, listed.key, grantee,
               string_agg(privilege_type
                   || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
                   ', ' ORDER BY privilege_type) AS privileges
          FROM (SELECT DISTINCT ON (nsp, acltype, owner, key) * FROM owned) AS listed,
               LATERAL aclexplode(coalesce(acl, acldefault(acltype, owner))) AS acl_item
         WHERE grantee <> listed.owner
         GROUP BY listed.nsp, listed.acltype, listed.owner, listed.key, grantee
    )
"""

_GRANTEE = f"""
    CASE grantee WHEN 0 THEN 'PUBLIC' WHEN role THEN '{OWN_ROLE}'
    ELSE quote_ident(pg_get_userbyid(grantee)) END
"""

_GRANTS = f"""
    SELECT owned.nsp, 'grant', relation, thing || ' TO ' || {_GRANTEE}, privileges
      FROM owned
      JOIN rights ON rights.nsp = owned.nsp AND rights.acltype = owned.acltype
       AND rights.owner = owned.owner AND rights.key = owned.key
     UNION ALL
    SELECT nsp, 'grant', relname,
           'TABLE ' || name || ' (' || quote_ident(attname) || ') TO ' || {_GRANTEE},
           string_agg(privilege_type
               || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
               ', ' ORDER BY privilege_type)
      FROM rel
      JOIN pg_catalog.pg_attribute ON attrelid = rel.oid AND attacl IS NOT NULL AND attnum > 0,
           LATERAL aclexplode(attacl)
     GROUP BY nsp, relname, name, attname, grantee, role
"""

_OWNERS = """
    SELECT nsp, 'owner', relation, thing, quote_ident(pg_get_userbyid(owner))
      FROM owned
     WHERE owner <> to_regrole(quote_ident(%(owner)s)) AND NOT follows
"""

_DEFAULT_GRANTS = f"""
    SELECT nsp, 'default grant', NULL,
           CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
           WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END
           || ' OF ' || CASE pg_get_userbyid(defaclrole) WHEN %(owner)s THEN '{OWNER}'
                        ELSE quote_ident(pg_get_userbyid(defaclrole)) END
           || ' TO ' || {_GRANTEE},
           string_agg(privilege_type
               || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
               ', ' ORDER BY privilege_type)
      FROM here
      JOIN pg_catalog.pg_default_acl ON defaclnamespace = nsp,
           LATERAL aclexplode(defaclacl)
     GROUP BY nsp, defaclobjtype, defaclrole, grantee, role
"""

# Built-in objects have comments by the thousand, with numbers below those of users'.
_COMMENTS = f"""
    SELECT nsp, 'comment', relation, thing, quote_literal(description)
      FROM (SELECT * FROM pg_catalog.pg_description WHERE objoid >= 16384) AS described
      JOIN (
          SELECT nsp, relname AS relation, 'pg_catalog.pg_class'::regclass AS classoid,
                 rel.oid AS objoid, 0 AS objsubid,
                 CASE relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW '
                 WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE '
                 ELSE 'TABLE ' END || name AS thing
            FROM rel
           UNION ALL
          SELECT nsp, relname, 'pg_catalog.pg_class'::regclass, attrelid, attnum,
                 'COLUMN ' || name || '.' || quote_ident(attname)
            FROM rel
            JOIN pg_catalog.pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
           UNION ALL
          SELECT nsp, rel.relname, 'pg_catalog.pg_class'::regclass, indexrelid, 0,
                 'INDEX ' || quote_ident(index.relname)
            FROM rel
            JOIN pg_catalog.pg_index ON indrelid = rel.oid
            JOIN pg_catalog.pg_class AS index ON index.oid = indexrelid
           UNION ALL
          SELECT nsp, relname, 'pg_catalog.pg_constraint'::regclass, con.oid, 0,
                 'CONSTRAINT ' || quote_ident(conname) || ' ON ' || name
            FROM rel JOIN pg_catalog.pg_constraint AS con ON conrelid = rel.oid
           UNION ALL
          SELECT nsp, relname, 'pg_catalog.pg_trigger'::regclass, trigger.oid, 0,
                 'TRIGGER ' || quote_ident(tgname) || ' ON ' || name
            FROM rel JOIN pg_catalog.pg_trigger AS trigger ON tgrelid = rel.oid
           UNION ALL
          SELECT nsp, relname, 'pg_catalog.pg_policy'::regclass, policy.oid, 0,
                 'POLICY ' || quote_ident(polname) || ' ON ' || name
            FROM rel JOIN pg_catalog.pg_policy AS policy ON polrelid = rel.oid
           UNION ALL
          SELECT nsp, relname, 'pg_catalog.pg_statistic_ext'::regclass, stat.oid, 0,
                 'STATISTICS ' || quote_ident(stxname)
            FROM rel JOIN pg_catalog.pg_statistic_ext AS stat ON stxrelid = rel.oid
           UNION ALL
          SELECT nsp, NULL, 'pg_catalog.pg_proc'::regclass, proc.oid, 0,
                 CASE prokind WHEN 'a' THEN 'AGGREGATE ' ELSE 'ROUTINE ' END
                 || quote_ident(proname) || '('
                 || {_deparsed("pg_get_function_identity_arguments(proc.oid)")} || ')'
            FROM here JOIN pg_catalog.pg_proc AS proc ON pronamespace = nsp
           WHERE %(tables)s::text[] IS NULL
             AND proc.oid NOT IN (SELECT objid FROM member
                                   WHERE classid = 'pg_catalog.pg_proc'::regclass)
           UNION ALL
          SELECT nsp, NULL, 'pg_catalog.pg_type'::regclass, type.oid, 0,
                 CASE typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || quote_ident(typname)
            FROM here JOIN pg_catalog.pg_type AS type ON typnamespace = nsp
           WHERE %(tables)s::text[] IS NULL
           UNION ALL
          SELECT nsp, NULL, 'pg_catalog.pg_namespace'::regclass, nsp, 0, 'SCHEMA'
            FROM here
           WHERE %(tables)s::text[] IS NULL
      ) AS thing USING (classoid, objoid, objsubid)
"""

OF_RELATIONS = (
    _TABLES,
    _TABLE_SETTINGS,
    _COLUMNS,
    _COLUMN_SETTINGS,
    _CONSTRAINTS,
    _INDEXES,
    _SEQUENCES,
    _VIEWS,
    _TRIGGERS,
    _POLICIES,
    _STATISTICS,
    _GRANTS,
    _OWNERS,
    _COMMENTS,
)
OF_SCHEMAS = (_FUNCTIONS, _TYPES, _OTHERS, _DEFAULT_GRANTS)


def items(*, relations_only: bool) -> str:
    """Return the query's WITH clause, which ends with `item`: a row for each object."""
    branches = OF_RELATIONS if relations_only else OF_RELATIONS + OF_SCHEMAS
    union = " UNION ALL ".join(f"({branch})" for branch in branches)
    return (
        f"WITH {_HERE}, {_OWNED}, {_RIGHTS}, "
        f"item (nsp, kind, relation, name, definition) AS ({union})"
    )


# A hash for each relation first: a schema's text at once would be some hundred kilobytes.
FINGERPRINTS = """
    , hashed AS (
        SELECT nsp, relation, sha256(convert_to(
                   string_agg(ROW(kind, name, definition)::text, E'\\n'
                       ORDER BY kind COLLATE "C", name COLLATE "C", definition COLLATE "C"),
                   'UTF8')) AS hash
          FROM item
         WHERE %(tables)s::text[] IS NULL OR relation = ANY(%(tables)s::text[])
         GROUP BY nsp, relation
    )
    SELECT nspname, encode(sha256(convert_to(coalesce(
               string_agg(ROW(relation, hash)::text, E'\\n' ORDER BY relation COLLATE "C"), ''),
               'UTF8')), 'hex')
      FROM here
      LEFT JOIN hashed ON hashed.nsp = here.nsp
     GROUP BY nspname
"""

ITEMS = """
    SELECT nspname, kind, coalesce(relation, ''), name, coalesce(definition, '')
      FROM item
      JOIN here ON here.nsp = item.nsp
     WHERE %(tables)s::text[] IS NULL OR relation = ANY(%(tables)s::text[])
     ORDER BY nspname, relation COLLATE "C" NULLS FIRST, kind COLLATE "C", name COLLATE "C"
"""

EXISTING = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY(%(schemas)s)"

# Where Django keeps what a migration makes beside tables; the rest of a schema's rows are data.
HAVING_TABLES = """
    SELECT nspname, array_agg(relname::text)
      FROM pg_catalog.pg_class
      JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
     WHERE relname = ANY(%(tables)s) AND nspname = ANY(%(schemas)s) AND relkind IN ('r', 'p')
     GROUP BY nspname
"""
CONTENT_TYPES = """
    SELECT {literal}::text AS schema, 'content type' AS kind, app_label || '.' || model AS name,
           '' AS definition
      FROM {schema}.{content_types}
"""
PERMISSIONS = """
    SELECT {literal}::text, 'permission', app_label || '.' || model || '.' || codename, ''
      FROM {schema}.{permissions}
      JOIN {schema}.{content_types} AS content_type ON content_type.id = content_type_id
"""
ROWS = {"content_types": CONTENT_TYPES, "permissions": PERMISSIONS}
FINGERPRINTS_OF_ROWS = """
    SELECT schema, encode(sha256(convert_to(
               string_agg(ROW(kind, name)::text, E'\\n' ORDER BY kind, name COLLATE "C"),
               'UTF8')), 'hex')
      FROM ({rows}) AS found
     GROUP BY schema
"""
ITEMS_OF_ROWS = """
    SELECT schema, kind, '', name, definition
      FROM ({rows}) AS found
     ORDER BY schema, kind, name COLLATE "C"
"""

# What a script makes before what: two objects of the schema, of which the first needs the
# second. A foreign key can also be made later, so it is told apart.
NEEDS = f"""
    WITH here AS (
        SELECT oid AS nsp, nspname, quote_ident(nspname) || ', pg_catalog, pg_temp' AS path
          FROM pg_catalog.pg_namespace
         WHERE nspname = %(schema)s
    ), thing (classid, objid, kind, name) AS (
        SELECT 'pg_catalog.pg_class'::regclass, class.oid,
               CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
               WHEN 'S' THEN 'sequence' ELSE 'table' END, relname::text
          FROM here
          JOIN pg_catalog.pg_class AS class ON relnamespace = nsp
         WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
         UNION ALL
        SELECT 'pg_catalog.pg_proc'::regclass, proc.oid,
               CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
               quote_ident(proname) || '('
               || {_deparsed("pg_get_function_identity_arguments(proc.oid)")} || ')'
          FROM here
          JOIN pg_catalog.pg_proc AS proc ON pronamespace = nsp
         UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass, type.oid,
               CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, typname
          FROM here
          JOIN pg_catalog.pg_type AS type ON typnamespace = nsp
          LEFT JOIN pg_catalog.pg_class AS class ON class.oid = typrelid
         WHERE typtype IN ('e', 'r', 'd') OR (typtype = 'c' AND relkind = 'c')
    ), part (classid, objid, kind, name) AS (
        SELECT * FROM thing
         UNION ALL
        SELECT 'pg_catalog.pg_attrdef'::regclass, attrdef.oid, kind, name
          FROM thing
          JOIN pg_catalog.pg_attrdef AS attrdef ON adrelid = objid
         WHERE kind = 'table'
         UNION ALL
        SELECT 'pg_catalog.pg_constraint'::regclass, con.oid, kind, name
          FROM thing
          JOIN pg_catalog.pg_constraint AS con
            ON (kind = 'table' AND conrelid = objid AND contype <> 'f')
            OR (kind = 'domain' AND contypid = objid)
         UNION ALL
        SELECT 'pg_catalog.pg_rewrite'::regclass, rule.oid, kind, name
          FROM thing
          JOIN pg_catalog.pg_rewrite AS rule ON ev_class = objid AND rulename = '_RETURN'
         UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass, type.oid, kind, name
          FROM thing
          JOIN pg_catalog.pg_type AS type
            ON classid = 'pg_catalog.pg_class'::regclass AND typrelid = objid
         UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass, array_type.oid, kind, name
          FROM thing
          JOIN pg_catalog.pg_type AS type
            ON (classid = 'pg_catalog.pg_class'::regclass AND typrelid = objid)
            OR (classid = 'pg_catalog.pg_type'::regclass AND type.oid = objid)
          JOIN pg_catalog.pg_type AS array_type ON array_type.oid = type.typarray
         UNION ALL
        SELECT 'pg_catalog.pg_class'::regclass, typrelid, kind, name
          FROM thing
          JOIN pg_catalog.pg_type AS type
            ON classid = 'pg_catalog.pg_type'::regclass AND type.oid = objid AND typrelid <> 0
         UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass, rngmultitypid, kind, name
          FROM thing
          JOIN pg_catalog.pg_range
            ON classid = 'pg_catalog.pg_type'::regclass AND rngtypid = objid
    )
    SELECT part.kind, part.name, needed.kind, needed.name, NULL
      FROM part
      JOIN pg_catalog.pg_depend AS depend
        ON depend.classid = part.classid AND depend.objid = part.objid
      JOIN part AS needed
        ON needed.classid = depend.refclassid AND needed.objid = depend.refobjid
     WHERE (part.kind, part.name) <> (needed.kind, needed.name)
       AND part.kind <> 'sequence'
     UNION
    SELECT thing.kind, thing.name, needed.kind, needed.name, conname
      FROM thing
      JOIN pg_catalog.pg_constraint AS con ON conrelid = thing.objid AND contype = 'f'
      JOIN thing AS needed ON needed.objid = confrelid
     WHERE thing.kind = 'table' AND needed.kind = 'table' AND thing.name <> needed.name
"""

COLUMN_ORDER = """
    SELECT relname, attname
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_attribute ON attrelid = class.oid AND attnum > 0 AND NOT attisdropped
     WHERE relnamespace = to_regnamespace(quote_ident(%(schema)s)) AND relkind IN ('r', 'p')
     ORDER BY relname, attnum
"""

# What a fresh object of the owner's has, by default privileges.
FRESH_RIGHTS = f"""
    WITH here AS (
        SELECT namespace.oid AS nsp, role.oid AS role
          FROM pg_catalog.pg_namespace AS namespace
          LEFT JOIN pg_catalog.pg_roles AS role ON rolname = %(prefix)s || '_' || nspname
         WHERE nspname = %(schema)s
    ), kind (defaclobjtype, acltype) AS (
        VALUES ('r'::"char", 'r'::"char"), ('S', 's'), ('f', 'f'), ('T', 'T')
    )
    SELECT defaclobjtype::text, {_GRANTEE}, privilege_type
           || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
      FROM here, kind, pg_catalog.pg_roles AS owner,
           LATERAL (
               SELECT * FROM aclexplode(coalesce(
                   (SELECT defaclacl FROM pg_catalog.pg_default_acl AS found
                     WHERE defaclnamespace = 0 AND defaclrole = owner.oid
                       AND found.defaclobjtype = kind.defaclobjtype),
                   acldefault(acltype, owner.oid)))
                UNION
               SELECT acl_item.*
                 FROM pg_catalog.pg_default_acl AS found, aclexplode(defaclacl) AS acl_item
                WHERE defaclnamespace = nsp AND defaclrole = owner.oid
                  AND found.defaclobjtype = kind.defaclobjtype
           ) AS acl_item
     WHERE owner.rolname = %(owner)s AND grantee <> owner.oid
"""
