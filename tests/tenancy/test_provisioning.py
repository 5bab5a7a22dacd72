"""Into service and out of it: all of it or nothing."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django_tenants.signals import post_schema_sync

from apps.accounts.models import User
from tenancy import catalogue, context, lifecycle, provisioning, schemas, steps, tenants
from tenancy.context import PLATFORM
from tenancy.errors import (
    InvalidName,
    NameTaken,
    TenancyError,
    TenantNotFound,
    UnableToMigrate,
    UnableToProvision,
)
from tenancy.management import progress
from tenancy.models import STATES_TO_COME, Domain, Organization, RetiredSlug, State
from tenancy.rollout import executor, reference, rows
from tests.fixtures import kills

DDL = connections["ddl"]


def exists(slug: str) -> tuple[bool, bool, bool]:
    """Tell whether there are an organization, a schema and a role."""
    schema = f"tenant_{slug}"
    with context.override(PLATFORM):
        return (
            Organization.objects.filter(slug=slug).exists(),
            schemas.exists(DDL, schema),
            schemas.role_exists(DDL, schema),
        )


def contents(organization: Organization) -> tuple[str, rows.Rows]:
    """Return what is in its schema, where the times are those of a moment ago."""
    ddl, schema = connections["ddl"], organization.schema_name
    with context.override(PLATFORM):
        return catalogue.fingerprints(ddl, [schema])[schema], rows.read(ddl, schema)


def recorded(organization: Organization) -> list[tuple[str, str]]:
    """Return what the audit log says of it, and who did it."""
    with context.override(PLATFORM), connection.cursor() as cursor:
        cursor.execute(
            "SELECT action, actor FROM audit.event WHERE tenant = %s ORDER BY seq",
            [str(organization.pk)],
        )
        return cursor.fetchall()


def in_threads(count: int, work: Any) -> list[Any]:
    """Do `work` in so many threads at once; return what came of each, errors too."""
    outcomes: list[Any] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        try:
            outcomes.append(work())
        except TenancyError as error:
            outcomes.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def clear(committed: None) -> Iterator[Any]:
    """A function that says which slug nobody is to have after the test."""
    slugs: set[str] = set()
    yield slugs.add
    for slug in slugs:
        with suppress(TenantNotFound):
            left = provisioning.get_by_slug(slug)
            if left.state in STATES_TO_COME:
                lifecycle.abandon(left)
            else:
                lifecycle.delete(left)
                lifecycle.purge(left)


@pytest.fixture
def requested(clear: Any) -> Any:
    """A function that asks for a tenant; after the test none has its slug."""

    def request(slug: str, **options: Any) -> Organization:
        clear(slug)
        return provisioning.request(slug=slug, **{"name": slug.title(), **options})

    return request


@pytest.fixture
def slow(scratch: Any) -> Any:
    """A function that makes a tenant by migrating it from zero."""

    def provision(slug: str) -> Organization:
        found = reference.current()
        script, found.script, found.fault = found.script, "", "Said by a test."
        try:
            return scratch(slug)
        finally:
            found.script, found.fault = script, ""

    return provision


class TestProvision:
    def test_makes_row_schema_role_and_tables(self, scratch: Any) -> None:
        birch = scratch("birch", name="Birch Clinic", domain="Praxis.Birch.Example.")

        assert exists("birch") == (True, True, True)
        with context.override(birch.as_active()):
            assert User.objects.count() == 0
        with context.override(PLATFORM):
            assert [domain.domain for domain in birch.domains.all()] == ["praxis.birch.example"]

    def test_hands_over_to_the_applications_address(self, scratch: Any) -> None:
        birch = scratch("birch")

        assert birch._state.db == "default"
        assert Domain(domain="birch.example", tenant=birch)._state.db == "default"

    def test_gives_the_role_its_own_tables_and_no_more(self, scratch: Any) -> None:
        birch = scratch("birch")

        with context.override(birch.as_active()), connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT table_schema FROM information_schema.table_privileges"
                " WHERE grantee = current_user"
            )
            assert cursor.fetchall() == [("tenant_birch",)]

    @pytest.mark.parametrize("slug", ["", "Elm", "elm_", "x" * 42, "admin", 'a"b'])
    def test_refuses_names_that_are_none(self, committed: None, slug: str) -> None:
        with pytest.raises(InvalidName):
            provisioning.provision(slug=slug, name="Elm")

    def test_refuses_a_role_that_postgresql_would_cut(self, committed: None, settings: Any) -> None:
        settings.TENANCY_ROLE_PREFIX = "a_database_with_a_long_name"

        with pytest.raises(InvalidName, match="shorter slug"):
            provisioning.provision(slug="x" * 41, name="Too long")

    def test_refuses_a_slug_that_is_taken(self, elm: Organization, committed: None) -> None:
        with pytest.raises(NameTaken, match="'elm'"):
            provisioning.provision(slug="elm", name="Another Elm")

    def test_never_adopts_a_schema(self, committed: None) -> None:
        """What lies in it is somebody's data."""
        with context.override(PLATFORM), DDL.cursor() as cursor:
            cursor.execute("CREATE SCHEMA tenant_left_behind")
        try:
            with pytest.raises(NameTaken, match="tenant_left_behind"):
                provisioning.provision(slug="left-behind", name="Left behind")
            assert exists("left_behind")[0] is False
        finally:
            with context.override(PLATFORM), DDL.cursor() as cursor:
                cursor.execute("DROP SCHEMA tenant_left_behind")

    def test_refuses_anothers_domain(self, scratch: Any) -> None:
        scratch("birch", domain="praxis.example")

        with pytest.raises(NameTaken, match=r"praxis\.example"):
            provisioning.provision(slug="cedar", name="Cedar", domain="PRAXIS.example.")
        assert exists("cedar") == (False, False, False)

    @pytest.mark.parametrize("domain", ["localhost", "oak.localhost"])
    def test_refuses_a_domain_below_the_base_domain(self, committed: None, domain: str) -> None:
        with pytest.raises(NameTaken, match="the slug decides"):
            provisioning.provision(slug="cedar", name="Cedar", domain=domain)

    @pytest.mark.parametrize("step", provisioning.PROVISION[:-1])
    def test_leaves_nothing_when_it_fails_after_a_step(self, committed: None, step: str) -> None:
        def fail(reached: str) -> None:
            if reached == step:
                with connections["ddl"].cursor() as cursor:
                    cursor.execute("SELECT 1/0")

        with (
            steps.observed_by(fail),
            pytest.raises(UnableToProvision, match=r"'cedar' .*division by zero"),
        ):
            provisioning.provision(slug="cedar", name="Cedar")

        assert exists("cedar") == (False, False, False)

    def test_says_what_to_type_when_public_is_empty(self, committed: None) -> None:
        with context.override(PLATFORM), DDL.cursor() as cursor:
            cursor.execute("ALTER TABLE tenancy_organization RENAME TO tenancy_elsewhere")
        try:
            with pytest.raises(UnableToProvision, match="migrate_schemas --shared"):
                provisioning.provision(slug="cedar", name="Cedar")
        finally:
            with context.override(PLATFORM), DDL.cursor() as cursor:
                cursor.execute("ALTER TABLE tenancy_elsewhere RENAME TO tenancy_organization")

    def test_makes_one_of_twenty_at_once(self, scratch: Any) -> None:
        outcomes = in_threads(20, lambda: scratch("birch"))

        assert sorted(map(str, outcomes)) == sorted(
            ["Birch"] + ["An organization with the slug 'birch' exists already."] * 19
        )
        assert exists("birch") == (True, True, True)

    def test_makes_one_of_many_processes_at_once(self, clear: Any) -> None:
        connections.close_all()
        processes = [
            subprocess.Popen(
                [sys.executable, "manage.py", "create_tenant", "birch", "--name", "Birch"],
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "clinicx.settings.test"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(6)
        ]
        said = [process.communicate(timeout=120)[0] for process in processes]

        clear("birch")
        assert sorted(process.returncode for process in processes) == [0, 1, 1, 1, 1, 1]
        assert sum("Created Birch" in each for each in said) == 1
        assert sum("slug 'birch' exists already" in each for each in said) == 5
        assert exists("birch") == (True, True, True)

    def test_sends_one_message_for_all_that_is_made(self, scratch: Any) -> None:
        scratch("birch")  # now this process knows the reference

        with CaptureQueriesContext(connections["ddl"]) as captured:
            scratch("cedar")

        sent = [query["sql"] for query in captured]
        assert sum("CREATE TABLE" in each for each in sent) == 1
        # Begin, the lock, who has the name, what is there, the rows, the schema, the record.
        assert len(sent) <= 12

    def test_asks_nothing_at_the_applications_address(self, scratch: Any) -> None:
        """What it asks there another transaction answers, and may not know yet."""
        with CaptureQueriesContext(connection) as queries:
            scratch("yarrow")

        assert [query["sql"] for query in queries] == []

    def test_makes_what_migrating_makes(self, scratch: Any, slow: Any) -> None:
        """The oracle: the same catalogue, and the same rows but for times."""
        assert contents(scratch("birch")) == contents(slow("cedar"))

    def test_tells_who_the_tenant_is_to_who_wants_to_know(self, scratch: Any) -> None:
        def greet(sender: Any, *, tenant: Any, **kwargs: Any) -> None:
            with connections["ddl"].cursor() as cursor:
                cursor.execute("INSERT INTO auth_group (name) VALUES (%s)", [tenant.slug])

        post_schema_sync.connect(greet, dispatch_uid="test")
        try:
            birch = scratch("birch")
        finally:
            post_schema_sync.disconnect(dispatch_uid="test")

        with context.override(birch.as_active()):
            assert Group.objects.filter(name="birch").exists()

    def test_is_recorded(self, scratch: Any) -> None:
        birch = scratch("birch", actor="anna")

        assert recorded(birch) == [("organization.provisioned", "anna")]

    def test_refuses_a_slug_that_was_deleted_lately(self, scratch: Any) -> None:
        lifecycle.delete(scratch("birch"))

        with pytest.raises(NameTaken, match=r"'birch' .* was deleted.* free from \d{4}-\d\d-\d\d"):
            scratch("birch")
        assert exists("birch")[1:] == (False, False)

    def test_gives_a_slug_away_that_was_deleted_long_ago(self, scratch: Any, settings: Any) -> None:
        lifecycle.delete(scratch("birch"))
        settings.TENANCY_SLUG_RETIREMENT = timedelta(0)

        scratch("birch")

        assert exists("birch") == (True, True, True)

    def test_refuses_a_slug_of_one_that_is_held(self, scratch: Any, settings: Any) -> None:
        birch = scratch("birch")
        lifecycle.delete(birch)
        settings.TENANCY_SLUG_RETIREMENT = timedelta(0)
        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(is_on_hold=True)
        try:
            with pytest.raises(NameTaken, match="on hold"):
                scratch("birch")
        finally:
            with context.override(PLATFORM):
                Organization.objects.filter(pk=birch.pk).update(is_on_hold=False)

    def test_refuses_a_slug_that_was_another_name(self, scratch: Any, settings: Any) -> None:
        with context.override(PLATFORM):
            RetiredSlug.objects.create(slug="birch", organization="somebody's")
        with pytest.raises(NameTaken, match=r"'birch' .* was renamed.* free from"):
            scratch("birch")

        settings.TENANCY_SLUG_RETIREMENT = timedelta(0)
        scratch("birch")

        with context.override(PLATFORM):
            assert not RetiredSlug.objects.filter(slug="birch").exists()

    @pytest.mark.parametrize("step", provisioning.PROVISION)
    def test_may_be_killed_and_run_again(self, scratch: Any, clear: Any, step: str) -> None:
        clear("birch")
        kills.killed_at(step, lambda: provisioning.provision(slug="birch", name="Birch"))

        if step == provisioning.PROVISION[-1]:
            assert exists("birch") == (True, True, True)
        else:
            assert exists("birch") == (False, False, False)
            scratch("birch")
        assert contents(provisioning.get_by_slug("birch")) == contents(scratch("cedar"))


class TestRequest:
    """A web request asks for it, and whoever has the owner's address carries it out."""

    def test_runs_no_ddl_and_takes_the_name(self, requested: Any) -> None:
        with CaptureQueriesContext(connections["ddl"]) as captured:
            birch = requested("birch", domain="birch.example")

        assert len(captured) == 0
        assert (birch.state, exists("birch")) == (State.REQUESTED, (True, False, False))
        with pytest.raises(NameTaken, match="exists already"):
            provisioning.provision(slug="birch", name="Another")
        with pytest.raises(NameTaken, match="exists already"):
            requested("birch")

    def test_is_not_served_before(self, requested: Any) -> None:
        birch = requested("birch")

        with pytest.raises(TenantNotFound, match="reconcile_tenants birch"):
            tenants.check_served(birch)

    def test_is_carried_out(self, requested: Any, scratch: Any) -> None:
        birch = provisioning.carry_out(requested("birch", actor="anna"), actor="a worker")

        assert (birch.state, exists("birch")) == (State.ACTIVE, (True, True, True))
        assert contents(birch) == contents(scratch("cedar"))
        assert recorded(birch) == [
            ("organization.requested", "anna"),
            ("organization.provisioning_began", "a worker"),
            ("organization.provisioned", "a worker"),
        ]

    def test_is_carried_out_once(self, requested: Any) -> None:
        birch = requested("birch")

        outcomes = in_threads(5, lambda: provisioning.carry_out(birch).state)

        assert outcomes == [State.ACTIVE] * 5
        assert len(recorded(birch)) == 3

    def test_says_on_the_row_what_is_in_the_way(self, requested: Any) -> None:
        birch = requested("birch")
        with context.override(PLATFORM), DDL.cursor() as cursor:
            cursor.execute("CREATE SCHEMA tenant_birch")
        try:
            with pytest.raises(NameTaken, match="tenant_birch"):
                provisioning.carry_out(birch)
            row = provisioning.get_by_slug("birch")
            assert row.state == State.PROVISIONING
            assert "'tenant_birch' exists" in row.state_reason
        finally:
            with context.override(PLATFORM), DDL.cursor() as cursor:
                cursor.execute("DROP SCHEMA tenant_birch")

        done = provisioning.carry_out(birch)

        assert (done.state, done.state_reason) == (State.ACTIVE, "")

    @pytest.mark.parametrize("step", provisioning.CARRY_OUT)
    def test_may_be_killed_and_run_again(self, requested: Any, scratch: Any, step: str) -> None:
        birch = requested("birch")
        kills.killed_at(step, lambda: provisioning.carry_out(birch))

        assert exists("birch")[1:] == ((step == provisioning.CARRY_OUT[-1],) * 2)
        assert provisioning.carry_out(birch).state == State.ACTIVE
        assert contents(birch) == contents(scratch("cedar"))
        assert len(recorded(birch)) == 3

    @pytest.mark.parametrize("step", provisioning.REQUEST)
    def test_asking_may_be_killed_too(self, clear: Any, step: str) -> None:
        clear("birch")
        kills.killed_at(step, lambda: provisioning.request(slug="birch", name="Birch"))

        is_there = step == provisioning.REQUEST[-1]
        assert exists("birch") == (is_there, False, False)

    def test_tells_a_form_what_is_not_free(self, elm: Organization, committed: None) -> None:
        assert "exists already" in provisioning.why_not_free(slug="elm")
        assert "'Elm'" in provisioning.why_not_free(slug="Elm")
        assert provisioning.why_not_free(slug="birch", domain="birch.example") == ""


class TestProvisionByMigrating:
    """What a migration may do elsewhere outside a transaction only, a new schema takes too."""

    @staticmethod
    def list_indexes(schema: str) -> set[str]:
        with context.override(PLATFORM), DDL.cursor() as cursor:
            cursor.execute(
                "SELECT indexname FROM pg_catalog.pg_indexes WHERE schemaname = %s", [schema]
            )
            return {name for (name,) in cursor.fetchall()}

    def test_makes_an_index_that_was_to_be_made_concurrently(
        self, scratch: Any, add_migration: Any
    ) -> None:
        add_migration(
            "patients",
            """
atomic = False
operations = [
    AddIndexConcurrently("patient", models.Index(fields=["family"], name="concurrent_one")),
    migrations.RunSQL("-- by hand\\nCREATE UNIQUE INDEX CONCURRENTLY two ON patients_patient (id)"),
]
""",
        )

        scratch("birch")

        assert {"concurrent_one", "two"} <= self.list_indexes("tenant_birch")

    def test_leaves_it_refused_in_other_transactions(
        self, elm: Organization, scratch: Any, add_migration: Any
    ) -> None:
        add_migration(
            "patients",
            """
atomic = False
operations = [
    AddIndexConcurrently("patient", models.Index(fields=["family"], name="concurrent_one")),
]
""",
        )
        scratch("birch")

        with (
            context.override(elm.as_active()),
            transaction.atomic(using="ddl"),
            pytest.raises(UnableToMigrate, match="inside a transaction"),
        ):
            executor.migrate(elm.as_active())

    def test_alters_a_table_to_which_rows_were_added_before(
        self, scratch: Any, add_migration: Any
    ) -> None:
        """Their constraints wait for a commit, and until then PostgreSQL alters no table."""
        add_migration(
            "accounts",
            """
operations = [migrations.RunSQL(
    "INSERT INTO auth_group (id, name) VALUES (99, 'x');"
    "INSERT INTO accounts_user (id, username, password, first_name, last_name, email,"
    " is_superuser, is_staff, is_active, date_joined)"
    " VALUES (99, 'x', 'x', 'x', 'x', 'x', false, false, false, now());"
    "INSERT INTO accounts_user_groups (user_id, group_id) VALUES (99, 99)"
)]
""",
        )
        add_migration(
            "accounts",
            """
operations = [migrations.RunSQL("ALTER TABLE accounts_user_groups ADD COLUMN more text")]
""",
        )

        birch = scratch("birch")

        with context.override(birch.as_active()):
            assert User.objects.get().groups.get().name == "x"


class TestGetBySlug:
    def test_names_those_that_there_are(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        with pytest.raises(TenantNotFound, match=r"'nowhere'.*elm, oak.*create_tenant"):
            provisioning.get_by_slug("nowhere")


class TestCreateTenantCommand:
    def test_says_where_it_answers(self, committed: None) -> None:
        out = io.StringIO()
        call_command("create_tenant", "birch", name="Birch", domain="birch.example", stdout=out)
        birch = provisioning.get_by_slug("birch")
        lifecycle.delete(birch)
        lifecycle.purge(birch)

        assert "birch.localhost and birch.example" in out.getvalue()

    def test_says_how_long_it_took(self, scratch: Any, clear: Any) -> None:
        clear("birch")
        out = io.StringIO()
        call_command("create_tenant", "birch", name="Birch", stdout=out)

        assert re.search(r"Created Birch in schema tenant_birch in \d+\.\d s;", out.getvalue())

    def test_says_that_it_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.01)
        said = threading.Event()

        with progress.told_when_slow("Making Birch ...", write=lambda text: said.set()):
            assert said.wait(timeout=30)

    def test_says_nothing_of_what_is_over_at_once(self) -> None:
        said: list[str] = []

        with progress.told_when_slow("Making Birch ...", write=said.append):
            pass
        assert said == []

    def test_turns_refusals_into_sentences(self, elm: Organization, committed: None) -> None:
        with pytest.raises(CommandError, match="exists already"):
            call_command("create_tenant", "elm", name="Elm")
