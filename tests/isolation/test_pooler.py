"""Through a pooler that gives each transaction whichever session is free, nobody's rows mix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from psycopg import sql

from apps.scheduling.models import Practitioner
from tenancy import context, roles
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization
from tenancy.testing.leaks.catalogue import Server
from tests.fixtures.pgbouncer import POOL_SIZE, PgBouncer
from tests.isolation import workload
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE, sqlstate_of
from tests.isolation.workload import TABLE, Clinic

THREADS = 8
READS = 20_000
WRITES = 5_000

# A step is one or two reads, or writes up to three rows.
READING_STEPS = 15_500
WRITING_STEPS = 3_100


# What would stay on a session for the next client. PgBouncer itself keeps the settings
# named here in step with each client's.
LEFT_BEHIND = """
    SELECT current_user::text,
           current_setting('role'),
           (SELECT string_agg(name || '=' || setting, ', ' ORDER BY name)
              FROM pg_catalog.pg_settings
             WHERE source = 'session'
               AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone',
                                'standard_conforming_strings')),
           (SELECT count(*) FROM pg_catalog.pg_prepared_statements),
           (SELECT count(*) FROM pg_catalog.pg_cursors WHERE is_holdable),
           (SELECT count(*) FROM pg_catalog.pg_locks
             WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
           (SELECT count(*) FROM pg_catalog.pg_listening_channels())
"""


@pytest.fixture
def seeded(superuser: Server) -> Iterator[Callable[[Organization], Clinic]]:
    """A function that gives a clinic its rows; those and what is written go afterwards."""
    seeded: list[Clinic] = []

    def seed(organization: Organization) -> Clinic:
        active = organization.as_active()
        clinic = Clinic(active.slug, active.schema, partial(context.override, active))
        seeded.append(clinic)
        workload.seed(superuser, clinic)
        return clinic

    yield seed
    for clinic in seeded:
        superuser.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(clinic.schema, TABLE)))


@pytest.fixture
def stock_clinics(
    pgbouncer: PgBouncer,
    elm: Organization,
    superuser: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[Clinic]]:
    """
    Two clinics as django-tenants has them: one login that may use every schema, with the
    path set on the session. The tables are copies of Elm's.
    """
    address = urlsplit(pgbouncer.url("stock"))
    login = sql.Identifier(address.username)
    schemas = ("stock_elm", "stock_oak")
    superuser.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, sql.Literal(address.password))
    )
    superuser.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(address.path.strip("/")), login
        )
    )
    for schema in schemas:
        superuser.execute(
            sql.SQL("CREATE SCHEMA {schema} AUTHORIZATION {login}").format(
                schema=sql.Identifier(schema), login=login
            )
        )
        superuser.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                sql.Identifier(schema, TABLE), sql.Identifier(elm.schema_name, TABLE)
            )
        )
        superuser.execute(
            sql.SQL("GRANT ALL ON {} TO {}").format(sql.Identifier(schema, TABLE), login)
        )

    monkeypatch.setitem(
        connections.settings,
        "stock",
        {
            **connections.settings["default"],
            "ENGINE": "django_tenants.postgresql_backend",
            "USER": address.username,
            "PASSWORD": address.password,
            "HOST": address.hostname,
            "PORT": address.port,
            "OPTIONS": {},
            "DISABLE_SERVER_SIDE_CURSORS": True,
        },
    )

    @contextmanager
    def work_for(schema: str) -> Iterator[None]:
        connections["stock"].set_schema(schema)
        yield

    clinics = [Clinic(schema, schema, partial(work_for, schema)) for schema in schemas]
    for clinic in clinics:
        workload.seed(superuser, clinic)
    yield clinics
    superuser.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(login))
    superuser.execute(sql.SQL("DROP ROLE {}").format(login))


def _describe_sessions(pgbouncer: PgBouncer) -> set[tuple[Any, ...]]:
    """Return what the sessions of the pool, each held by another client, are set to."""
    clients = [psycopg.connect(pgbouncer.url("app")) for _ in range(POOL_SIZE)]
    try:
        return {client.execute(LEFT_BEHIND).fetchone() for client in clients}
    finally:
        for client in clients:
            client.close()


class TestOurs:
    @pytest.mark.slow
    def test_reads_and_writes_only_the_clinics_own_rows(
        self,
        through_pgbouncer: PgBouncer,
        elm: Organization,
        oak: Organization,
        scratch: Callable[[str], Organization],
        seeded: Callable[[Organization], Clinic],
        superuser: Server,
    ):
        """
        Each of the three sessions behind the pooler served every clinic meanwhile.
        """
        clinics = [seeded(each) for each in (elm, oak, scratch("ash"), scratch("yew"))]

        report = workload.run(
            clinics, alias="default", threads=THREADS, reads=READING_STEPS, writes=WRITING_STEPS
        )

        assert report.errors == []
        assert report.wrong_reads == 0
        assert workload.list_misplaced(superuser, clinics, report) == []
        assert report.reads >= READS
        assert report.writes >= WRITES
        assert len(report.clinics_by_session) <= POOL_SIZE
        assert set(map(len, report.clinics_by_session.values())) == {len(clinics)}

    def test_leaves_nothing_behind_on_a_session(
        self,
        through_pgbouncer: PgBouncer,
        elm: Organization,
        seeded: Callable[[Organization], Clinic],
    ):
        """
        Every session of the pool is at the end as it was before: nobody's.
        """
        clinic = seeded(elm)
        client = workload.Client(workload.Report(), alias="default", number=0)
        fresh = _describe_sessions(through_pgbouncer)

        for read in client.READS:
            with clinic.enter():
                list(read(client))
        for write in client.WRITES:
            with clinic.enter():
                write(client, clinic.name)

        assert _describe_sessions(through_pgbouncer) == fresh


class TestDjangoTenantsOwn:
    def test_is_caught_with_others_rows(
        self, committed: None, stock_clinics: list[Clinic], superuser: Server
    ):
        """
        The test above can fail: the same work on the stock backend goes wrong, silently.
        """
        report = workload.run(
            stock_clinics, alias="stock", threads=THREADS, reads=2_400, writes=480
        )

        assert report.wrong_reads > 100
        assert len(workload.list_misplaced(superuser, stock_clinics, report)) > 100


class TestPoisonedSession:
    """A client of the same pool left something behind on every session of it."""

    POISONS = (
        "SET search_path = {oak}",
        "SELECT set_config('search_path', '{oak}, public', false)",
        "SET search_path = ''",
        "SET ROLE {oak_role}",
        "SET ROLE {platform_role}",
        "SET search_path = {oak}; SET ROLE {oak_role}",
    )

    @pytest.fixture
    def poison(
        self, through_pgbouncer: PgBouncer, oak: Organization, database: str
    ) -> Iterator[Callable[[str], None]]:
        """A function that runs a statement in every session behind the pooler, for good."""

        def poison(statement: str) -> None:
            clients = [psycopg.connect(through_pgbouncer.url("app")) for _ in range(POOL_SIZE)]
            # All transactions are open at once, so that each holds a session of its own.
            for client in clients:
                client.execute(
                    statement.format(
                        oak=oak.schema_name,
                        oak_role=roles.name(database, oak.schema_name),
                        platform_role=roles.name(database, "platform"),
                    ).encode()
                )
            for client in clients:
                client.commit()
                client.close()

        yield poison
        poison("RESET ROLE; RESET ALL")

    @pytest.mark.parametrize("statement", POISONS)
    def test_does_not_mislead_a_read(
        self,
        statement: str,
        poison: Callable[[str], None],
        elm: Organization,
        oak: Organization,
        seeded: Callable[[Organization], Clinic],
    ):
        clinics = [seeded(elm), seeded(oak)]
        reader = workload.Client(workload.Report(), alias="default", number=0)

        poison(statement)

        for clinic in clinics * 10:
            for read in workload.Client.READS:
                with clinic.enter():
                    answers = list(read(reader))
                assert [set(each) for each in answers] == [{clinic.name}] * len(answers)

    @pytest.mark.parametrize("statement", POISONS)
    def test_does_not_misplace_a_write(
        self,
        statement: str,
        poison: Callable[[str], None],
        elm: Organization,
        oak: Organization,
        seeded: Callable[[Organization], Clinic],
        superuser: Server,
    ):
        clinics = [seeded(elm), seeded(oak)]
        report = workload.Report()
        writer = workload.Client(report, alias="default", number=0)

        poison(statement)

        for clinic in clinics * 3:
            for write in workload.Client.WRITES:
                with clinic.enter():
                    report.kept[clinic.name].update(write(writer, clinic.name))
        assert workload.list_misplaced(superuser, clinics, report) == []

    @pytest.mark.parametrize("statement", POISONS)
    def test_does_not_answer_for_nobody(
        self, statement: str, poison: Callable[[str], None], elm: Organization
    ):
        poison(statement)

        with pytest.raises(NoActiveTenant):
            Practitioner.objects.exists()

    def test_with_a_clinics_path_is_refused_its_rows(
        self, poison: Callable[[str], None], through_pgbouncer: PgBouncer, oak: Organization
    ):
        """
        Should a statement ever leave without its binding, PostgreSQL does not answer it.
        """
        poison("SET search_path = {oak}")

        with psycopg.connect(through_pgbouncer.url("app"), autocommit=True) as client:
            path = client.execute("SHOW search_path").fetchone()
            plain = sqlstate_of(client.execute, f"SELECT FROM {TABLE}")
            qualified = sqlstate_of(client.execute, f"SELECT FROM {oak.schema_name}.{TABLE}")

        assert path == (oak.schema_name,)
        assert (plain, qualified) == (UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE)


class TestPooler:
    def test_takes_no_path_at_sign_in(self, pgbouncer: PgBouncer, oak: Organization):
        path = f"-c search_path={oak.schema_name}"

        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(pgbouncer.url("app"), options=path)
