"""Into service and out of it: all of it or nothing."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from apps.accounts.models import User
from tenancy import context, lifecycle, provisioning, schemas, steps
from tenancy.context import PLATFORM
from tenancy.errors import (
    InvalidName,
    NameTaken,
    TenantNotFound,
    UnableToMigrate,
    UnableToProvision,
)
from tenancy.models import Domain, Organization
from tenancy.rollout import executor

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

    def test_makes_one_of_two_at_once(self, scratch: Any) -> None:
        errors: list[Exception] = []

        def sign_up() -> None:
            try:
                provisioning.provision(slug="birch", name="The other")
            except NameTaken as error:
                errors.append(error)
            finally:
                connections.close_all()

        other = threading.Thread(target=sign_up)
        other.start()
        try:
            scratch("birch")
        except NameTaken as error:
            errors.append(error)
        other.join()

        assert len(errors) == 1
        assert exists("birch") == (True, True, True)


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

    def test_turns_refusals_into_sentences(self, elm: Organization, committed: None) -> None:
        with pytest.raises(CommandError, match="exists already"):
            call_command("create_tenant", "elm", name="Elm")
