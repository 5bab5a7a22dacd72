"""Whoever logs in: can they change what the audit log says, or read another clinic's part?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction
from psycopg import sql

from apps.accounts.models import User
from tenancy import audit, context, roles, schemas
from tenancy.errors import UnableToRecord
from tenancy.models import Organization
from tenancy.rollout import upkeep
from tenancy.testing.leaks.catalogue import Server
from tests.fixtures import servers
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, NOT_REFUSED, sqlstate_of

# Whoever may come: a login by itself, or as one of those that it becomes.
VISITORS = {
    "the application's login": ("app", ""),
    "the platform": ("app", "platform"),
    "a clinic": ("app", "tenant_elm"),
    "the owner's login": ("ddl_login", ""),
    "the owner": ("ddl_login", "ddl"),
}

# What would change the log, or prepare it.
ATTACKS = [
    "UPDATE audit.event SET actor = 'nobody'",
    "UPDATE audit.{partition} SET actor = 'nobody'",
    "DELETE FROM audit.event",
    "DELETE FROM audit.{partition}",
    "TRUNCATE audit.event",
    "TRUNCATE audit.{partition}",
    "DROP TABLE audit.event CASCADE",
    "DROP TABLE audit.{partition}",
    "DROP SCHEMA audit CASCADE",
    "MERGE INTO audit.event USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "COPY audit.event FROM STDIN",
    "COPY audit.{partition} FROM STDIN",
    "INSERT INTO audit.event (tenant, kind, action, actor, ctx, outcome)"
    " VALUES ('{oak}', 'E', 'forged', 'nobody', '{{}}', 0)",
    "INSERT INTO audit.{partition} (tenant, seq, kind, action, actor, ctx, outcome)"
    " VALUES ('{oak}', 1, 'E', 'forged', 'nobody', '{{}}', 0)",
    "ALTER TABLE audit.event DISABLE TRIGGER ALL",
    "ALTER TABLE audit.event DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE audit.event DETACH PARTITION audit.{partition}",
    "ALTER TABLE audit.event ADD COLUMN forged text",
    "ALTER TABLE audit.event OWNER TO CURRENT_USER",
    "ALTER TABLE audit.event RENAME TO old",
    "ALTER TABLE audit.{partition} RENAME TO old",
    "ALTER TABLE audit.event SET SCHEMA public",
    "ALTER SCHEMA audit RENAME TO old",
    "ALTER SCHEMA audit OWNER TO CURRENT_USER",
    "CREATE TABLE public.forged PARTITION OF audit.event DEFAULT",
    "CREATE TABLE audit.forged (id int)",
    "CREATE FUNCTION audit.forged() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION audit.tenant_of(role name) RETURNS text LANGUAGE sql"
    " AS $$ SELECT '{oak}'::text $$",
    'CREATE OR REPLACE FUNCTION audit.record(action text, kind "char", tenant text, actor text,'
    " outcome smallint, ctx jsonb, tbl text, pk text, patient uuid, changed jsonb)"
    " RETURNS void LANGUAGE sql AS 'SELECT'",
    "DROP FUNCTION audit.record",
    "ALTER FUNCTION audit.record SECURITY INVOKER",
    "ALTER FUNCTION audit.record RESET search_path",
    "ALTER FUNCTION audit.record OWNER TO CURRENT_USER",
    "CREATE INDEX ON audit.event (actor)",
    "CREATE RULE forged AS ON INSERT TO audit.event DO INSTEAD NOTHING",
    "CREATE TRIGGER forged BEFORE INSERT ON audit.event FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE POLICY forged ON audit.event USING (true)",
    "DROP POLICY own ON audit.event",
    "ALTER POLICY own ON audit.event USING (true)",
    "CREATE TABLE public.forged (seq bigint, at timestamptz,"
    " FOREIGN KEY (seq, at) REFERENCES audit.event)",
    "CREATE PUBLICATION forged FOR TABLE audit.event",
    "COMMENT ON TABLE audit.event IS 'forged'",
    "SELECT setval('audit.event_seq_seq', 1)",
    "SELECT nextval('audit.event_seq_seq')",
    "ALTER SEQUENCE audit.event_seq_seq RESTART",
    "BEGIN; LOCK TABLE audit.event IN ROW EXCLUSIVE MODE",
    "SET session_replication_role = replica",
    "SET ROLE {audit}",
    "SET SESSION AUTHORIZATION {audit}",
    "REASSIGN OWNED BY {audit} TO CURRENT_USER",
    "DROP OWNED BY {audit}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {audit} GRANT ALL ON TABLES TO CURRENT_USER",
    "SELECT FROM audit.{partition}",
]

# PostgreSQL says of these that nothing was granted, and calls that a warning.
GRANTS = [
    "GRANT ALL ON audit.event TO CURRENT_USER",
    "GRANT INSERT ON audit.event TO {platform}",
    "GRANT ALL ON SCHEMA audit TO CURRENT_USER",
    "GRANT ALL ON ALL FUNCTIONS IN SCHEMA audit TO CURRENT_USER",
    "REVOKE ALL ON FUNCTION audit.record FROM {platform}",
    "REVOKE ALL ON SCHEMA audit FROM {tenants}",
]

# What whoever may make roles can do on PostgreSQL 15, to any role that is no superuser
# (tenancy.W068).
OF_ROLES = [
    "GRANT {audit} TO CURRENT_USER",
    "GRANT {audit} TO {ddl_login}",
    "ALTER ROLE {audit} LOGIN PASSWORD 'known'",
    "ALTER ROLE {audit} RENAME TO forged",
    "DROP ROLE {audit}",
    "ALTER ROLE {audit} SET search_path = public",
    "GRANT pg_write_all_data TO CURRENT_USER",
    "GRANT pg_read_all_data TO CURRENT_USER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER SUPERUSER",
]
ANY_VERSION = {"ALTER ROLE CURRENT_USER BYPASSRLS", "ALTER ROLE CURRENT_USER SUPERUSER"}

# All that the log consists of, and who may do what with it.
STATE = """
    SELECT (SELECT array_agg(event::text ORDER BY seq) FROM audit.event AS event),
           (SELECT array_agg((nspowner, nspacl)::text)
              FROM pg_catalog.pg_namespace WHERE nspname = 'audit'),
           (SELECT array_agg((oid, relname, relkind, relowner, relacl, relrowsecurity)::text
                             ORDER BY oid)
              FROM pg_catalog.pg_class WHERE relnamespace = 'audit'::regnamespace),
           (SELECT array_agg((oid, prosrc, proowner, proacl, prosecdef, proconfig)::text
                             ORDER BY oid)
              FROM pg_catalog.pg_proc WHERE pronamespace = 'audit'::regnamespace),
           (SELECT array_agg((polrelid, polname, polroles, polqual)::text ORDER BY oid)
              FROM pg_catalog.pg_policy),
           (SELECT array_agg((inhrelid, inhparent)::text ORDER BY inhrelid)
              FROM pg_catalog.pg_inherits),
           (SELECT count(*) FROM pg_catalog.pg_trigger
             WHERE tgrelid IN (SELECT oid FROM pg_catalog.pg_class
                                WHERE relnamespace = 'audit'::regnamespace)),
           (SELECT array_agg((roleid, member)::text ORDER BY roleid, member)
              FROM pg_catalog.pg_auth_members
             WHERE roleid = (SELECT nspowner
                               FROM pg_catalog.pg_namespace
                              WHERE nspname = 'audit'))
