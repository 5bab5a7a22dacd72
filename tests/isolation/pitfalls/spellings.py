"""
How can SQL be spelled that stays on a session, and SQL that only looks like it?
"""

from __future__ import annotations

# {role} is Oak's, as {schema} is.
SPELLINGS = {
    "set": "SET search_path = {schema}",
    "set to": "SET search_path TO {schema}, public",
    "lower case": "set search_path = {schema}",
    "mixed case": "sEt SeArCh_PaTh = {schema}",
    "session": "SET SESSION search_path = {schema}",
    "quoted name": 'SET "search_path" = {schema}',
    "unicode name": 'SET U&"s\\0065arch_path" = {schema}',
    "quoted value": "SET search_path = '{schema}'",
    "schema": "SET SCHEMA '{schema}'",
    "leading space": "\n\t  SET search_path = {schema}",
    "comment before": "/* a report */ SET search_path = {schema}",
    "comment between": "SET/**/search_path/**/=/**/{schema}",
    "nested comment between": "SET /* a /* b */ c */ search_path = {schema}",
    "line comment before": "-- nothing\nSET search_path = {schema}",
    "line comment between": "SET -- nothing\n search_path = {schema}",
    "quote in a comment": "/* ' */ SET search_path = {schema} /* ' */",
    "line comment with a quote": "-- don't\nSET search_path = {schema} -- don't",
    "comment in a string": "SELECT '/*'; SET search_path = {schema}; SELECT '*/'",
    "backslash in a string": "SELECT '\\'; SET search_path = {schema}; SELECT '\\'",
    "escapes in a string": "SELECT E'\\''; SET search_path = {schema}; SELECT ''",
    "semicolon in a name": 'SELECT 1 AS ";"; SET search_path = {schema}',
    "second statement": "SELECT 1; SET search_path = {schema}",
    "after an empty one": ";;SET search_path = {schema}",
    "other space": "SET\x0csearch_path\x0b= {schema}",
    "role": "SET ROLE {role}",
    "local role": "SET LOCAL ROLE {role}",
    "session role": "SET SESSION ROLE {role}",
    "role none": "SET ROLE NONE",
    "role as a setting": "SET role = {role}",
    "session authorization": "SET SESSION AUTHORIZATION DEFAULT",
    "local path": "SET LOCAL search_path = {schema}",
    "local schema": "SET LOCAL SCHEMA '{schema}'",
    "time zone": "SET TIME ZONE 'Europe/Berlin'",
    "timeout": "SET statement_timeout = 0",
    "characteristics": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "transaction as a setting": "SET transaction_read_only_default.x = 1",
    "default_transaction": "SET default_transaction_read_only = on",
    "names": "SET NAMES 'LATIN1'",
    "seed": "SET SEED TO 0.5",
    "xml": "SET XML OPTION DOCUMENT",
    "custom": "SET clinicx.tenant = 'oak'",
    "reset": "RESET search_path",
    "reset role": "RESET ROLE",
    "reset all": "RESET ALL",
    "reset authorization": "RESET SESSION AUTHORIZATION",
    "discard": "DISCARD ALL",
    "discard plans": "DISCARD PLANS",
    "set_config": "SELECT set_config('search_path', '{schema}', false)",
    "set_config qualified": "SELECT pg_catalog.set_config('search_path', '{schema}', false)",
    "set_config quoted": "SELECT \"set_config\"('search_path', '{schema}', false)",
    "set_config spaced": "SELECT set_config /* a */ ('search_path', '{schema}', 'f')",
    "set_config named": (
        "SELECT set_config(setting_name => 'search_path', new_value => '{schema}', "
        "is_local => false)"
    ),
    "set_config not true": "SELECT set_config('search_path', '{schema}', NOT true)",
    "set_config computed": "SELECT set_config('search_path', '{schema}', 1 = 2)",
    "set_config in a CTE": (
        "WITH a AS (SELECT set_config('search_path', '{schema}', false)) SELECT * FROM a"
    ),
    "set_config in FROM": "SELECT * FROM set_config('search_path', '{schema}', false)",
    "set_config in WHERE": (
        "SELECT 1 WHERE set_config('search_path', '{schema}', false) IS NOT NULL"
    ),
    "do": "DO $$ BEGIN SET search_path = {schema}; END $$",
    "do with execute": "DO $x$ BEGIN EXECUTE 'SET search_path = {schema}'; END $x$",
    "do in a language": "DO LANGUAGE plpgsql 'BEGIN SET search_path = {schema}; END'",
    "prepare": "PREPARE p AS SELECT 1",
    "prepare set": "PREPARE p AS SELECT set_config('search_path', '{schema}', false)",
    "explain": "EXPLAIN ANALYZE SELECT set_config('search_path', '{schema}', false)",
    "listen": "LISTEN elm",
    "listen quoted": 'LISTEN "elm"',
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "advisory lock shared": "SELECT pg_catalog.pg_try_advisory_lock_shared(1, 2)",
    "advisory lock quoted": 'SELECT "pg_advisory_lock"(1)',
    "declare hold": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "declare hold spelled": "DECLARE c NO SCROLL CURSOR/**/WITH/**/HOLD FOR SELECT 1",
    "load": "LOAD 'auto_explain'",
    "in parentheses": "(SELECT set_config('search_path', '{schema}', false))",
    "begin": "BEGIN; SET search_path = {schema}; COMMIT",
    "commit and set": "COMMIT; SET search_path = {schema}",
    "end and set_config": "END; SELECT set_config('search_path', '{schema}', 'off')",
    "set_config local": "SELECT set_config('role', '{role}', true)",
    "set_config twice": (
        "SELECT set_config('search_path', '{schema}', false), set_config('work_mem', '4MB', true)"
    ),
    "nested comment": "/* /* */ */ SET search_path = {schema}",
    "comment to a carriage return": "-- a\rSET search_path = {schema}",
    "dollars in a name": "SELECT 1 AS a$b$; SET search_path = {schema}; SELECT 1 AS a$b$",
    "quote in a name": 'SELECT 1 AS "don\'t"; SET search_path = {schema}; SELECT 1 AS "\'"',
    "comment in a name": 'SELECT 1 AS "--"; SET search_path = {schema}',
    "custom setting named local": "SET local.tenant = '{schema}'",
    "custom setting named constraints": "SET constraints.tenant = '{schema}'",
    "copy": "COPY (SELECT set_config('search_path', '{schema}', false)) TO STDOUT",
}

