"""The fleet is migrated: in which order, what of it fails, and how it goes on."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from tenancy import audit_schema, context, locks, steps
from tenancy.catalogue import fingerprints
from tenancy.context import PLATFORM
from tenancy.ledger import EntryState, How, MigrationRun, MigrationRunEntry, RunState
from tenancy.models import Organization
from tenancy.rollout import lock, plan, run, waves
from tests.fixtures import servers
from tests.fixtures.children import Child
from tests.fixtures.kills import killed_at
from tests.fixtures.migrations import Add

DDL = connections["ddl"]
SLUGS = ("ash", "birch", "cedar", "fir", "gum")
SCHEMAS = [f"tenant_{slug}" for slug in SLUGS]

TABLE = """
operations = [migrations.RunSQL("CREATE TABLE added (id int)", "DROP TABLE added")]
"""
COLUMN = """
operations = [
    migrations.AddField("practitioner", "room", models.CharField(max_length=20, default="")),
]
"""
PYTHON = """
def fill(apps, editor):
    raise ValueError("Maria Lopez, born on 1 May")

operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def migrate(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("migrate_schemas", *arguments, stdout=out, **options)
    return out.getvalue()


def show(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("show_migration_run", *arguments, stdout=out, **options)
    return out.getvalue()


def sql(schema: str, statement: str) -> None:
    with context.override(context.for_schema(schema)), DDL.cursor() as cursor:
        cursor.execute(statement)


def behind() -> list[str]:
    """Return those of the fleet that lack a migration."""
    with context.override(PLATFORM):
        return sorted(plan.list_missing(DDL, SCHEMAS))


def entries(**wanted: Any) -> dict[str, str]:
    """Return what the ledger says of the last run, schema by schema."""
    with context.override(PLATFORM):
        last = MigrationRun.objects.first()
        rows = MigrationRunEntry.objects.filter(run=last, **wanted)
        return {row.schema_name: row.state for row in rows}


def wait_until_free() -> None:
    """Wait until the server has seen that a runner is gone."""
    with context.override(PLATFORM), transaction.atomic(using="ddl"):
        locks.acquire(lock.NAME, using="ddl")


def last_run() -> MigrationRun:
    with context.override(PLATFORM):
        found = MigrationRun.objects.first()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def fleet(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[str]]:
    """Five tenants besides Elm and Oak; each test leaves them as they were."""
    from tenancy import lifecycle, provisioning

    with django_db_blocker.unblock():
        made = [provisioning.provision(slug=slug, name=slug.title()) for slug in SLUGS]
    yield SCHEMAS
    with django_db_blocker.unblock():
        for organization in made:
            lifecycle.delete(organization)
            lifecycle.purge(organization)


@pytest.fixture
def added(fleet: list[str], committed: None, add_migration: Add) -> Iterator[Callable[..., None]]:
    """A function that gives scheduling one migration more, which all schemas lack then."""

    def add(body: str = TABLE, *, app: str = "scheduling") -> None:
        add_migration(app, body)

    yield add
    with context.override(PLATFORM), DDL.cursor() as cursor:
        for schema in ["public", "tenant_elm", "tenant_oak", *fleet]:
            cursor.execute(
                f"DELETE FROM {schema}.django_migrations WHERE name LIKE '%_added';"
                f"DROP TABLE IF EXISTS {schema}.added;"
                f"ALTER TABLE IF EXISTS {schema}.scheduling_practitioner"
                "  DROP COLUMN IF EXISTS room"
            )
        MigrationRun.objects.using("ddl").all().delete()


class TestWaves:
    @pytest.mark.parametrize(
        ("total", "canary", "shares", "sizes"),
        [
            (500, 0, "", [500]),
            (500, 0, "1%,10%,100%", [5, 45, 450]),
            (500, 3, "1%,10%,100%", [3, 2, 45, 450]),
            (500, 5, "1%,100%", [5, 495]),
            (3, 0, "1%,10%,100%", [1, 2]),
            (2, 5, "", [2]),
            (70, 0, "7, 50%, 100%", [7, 28, 35]),
            (0, 1, "1%,100%", []),
        ],
    )
    def test_divide_a_fleet(self, total: int, canary: int, shares: str, sizes: list[int]) -> None:
        assert waves.divide(total, canary=canary, waves=shares) == sizes

    @pytest.mark.parametrize("shares", ["1%,10%", "0%,100%", "a,100%", "1%,,100%", "1.5%,100%"])
    def test_that_make_no_sense_are_refused(self, shares: str, committed: None) -> None:
        with pytest.raises(CommandError, match=r"--waves .*: (A wave is|The last)"):
            migrate(waves=shares)


class TestRun:
    def test_migrates_public_first_and_then_all(self, added: Callable[..., None]) -> None:
        added()

        out = migrate(jobs=2)

        assert behind() == []
        assert out.index("public ... done") < out.index("[1/7] tenant_")
        assert set(entries().values()) == {EntryState.DONE}
        assert set(entries()) == {"public", "tenant_elm", "tenant_oak", *SCHEMAS}
        assert last_run().state == RunState.DONE

    def test_writes_nothing_where_nothing_is_to_be_done(
        self, fleet: list[str], committed: None
    ) -> None:
        with CaptureQueriesContext(DDL) as captured:
            out = migrate()

        assert "Nothing to do" in out
        assert len(captured) <= 9
        with context.override(PLATFORM):
            assert not MigrationRun.objects.exists()

    def test_stops_when_public_fails(self, added: Callable[..., None]) -> None:
        added(app="accounts")  # whose tables public has too
        sql("public", "CREATE TABLE added (id int)")

        with pytest.raises(CommandError, match="public"):
            migrate()

        assert behind() == SCHEMAS
        assert entries() == {"public": EntryState.FAILED}

    def test_is_in_the_audit_log(self, added: Callable[..., None]) -> None:
        added()

        migrate(only=["ash"])

        with context.override(PLATFORM), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT action, ctx->>'done' FROM {audit_schema.SCHEMA}.event "
                "WHERE ctx->>'run' = %s ORDER BY seq",
                [str(last_run().pk)],
            )
            assert cursor.fetchall() == [
                ("migration_run.started", None),
                ("migration_run.finished", "1"),
            ]


class TestWhom:
    def test_only(self, added: Callable[..., None]) -> None:
        added()

        migrate(only=["ash", "tenant_fir"])

        assert behind() == ["tenant_birch", "tenant_cedar", "tenant_gum"]
        assert set(entries()) == {"tenant_ash", "tenant_fir"}

    def test_exclude(self, added: Callable[..., None]) -> None:
        added()

        migrate("--tenant", exclude=["ash", "tenant_fir"])

        assert behind() == ["tenant_ash", "tenant_fir"]

    def test_an_unknown_name_is_refused(self, added: Callable[..., None]) -> None:
        added()

        with pytest.raises(CommandError, match=r"'firr'.*Did you mean 'fir'"):
            migrate(only=["ash", "firr"])

        assert behind() == SCHEMAS

    @pytest.mark.parametrize("name", ["ash", "tenant_ash"])
    def test_schema_is_django_tenants_way_to_say_only(
        self, added: Callable[..., None], name: str
    ) -> None:
        added()

        migrate(schema_name=name)

        assert behind() == SCHEMAS[1:]

    def test_shared_is_public_alone(self, added: Callable[..., None]) -> None:
        added()

        migrate("--shared")

        assert behind() == SCHEMAS
        assert set(entries()) == {"public"}

    def test_migrate_means_the_same(self, added: Callable[..., None]) -> None:
        added()

        call_command("migrate", stdout=io.StringIO())

        assert behind() == []

    def test_the_applications_address_is_refused(self, committed: None) -> None:
        with pytest.raises(CommandError, match="owner's address"):
            migrate(database="default")


class TestFlags:
    """Those of Django's command and of django-tenants'."""

    def test_fake_is_djangos(self, added: Callable[..., None]) -> None:
        added()

        migrate("--fake", "--tenant", only=["ash"])

        assert "tenant_ash" not in behind()
        sql("tenant_ash", "CREATE TABLE added (id int)")  # nobody has made it
        with context.override(PLATFORM):
            assert MigrationRunEntry.objects.get().how == How.MIGRATE

    def test_prune_passes_over_nobody(self, added: Callable[..., None]) -> None:
        sql(
            "tenant_ash",
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('scheduling', '0009_gone', now())",
        )

        migrate("scheduling", "--prune", "--tenant")

        with context.override(context.for_schema("tenant_ash")), DDL.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM django_migrations WHERE name = '0009_gone'")
            assert cursor.fetchone() == (0,)
        assert set(entries()) == {"tenant_elm", "tenant_oak", *SCHEMAS}

    def test_parallel_is_jobs(self, added: Callable[..., None]) -> None:
        added()

        said = migrate("--executor=standard", "--parallel=3")

        assert "3 at once" in said

    def test_verbosity_0_says_nothing(self, added: Callable[..., None]) -> None:
        added()

        assert migrate(verbosity=0) == ""
        assert behind() == []

    def test_traceback_shows_where_it_failed(self, added: Callable[..., None]) -> None:
        added(PYTHON)

        out = io.StringIO()
        with pytest.raises(CommandError):
            call_command("migrate_schemas", only=["ash"], traceback=True, stdout=out)

        assert "Traceback" in out.getvalue()


class TestFailures:
    def test_of_one_stop_nobody_else_and_are_resumed(self, added: Callable[..., None]) -> None:
        added()
        sql("tenant_cedar", "CREATE TABLE added (id int)")

        with pytest.raises(CommandError, match=r"(?s)1 of the schemas failed.*cedar") as raised:
            migrate(jobs=2)

        number = last_run().pk
        assert raised.value.returncode == 1
        assert f"migrate_schemas --resume {number}" in str(raised.value)
        assert behind() == ["tenant_cedar"]
        assert list(entries(state="failed")) == ["tenant_cedar"]
        assert 'relation "added" already exists (42P07)' in show()

        sql("tenant_cedar", "DROP TABLE added")
        migrate("--resume")

        assert behind() == []
        assert last_run().pk == number
        assert last_run().state == RunState.DONE
        assert set(entries().values()) == {EntryState.DONE}

    def test_are_told_without_values_of_rows(self, added: Callable[..., None]) -> None:
        added(PYTHON)

        with pytest.raises(CommandError) as raised:
            migrate("--tenant", only=["ash"])

        with context.override(PLATFORM):
            error = MigrationRunEntry.objects.get(schema_name="tenant_ash").error
        assert "ValueError" in error
        assert "_added.py, line" in error
        assert "Maria" not in error + str(raised.value)

    def test_of_postgresql_neither_in_the_public_schema(self, added: Callable[..., None]) -> None:
        added("operations = [migrations.RunSQL(\"SELECT 'Maria'::int\")]", app="accounts")

        with pytest.raises(CommandError) as raised:
            migrate()

        assert "InvalidTextRepresentation (22P02)" in str(raised.value)
        assert "Maria" not in str(raised.value)

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("SELECT ''Maria''::int", "InvalidTextRepresentation (22P02)"),
            (
                "INSERT INTO added VALUES (1), (1)",
                'duplicate key value violates unique constraint "added_pkey" (23505)',
            ),
        ],
    )
    def test_of_postgresql_neither(
        self, added: Callable[..., None], statement: str, said: str
    ) -> None:
        statement = statement.replace("''", "'")
        create = "CREATE TABLE added (id int PRIMARY KEY)"
        added(f'operations = [migrations.RunSQL(["{create}", "{statement}"])]')

        with pytest.raises(CommandError):
            migrate(only=["ash"])

        with context.override(PLATFORM):
            assert MigrationRunEntry.objects.get(schema_name="tenant_ash").error == said

    def test_who_came_out_different_from_the_reference_is_one(
        self, added: Callable[..., None]
    ) -> None:
        """Its SQL does more where the schema has a certain name."""
        added(
            'operations = [migrations.RunSQL("CREATE TABLE added (id int); DO $$ BEGIN '
            f"IF current_schema() = '{SCHEMAS[2]}' THEN ALTER TABLE added ADD more int; "
            'END IF; END $$")]'
        )

        with pytest.raises(CommandError):
            migrate("--tenant", verbosity=0)

        assert entries(state=EntryState.FAILED) == {SCHEMAS[2]: EntryState.FAILED}
        with context.override(PLATFORM):
            error = MigrationRunEntry.objects.get(state=EntryState.FAILED).error
        assert "does not look as the reference does (added)" in error

    def test_stop_it_when_there_are_so_many(self, added: Callable[..., None]) -> None:
        added()
        for schema in ("tenant_ash", "tenant_birch"):
            sql(schema, "CREATE TABLE added (id int)")

        with pytest.raises(CommandError, match="2 of the schemas failed"):
            migrate("--tenant", jobs=1, stop_after_failures=2)

        assert behind() == SCHEMAS
        assert list(entries(state="pending")) == [
            "tenant_cedar",
            "tenant_elm",
            "tenant_fir",
            "tenant_gum",
            "tenant_oak",
        ]
        assert last_run().state == RunState.FAILED