"""

PARTITION = "SELECT to_char(now() AT TIME ZONE 'UTC', '\"event_\"YYYY_MM')"
EVENTS = """
    SELECT tenant, action, actor, ctx->>'role', tx::text, at
      FROM audit.event
     WHERE action = %(action)s
     ORDER BY seq
"""
WRITE = """
    SELECT audit.record(%(action)s, 'E', %(tenant)s, 'somebody', 0::smallint, '{}',
                        NULL, NULL, NULL, NULL)
"""


def _record(server: psycopg.Connection[Any], tenant: object = None, action: str = "tried") -> None:
    tenant = None if tenant is None else str(tenant)
    server.execute(WRITE, {"action": action, "tenant": tenant})


def _events(server: Any, action: str) -> list[Any]:
    return list(server.execute(EVENTS, {"action": action}).fetchall())


def _own_events(action: str) -> list[Any]:
    """As whoever is active."""
    with connection.cursor() as cursor:
        return _events(cursor, action)


@pytest.fixture
def as_visitor(database: str, elm: Organization) -> Iterator[Callable[..., Any]]:
    """A function that connects, past the product, as one of the VISITORS."""
    opened: list[psycopg.Connection[Any]] = []

    def connect(login: str, suffix: str = "") -> psycopg.Connection[Any]:
        server = psycopg.connect(servers.database_url(database, login), autocommit=True)
        opened.append(server)
        if suffix:
            role = sql.Identifier(roles.name(database, suffix))
            server.execute(sql.SQL("SET ROLE {}").format(role))
        return server

    yield connect
    for server in opened:
        server.close()


@pytest.fixture
def names(database: str, superuser: Server, oak: Organization) -> dict[str, str]:
    """What the attacks name."""
    (partition,) = superuser.execute(PARTITION).fetchone() or ()
    fixed = {suffix: f'"{roles.name(database, suffix)}"' for suffix in roles.FIXED}
    return {"partition": partition, "oak": str(oak.pk), **fixed}


@pytest.fixture
def unchanged(superuser: Server, committed: None) -> Iterator[None]:
    """The log is afterwards what it was before."""
    before = superuser.execute(STATE).fetchone()
    yield
    assert superuser.execute(STATE).fetchone() == before


def _is_old(server: psycopg.Connection[Any]) -> bool:
    return server.info.server_version < 160_000


class TestLog:
    @pytest.fixture(autouse=True)
    def _with_a_row(self, elm: Organization, committed: None) -> None:
        with context.override(elm.as_active()):
            audit.record("test.attacked")

    @pytest.mark.parametrize("visitor", VISITORS)
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_is_changed_by_nobody(
        self,
        attack: str,
        visitor: str,
        as_visitor: Callable[..., Any],
        names: dict[str, str],
        unchanged: None,
    ):
        server = as_visitor(*VISITORS[visitor])

        verdict = sqlstate_of(server.execute, attack.format(**names))

        assert verdict == INSUFFICIENT_PRIVILEGE

    @pytest.mark.parametrize("visitor", VISITORS)
    @pytest.mark.parametrize("grant", GRANTS)
    def test_is_granted_by_nobody_to_anybody(
        self,
        grant: str,
        visitor: str,
        as_visitor: Callable[..., Any],
        names: dict[str, str],
        unchanged: None,
    ):
        server = as_visitor(*VISITORS[visitor])

        verdict = sqlstate_of(server.execute, grant.format(**names))

        assert verdict in (INSUFFICIENT_PRIVILEGE, NOT_REFUSED)

    @pytest.mark.parametrize("visitor", VISITORS)
    @pytest.mark.parametrize("attack", OF_ROLES)
    def test_has_an_owner_whom_nobody_becomes(
        self,
        attack: str,
        visitor: str,
        as_visitor: Callable[..., Any],
        names: dict[str, str],
        unchanged: None,
    ):
        """
        On PostgreSQL 15 whoever may make roles becomes what they like, the server's account
        too: tenancy.W068 says so there.
        """
        server = as_visitor(*VISITORS[visitor])
        if _is_old(server) and visitor == "the owner" and attack not in ANY_VERSION:
            pytest.skip("PostgreSQL 15 lets whoever may make roles become any (tenancy.W068)")

        verdict = sqlstate_of(server.execute, attack.format(**names))

        assert verdict == INSUFFICIENT_PRIVILEGE

    def test_takes_what_the_same_visitors_may_write(
        self, as_visitor: Callable[..., Any], elm: Organization, superuser: Server
    ):
        """
        What is refused above is refused for what it is: the visitors are let in.
        """
        for visitor in ("the platform", "a clinic", "the owner"):
            _record(as_visitor(*VISITORS[visitor]), elm.pk, f"test.written by {visitor}")

            (event,) = _events(superuser, f"test.written by {visitor}")[-1:]
            assert event[0] == str(elm.pk)

    @pytest.mark.parametrize("visitor", ["the application's login", "the owner's login"])
    def test_takes_nothing_from_a_bare_login(self, visitor: str, as_visitor: Callable[..., Any]):
        server = as_visitor(*VISITORS[visitor])

        assert sqlstate_of(_record, server) == INSUFFICIENT_PRIVILEGE
        assert sqlstate_of(server.execute, "SELECT FROM audit.event") == INSUFFICIENT_PRIVILEGE

    def test_is_not_read_by_the_owner(self, as_visitor: Callable[..., Any]):
        server = as_visitor(*VISITORS["the owner"])

        assert sqlstate_of(server.execute, "SELECT FROM audit.event") == INSUFFICIENT_PRIVILEGE


class TestWhose:
    def test_is_the_clinics_whatever_it_says(
        self, as_visitor: Callable[..., Any], oak: Organization, unchanged: None
    ):
        server = as_visitor(*VISITORS["a clinic"])

        for forged in (oak.pk, "platform", "", "tenant_oak"):
            assert sqlstate_of(_record, server, forged) == INSUFFICIENT_PRIVILEGE

    def test_is_not_said_by_a_setting(
        self, as_visitor: Callable[..., Any], elm: Organization, superuser: Server
    ):
        """
        As whom the caller works is what SET ROLE says; a path, a user's setting and an
        application's name say nothing.
        """
        server = as_visitor(*VISITORS["a clinic"])
        server.execute("SET search_path = tenant_oak, public")
        server.execute("SET application_name = 'tenant_oak'")
        server.execute("SET clinicx.tenant = 'tenant_oak'")

        _record(server, action="test.settings")

        assert _events(superuser, "test.settings")[-1][0] == str(elm.pk)

    def test_is_not_hijacked_by_the_path(
        self,
        as_visitor: Callable[..., Any],
        elm: Organization,
        oak: Organization,
        database: str,
        superuser: Server,
    ):
        """
        The owner of all schemas makes what the log's functions call, and puts it in front.
        """
        owner = as_visitor(*VISITORS["the owner"])
        owner.execute("BEGIN")
        owner.execute("CREATE SCHEMA hijack")
        for name, returns in (
            ("current_setting(text)", f"SELECT '{roles.name(database, 'tenant_oak')}'"),
            ("tenant_of(name)", f"SELECT '{oak.pk}'"),
            ("shobj_description(oid, name)", f"SELECT 'tenant {oak.pk}'"),
        ):
            owner.execute(
                f"CREATE FUNCTION hijack.{name} RETURNS text LANGUAGE sql AS $${returns}$$"
            )
        # Also for the log's owner, who may use no other schema.
        owner.execute("GRANT USAGE ON SCHEMA hijack TO PUBLIC")
        owner.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hijack TO PUBLIC")
        owner.execute("CREATE TEMPORARY TABLE pg_auth_members (member oid, roleid oid)")
        owner.execute("SET LOCAL search_path = pg_temp, hijack, pg_catalog")
        role = sql.Identifier(roles.name(database, "ddl"))
        owner.execute(sql.SQL("SET LOCAL ROLE {}").format(role))

        _record(owner, elm.pk, "test.hijacked")

        assert owner.execute("SELECT current_setting('role')").fetchone()[0].endswith("tenant_oak")
        owner.execute("DROP SCHEMA hijack CASCADE")
        owner.execute("COMMIT")
        (event,) = _events(superuser, "test.hijacked")[-1:]
        assert event[0] == str(elm.pk)
        assert event[3] == roles.name(database, "ddl")

    def test_stays_in_a_function_that_runs_as_its_owner(
        self, as_visitor: Callable[..., Any], elm: Organization, oak: Organization
    ):
        """
        In a trigger of the owner's current_user is the owner, and the clinic is one still.
        """
        owner = as_visitor(*VISITORS["the owner"])
        owner.execute("BEGIN")
        owner.execute("""
            CREATE FUNCTION public.wrapped(tenant text) RETURNS void LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            BEGIN
                PERFORM audit.record('test.wrapped', 'E', tenant, current_user::text,
                                     0::smallint, '{}', NULL, NULL, NULL, NULL);
            END $$
        """)
        owner.execute("GRANT EXECUTE ON FUNCTION public.wrapped TO PUBLIC")
        owner.execute("COMMIT")
        clinic = as_visitor(*VISITORS["a clinic"])
        call = "SELECT public.wrapped(%s)"
        try:
            clinic.execute(call, [None])

            assert sqlstate_of(clinic.execute, call, [str(oak.pk)]) == INSUFFICIENT_PRIVILEGE
            ((tenant, _, actor, *_),) = _events(clinic, "test.wrapped")[-1:]
            assert tenant == str(elm.pk)
            assert actor.endswith("_ddl")
        finally:
            owner.execute("DROP FUNCTION public.wrapped")


class TestReading:
    def test_is_each_clinics_own(self, committed: None, elm: Organization, oak: Organization):
        for clinic in (elm, oak):
            with context.override(clinic.as_active()):
                audit.record("test.read")

        for clinic in (elm, oak):
            with context.override(clinic.as_active()):
                assert {event[0] for event in _own_events("test.read")} == {str(clinic.pk)}
        with context.override(context.PLATFORM):
            assert {event[0] for event in _own_events("test.read")} == {str(elm.pk), str(oak.pk)}

    @pytest.mark.parametrize(
        "attempt",
        [
            "SET row_security = off",
            "SET search_path = tenant_oak",
            "SET application_name = 'platform'",
        ],
    )
    def test_is_not_widened_by_a_setting(
        self,
        attempt: str,
        as_visitor: Callable[..., Any],
        elm: Organization,
        oak: Organization,
        committed: None,
    ):
        with context.override(oak.as_active()):
            audit.record("test.of_oak")
        server = as_visitor(*VISITORS["a clinic"])
        server.execute(attempt)

        if "row_security" in attempt:
            assert sqlstate_of(_events, server, "test.of_oak") == INSUFFICIENT_PRIVILEGE
        else:
            assert _events(server, "test.of_oak") == []

    def test_shows_no_statistics_of_others_rows(
        self, as_visitor: Callable[..., Any], superuser: Server, committed: None
    ):
        superuser.execute("ANALYZE audit.event")
        question = "SELECT count(*) FROM pg_catalog.pg_stats WHERE schemaname = 'audit'"

        assert superuser.execute(question).fetchone() != (0,)
        assert as_visitor(*VISITORS["a clinic"]).execute(question).fetchone() == (0,)

    def test_goes_on_after_a_rename(self, scratch: Callable[..., Organization]):
        fig = scratch("fig")
        with context.override(fig.as_active()):
            audit.record("test.renamed")
        with context.override(context.PLATFORM), transaction.atomic(using="ddl"):
            schemas.rename(connections["ddl"], "tenant_fig", "tenant_date")
        try:
            with context.override(context.ActiveTenant(fig.pk, "tenant_date")):
                audit.record("test.renamed")

                assert [event[0] for event in _own_events("test.renamed")] == [str(fig.pk)] * 2
        finally:
            with context.override(context.PLATFORM), transaction.atomic(using="ddl"):
                schemas.rename(connections["ddl"], "tenant_date", "tenant_fig")

    def test_ends_with_the_organization(self, scratch: Callable[..., Organization]):
        """
        Whoever has its name later is another one.
        """
        with context.override(scratch("fig").as_active()):
            audit.record("test.gone")
        # Without the product, which gives a name to nobody else while it may mean anybody.
        with context.override(context.PLATFORM), transaction.atomic(using="ddl"):
            schemas.drop(connections["ddl"], "tenant_fig")
            schemas.create(connections["ddl"], "tenant_fig")
            schemas.assign(connections["ddl"], "tenant_fig", "another")

        with context.override(context.ActiveTenant(None, "tenant_fig")):
            assert _own_events("test.gone") == []
            audit.record("test.gone")
            assert [event[0] for event in _own_events("test.gone")] == ["another"]


class TestDeedAndRecord:
    def test_are_committed_together_or_not_at_all(self, address: str, elm: Organization):
        """
        Directly and through PgBouncer; the record names the deed's transaction.
        """
        with context.override(elm.as_active()):
            with transaction.atomic():
                audit.record("test.together")
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_current_xact_id()::text")
                    ((mine,),) = cursor.fetchall()
            with transaction.atomic():
                audit.record("test.together")
                transaction.set_rollback(True)

            known = [event[4] for event in _own_events("test.together")]
        assert known[-1:] == [mine]

    def test_are_both_undone_when_the_record_fails(
        self, address: str, elm: Organization, oak: Organization
    ):
        with context.override(elm.as_active()):
            with pytest.raises(UnableToRecord), transaction.atomic():
                User.objects.create_user("made.meanwhile")
                audit.record("test.forged", organization=oak)

            assert not User.objects.filter(username="made.meanwhile").exists()
            assert _own_events("test.forged") == []

    def test_keep_their_clinic_when_many_write_through_a_pooler(
        self, through_pgbouncer: Any, elm: Organization, oak: Organization
    ):
        """
        More clients than sessions: what one left on a session the next one would find.
        """

        def write(clinic: Organization) -> None:
            try:
                for _ in range(25):
                    with context.override(clinic.as_active()):
                        audit.record(f"test.pooled.{clinic.slug}")
            finally:
                connection.close()

        threads = [threading.Thread(target=write, args=[each]) for each in (elm, oak) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for clinic in (elm, oak):
            with context.override(context.PLATFORM):
                found = _own_events(f"test.pooled.{clinic.slug}")
            assert {event[0] for event in found} == {str(clinic.pk)}
            assert len(found) >= 100


class TestMissing:
    """What is not there fails the deed and says what to type, and nothing of the row."""

    @contextmanager
    def undone(self, server: Server, do: str, undo: str) -> Iterator[None]:
        server.execute(do.encode())
        try:
            yield
        finally:
            server.execute(undo.encode())

    def attempt(self, elm: Organization) -> str:
        with context.override(elm.as_active()):
            with pytest.raises(UnableToRecord) as refused, transaction.atomic():
                User.objects.create_user("made.meanwhile")
                audit.record("test.missing", details={"secret": "of the row"})
            assert not User.objects.filter(username="made.meanwhile").exists()
        assert "of the row" not in str(refused.value)
        return str(refused.value)

    def test_log(self, elm: Organization, superuser: Server, committed: None):
        away = ("ALTER SCHEMA audit RENAME TO away", "ALTER SCHEMA away RENAME TO audit")

        with self.undone(superuser, *away):
            assert "tenancy.roles.bootstrap_sql()" in self.attempt(elm)
            upkeep.look_after_public()

    def test_partition(
        self, elm: Organization, superuser: Server, committed: None, names: dict[str, str]
    ):
        partition = sql.Identifier("audit", names["partition"])
        bounds = superuser.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s",
            [names["partition"]],
        ).fetchone()[0]
        change = sql.SQL("ALTER TABLE audit.event {} PARTITION {} {}")
        detach = change.format(sql.SQL("DETACH"), partition, sql.SQL("")).as_string(None)
        attach = change.format(sql.SQL("ATTACH"), partition, sql.SQL(bounds)).as_string(None)

        with self.undone(superuser, detach, attach):
            assert "manage.py migrate_schemas --shared" in self.attempt(elm)

    def test_word_of_whose_a_role_is(
        self, elm: Organization, superuser: Server, committed: None, database: str
    ):
        role = f'"{roles.name(database, elm.schema_name)}"'

        superuser.execute(f"COMMENT ON ROLE {role} IS NULL")
        assert "manage.py migrate_schemas --shared" in self.attempt(elm)
        upkeep.look_after_public()

        with context.override(elm.as_active()), transaction.atomic():
            audit.record("test.missing")
            transaction.set_rollback(True)


class TestPartitions:
    def test_are_made_ahead_and_once(self, superuser: Server, as_visitor: Callable[..., Any]):
        for visitor in ("the owner", "the platform"):
            server = as_visitor(*VISITORS[visitor])
            server.execute("SELECT audit.make_partitions(24)")

            assert server.execute("SELECT audit.make_partitions(24)").fetchone() == (0,)

    def test_are_not_a_clinics_to_make(self, as_visitor: Callable[..., Any]):
        server = as_visitor(*VISITORS["a clinic"])

        verdict = sqlstate_of(server.execute, "SELECT audit.make_partitions(1)")

        assert verdict == INSUFFICIENT_PRIVILEGE

    def test_are_made_while_others_write(
        self, as_visitor: Callable[..., Any], elm: Organization, superuser: Server
    ):
        """
        A record that is not committed yet keeps nobody from making them, nor is it kept.
        """
        writer = as_visitor(*VISITORS["a clinic"])
        writer.execute("BEGIN")
        _record(writer, action="test.meanwhile")
        maker = as_visitor(*VISITORS["the owner"])
        maker.execute("SET lock_timeout = '2s'")

        with maker.transaction(force_rollback=True):
            (made,) = maker.execute("SELECT audit.make_partitions(27)").fetchone()
            _record(writer, action="test.meanwhile")
        writer.execute("COMMIT")

        assert made == 3
        assert len(_events(superuser, "test.meanwhile")) >= 2