# What our cursors do not see, and PostgreSQL refuses by privilege.
BEYOND_READING = {
    "function": (
        "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'SET search_path = {schema}'"
    ),
    "temporary table": "CREATE TEMPORARY TABLE accounts_user (id int)",
    "temporary select": "SELECT 1 AS id INTO TEMP accounts_user",
    "view": "UPDATE pg_settings SET setting = '{schema}' WHERE name = 'search_path'",
    "view in a CTE": (
        "WITH one AS (SELECT 1) UPDATE pg_settings SET setting = '{schema}' "
        "WHERE name = 'search_path'"
    ),
    "query in a string": (
        "SELECT query_to_xml('SELECT set_config(''search_path'', ''{schema}'', false)', "
        "true, false, '')"
    ),
    "escaped name": "SELECT U&\"s\\0065t_config\"('search_path', '{schema}', false)",
    "alter role": "ALTER ROLE {role} SET search_path = {schema}",
}

# SQL with such words in places where they do nothing, or nothing that stays.
HARMLESS = (
    "UPDATE django_session SET session_data = 'x' WHERE session_key = 'y'",
    "update django_session\nset session_data = 'SET ROLE x'",
    "SELECT 'SET search_path = tenant_oak'",
    "SELECT 1; -- SET search_path = tenant_oak",
    "SELECT 1 /* RESET ALL; DISCARD ALL */",
    "SELECT $$; SET ROLE x;$$",
    "SELECT $a$; SET ROLE x;$a$",
    "SELECT E'\\'; SET ROLE x'",
    "SELECT '; RESET ALL; '",
    "SELECT 'it''s; SET ROLE x'",
    'SELECT 1 AS "set"',
    "SELECT 1 AS reset",
    "SELECT session_data AS load FROM django_session",
    "SELECT 1 AS listen, 2 AS do_it, 3 AS prepare",
    "SET LOCAL statement_timeout = '5s'",
    "SET LOCAL work_mem = '8MB'",
    "SET LOCAL TIME ZONE 'Europe/Berlin'",
    "set constraints all immediate",
    "SET CONSTRAINTS ALL DEFERRED",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET TRANSACTION READ ONLY",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1, 2)",
    "SELECT pg_advisory_xact_lock_shared(1)",
    "NOTIFY elm, 'a'",
    "SELECT pg_notify('elm', 'a')",
    "DECLARE c CURSOR FOR SELECT 1",
    "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
    "DECLARE c CURSOR FOR SELECT 1 AS hold",
    (
        "INSERT INTO django_session (session_key, session_data, expire_date) VALUES "
        "('a', 'b', now()) ON CONFLICT (session_key) DO UPDATE SET session_data = 'c'"
    ),
    (
        "INSERT INTO django_session (session_key, session_data, expire_date) VALUES "
        "('a', 'b', now()) ON CONFLICT DO NOTHING"
    ),
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
    "SELECT 1 FROM accounts_user FOR UPDATE",
    "SELECT * FROM pg_settings WHERE name = 'search_path'",
    "SELECT current_setting('search_path')",
    "SHOW search_path",
    "SAVEPOINT reset",
    "WITH reset AS (SELECT 1) SELECT * FROM reset",
    "SELECT reset.a FROM (SELECT 1 AS a) AS reset",
    "SELECT count(*) FROM pg_prepared_statements",
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "SELECT 1 WHERE 'pg_advisory_lock(1)' <> ''",
    "SELECT '-- '; SELECT 'SET'",
    (
        "MERGE INTO django_session s USING (SELECT 1) o ON false WHEN MATCHED THEN "
        "UPDATE SET session_data = ''"
    ),
    "EXPLAIN SELECT 1",
    "COPY django_session TO STDOUT",
    "SET LOCAL lock_timeout TO '1s'; SELECT 1",
    'SET LOCAL "lock_timeout" = 1',
    "RELEASE SAVEPOINT a",
    'SELECT 1 AS "; SET ROLE x"',
    'SELECT 1 AS "don\'t; SET ROLE x"',
    'SELECT 1 AS "set_config(1)"',
    "DEALLOCATE ALL",
)