class TestPortions:
    def test_canaries_come_first_and_the_others_when_resumed(
        self, added: Callable[..., None]
    ) -> None:
        added()

        out = migrate("--tenant", canary=2)

        assert "--resume" in out
        assert last_run().state == RunState.INTERRUPTED
        assert list(entries(state="done")) == ["tenant_ash", "tenant_birch"]
        assert behind() == ["tenant_cedar", "tenant_fir", "tenant_gum"]

        migrate("--resume")

        assert behind() == []
        assert last_run().state == RunState.DONE

    @pytest.mark.parametrize(("answer", "is_done"), [("y", True), ("", False)])
    def test_after_canaries_somebody_is_asked(
        self,
        added: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
        is_done: bool,
    ) -> None:
        added()
        monkeypatch.setattr("builtins.input", lambda: answer)
        monkeypatch.setattr("sys.stdin", Terminal())

        out = Terminal()
        call_command("migrate_schemas", "--tenant", canary=1, stdout=out)

        assert "1 migrated. Look at them: shall the other 6 follow?" in out.getvalue()
        assert (behind() == []) is is_done

    def test_after_a_wave_with_failures_none_follows(self, added: Callable[..., None]) -> None:
        added()
        sql("tenant_birch", "CREATE TABLE added (id int)")

        with pytest.raises(CommandError, match="birch"):
            migrate("--tenant", waves="2,100%")

        assert list(entries(state="done")) == ["tenant_ash"]
        assert set(entries(wave=2).values()) == {EntryState.PENDING}

        sql("tenant_birch", "DROP TABLE added")
        migrate("--resume", jobs=1)

        assert behind() == []

    def test_waves_follow_each_other(self, added: Callable[..., None]) -> None:
        added()

        out = migrate("--tenant", waves="2,4,100%", jobs=2)

        told = [line.split()[1] for line in out.splitlines() if " ... done" in line]
        assert set(told[:2]) == {"tenant_ash", "tenant_birch"}
        assert set(told[2:4]) == {"tenant_cedar", "tenant_elm"}


class TestBackwards:
    def test_all_go_back_and_forth_again(self, added: Callable[..., None]) -> None:
        added()
        with context.override(PLATFORM):
            before = fingerprints(DDL, SCHEMAS)
        migrate()
        assert behind() == []

        out = migrate("scheduling", "0001")

        assert "[7/7]" in out
        assert behind() == SCHEMAS
        with context.override(PLATFORM):
            assert fingerprints(DDL, SCHEMAS) == before

    def test_a_goal_that_there_is_not_is_refused(self, added: Callable[..., None]) -> None:
        with pytest.raises(CommandError, match="showmigrations scheduling"):
            migrate("scheduling", "0007")


class TestInUse:
    LOCKING = """
operations = [
    migrations.RunSQL("CREATE TABLE added (id int)"),
    migrations.RunSQL("LOCK TABLE scheduling_practitioner IN ACCESS EXCLUSIVE MODE"),
]
"""

    @pytest.fixture
    def holder(self, committed: None) -> Iterator[psycopg.Connection[Any]]:
        """Somebody who reads a table of Ash in a transaction that stays open."""
        url = servers.database_url(servers.database_name(), "ddl_login")
        with psycopg.connect(url) as connection:
            connection.execute(f"SET ROLE {servers.database_name()}_ddl")
            connection.execute("SELECT FROM tenant_ash.scheduling_practitioner")
            yield connection

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "FIRST_PAUSE", 0.01)

    def test_is_tried_again_when_the_others_are_done(
        self,
        added: Callable[..., None],
        holder: psycopg.Connection[Any],
        impatient: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        added(self.LOCKING)
        monkeypatch.setattr(run, "MOST_ATTEMPTS", 1000)
        told: list[str] = []

        def let_go(step: str) -> None:
            told.append(step)
            if told.count("migrate: schema committed") == len(SCHEMAS) + 1:
                holder.rollback()

        with steps.observed_by(let_go):
            out = migrate("--tenant", jobs=1, lock_timeout=10)

        lines = [line for line in out.splitlines() if "tenant_ash" in line]
        assert "in use" in lines[0]
        assert "[7/7] tenant_ash ... done" in lines[-1]
        assert behind() == []
        with context.override(PLATFORM):
            assert MigrationRunEntry.objects.get(schema_name="tenant_ash").attempts > 1

    def test_public_waits_for_nobody_longer(
        self, added: Callable[..., None], impatient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who looks for a tenant's host would wait behind it."""
        added(self.LOCKING.replace("scheduling_practitioner", "accounts_user"), app="accounts")
        monkeypatch.setattr(run, "MOST_ATTEMPTS", 2)
        url = servers.database_url(servers.database_name(), "ddl_login")
        with psycopg.connect(url) as reader:
            reader.execute(f"SET ROLE {servers.database_name()}_ddl")
            reader.execute("SELECT FROM public.accounts_user")

            with pytest.raises(CommandError, match="in use at 2 attempts"):
                migrate(lock_timeout=10)

        assert entries() == {"public": EntryState.FAILED}
        migrate("--resume")
        assert behind() == []
        assert set(entries().values()) == {EntryState.DONE}

    def test_is_given_up_and_told(
        self,
        added: Callable[..., None],
        holder: psycopg.Connection[Any],
        impatient: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        added(self.LOCKING)
        monkeypatch.setattr(run, "MOST_ATTEMPTS", 3)

        with pytest.raises(CommandError, match="attempt"):
            migrate("--tenant", lock_timeout=10)

        assert behind() == ["tenant_ash"]
        with context.override(PLATFORM):
            entry = MigrationRunEntry.objects.get(schema_name="tenant_ash")
        assert (entry.state, entry.attempts) == (EntryState.FAILED, 3)


class TestTwoRuns:
    def test_the_second_says_who_runs(self, added: Callable[..., None]) -> None:
        added()
        first = Child("migrate_schemas", pause_at="migrate: schema in hand", verbosity=0)
        first.wait_until_paused()

        with pytest.raises(CommandError, match=f"pid {first.pid} is migrating") as raised:
            migrate()
        first.go_on()

        assert "It began at" in str(raised.value)
        assert "show_migration_run" in str(raised.value)
        assert first.wait()[0] == 0
        assert behind() == []

    def test_looking_needs_no_lock(self, added: Callable[..., None]) -> None:
        added()
        first = Child("migrate_schemas", pause_at="migrate: schemas written", verbosity=0)
        first.wait_until_paused()

        assert "scheduling.0002_added" in migrate("--plan")
        with pytest.raises(CommandError, match="behind the code"):
            migrate("--check")
        assert "is running" in show()

        first.go_on()
        assert first.wait()[0] == 0

    def test_the_lock_holds_back_no_vacuum(self, committed: None) -> None:
        with lock.held("somebody@somewhere") as locking, context.override(PLATFORM):
            pid = locking.connection.info.backend_pid
            with DDL.cursor() as cursor:
                cursor.execute(
                    "SELECT backend_xid IS NULL, backend_xmin IS NULL, state "
                    "FROM pg_stat_get_activity(%s)",
                    [pid],
                )
                row = cursor.fetchone()
            assert lock.is_held()
            assert lock.who() == "somebody@somewhere"
        assert row[:2] == (True, True)
        assert not lock.is_held()


class TestInterrupted:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_finishes_what_is_in_flight_and_is_resumed(
        self, added: Callable[..., None], number: signal.Signals
    ) -> None:
        added()
        child = Child("migrate_schemas", "--tenant", "--jobs=2", pause_at="migrate: schema in hand")
        child.wait_until_paused()

        child.interrupt(number)
        child.go_on()
        status, said = child.wait()

        assert status == 130
        assert "--resume" in said
        assert last_run().state == RunState.INTERRUPTED
        done = set(entries(state="done"))
        assert 1 <= len(done) <= 2
        assert set(behind()) == set(SCHEMAS) - done

        migrate("--resume")

        assert behind() == []
        assert last_run().state == RunState.DONE

    def test_the_second_signal_ends_at_once(self, added: Callable[..., None]) -> None:
        added()
        child = Child("migrate_schemas", "--tenant", "--jobs=2", pause_at="migrate: schema in hand")
        child.wait_until_paused()

        child.interrupt(signal.SIGTERM)
        os.kill(child.pid, signal.SIGTERM)
        status, _ = child.wait()
        wait_until_free()

        assert status in (-signal.SIGTERM, 130)
        assert behind() == SCHEMAS
        assert "was interrupted" in show()


class TestKilled:
    @pytest.mark.parametrize("step", steps.STEPS["migrate"])
    def test_ledger_and_schemas_agree_and_the_next_run_ends_the_same(
        self, added: Callable[..., None], step: str
    ) -> None:
        added(COLUMN)

        # Public takes the steps of a schema too, and first.
        whom = ["--tenant"] if step.startswith("migrate: schema ") else []

        killed_at(step, lambda: migrate(*whom, verbosity=0))

        assert not set(entries(state="done")) & set(behind())
        assert set(SCHEMAS) - set(behind()) <= set(entries(state="done"))

        migrate()

        assert behind() == []
        with context.override(PLATFORM):
            assert len(set(fingerprints(DDL, SCHEMAS).values())) == 1
            assert not MigrationRun.objects.filter(state=RunState.RUNNING).exists()

    def test_a_run_is_shown_as_interrupted_and_resumed(self, added: Callable[..., None]) -> None:
        added()
        killed_at("migrate: schema committed", lambda: migrate("--tenant", verbosity=0, jobs=1))
        wait_until_free()

        assert last_run().state == RunState.RUNNING
        assert "was interrupted" in show()

        migrate("--resume")

        assert behind() == []
        assert last_run().state == RunState.DONE


class TestPlan:
    def test_says_who_lacks_what_and_changes_nothing(self, added: Callable[..., None]) -> None:
        added()

        out = migrate("--plan")

        assert "7 of 7 tenants are to be migrated." in out
        assert "scheduling.0002_added" in out
        assert "no earlier run" in out
        assert "tenancy.E07" not in out
        assert max(map(len, out.splitlines())) <= 80
        assert behind() == SCHEMAS

    def test_says_what_the_checks_find_in_what_would_be_run(
        self, added: Callable[..., None]
    ) -> None:
        added("operations = [migrations.RemoveField('practitioner', 'suffix')]")

        out = migrate("--plan")

        assert "tenancy.E070" in out
        assert "0002_added.py" in out
        assert "manage.py check" in out

    def test_estimates_by_what_the_same_took(self, added: Callable[..., None]) -> None:
        added()
        migrate(only=["ash"])

        assert "as the same migrations took" in migrate("--plan")

    def test_says_that_all_is_well(self, fleet: list[str], committed: None) -> None:
        assert "Nothing to do: none of 8 schemas lacks anything." in migrate("--plan")

    def test_check_tells_with_its_status(self, added: Callable[..., None]) -> None:
        migrate("--check")
        added()

        with pytest.raises(CommandError, match="8 of 8 schemas are behind") as raised:
            migrate("--check")

        assert raised.value.returncode == 1


class TestShown:
    def test_as_facts_for_a_program(self, added: Callable[..., None]) -> None:
        added()
        sql("tenant_birch", "CREATE TABLE added (id int)")
        with pytest.raises(CommandError):
            migrate(only=["ash", "birch"])

        facts = json.loads(show("--json"))

        assert (facts["state"], facts["done"], facts["failed"]) == ("failed", 1, 1)
        assert [row["schema_name"] for row in facts["schemas"]] == ["tenant_ash", "tenant_birch"]
        assert show("--failed").split()[0] == "tenant_birch"
        assert "tenant_ash " in show(verbosity=2)

    def test_that_there_is_none(self, fleet: list[str], committed: None) -> None:
        with pytest.raises(CommandError, match="There is no run yet"):
            show()
        with pytest.raises(CommandError, match="There is no run 7"):
            show("7")
        with pytest.raises(CommandError, match="no run 7"):
            migrate(resume=7)
        with pytest.raises(CommandError, match="no run of which anything is left"):
            migrate("--resume")


class TestNewcomers:
    def test_that_come_in_the_middle_are_taken_along(self, added: Callable[..., None]) -> None:
        """As a release that is older than this one would make them."""
        added()
        hidden = Organization.objects.using("ddl").filter(slug="gum")

        def appear(step: str) -> None:
            if step == "migrate: schemas written":
                with context.override(PLATFORM, in_transaction=True):
                    hidden.update(state="active")

        with context.override(PLATFORM):
            hidden.update(state="provisioning")
        with steps.observed_by(appear):
            migrate()

        assert behind() == []
        assert entries()["tenant_gum"] == EntryState.DONE

    def test_who_is_gone_is_no_failure(self, added: Callable[..., None]) -> None:
        added()

        def rename(step: str) -> None:
            if step == "migrate: schemas written":
                sql("public", "ALTER SCHEMA tenant_gum RENAME TO tenant_rubber")

        try:
            with steps.observed_by(rename):
                out = migrate("--tenant")
        finally:
            sql("public", "ALTER SCHEMA tenant_rubber RENAME TO tenant_gum")

        assert "tenant_gum" in out
        assert "tenant_gum" not in entries()
