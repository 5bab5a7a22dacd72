"""Who is behind, and bringing them along."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from apps.accounts import roles
from tenancy import context
from tenancy.context import PLATFORM
from tenancy.models import Organization
from tenancy.rollout import plan

DDL = connections["ddl"]


def migrate_schemas(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("migrate_schemas", *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def birch(scratch: Any) -> Organization:
    """Birch is one migration behind: that of the sessions was never run there."""
    organization = scratch("birch")
    with context.override(organization.as_active()), DDL.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        cursor.execute("DROP TABLE django_session")
    return organization


class TestListMissing:
    def test_knows_who_is_behind_by_what(self, elm: Organization, birch: Organization) -> None:
        with context.override(PLATFORM):
            missing = plan.list_missing(DDL, ["public", "tenant_elm", "tenant_birch"])

        assert missing == {"tenant_birch": [("sessions", "0001_initial")]}

    def test_takes_four_queries_whatever_the_fleet(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        with context.override(PLATFORM), CaptureQueriesContext(DDL) as captured:
            plan.list_missing(DDL, ["public", "tenant_elm", "tenant_oak", "tenant_nowhere"])

        assert len(captured) == 4

    def test_lists_all_for_a_schema_that_has_none(self, committed: None) -> None:
        with context.override(PLATFORM):
            missing = plan.list_missing(DDL, ["tenant_nowhere"])

        assert missing["tenant_nowhere"] == plan.list_known()


class TestMigrateSchemas:
    def test_passes_over_who_lacks_nothing(self, elm: Organization, birch: Organization) -> None:
        out = migrate_schemas("--tenant")

        assert "[1/1] tenant_birch ... done" in out
        with context.override(PLATFORM):
            assert plan.list_missing(DDL, ["tenant_birch"]) == {}

    @pytest.mark.parametrize("name", ["birch", "tenant_birch"])
    def test_migrates_one_by_slug_or_schema(self, birch: Organization, name: str) -> None:
        assert "tenant_birch ... done" in migrate_schemas(schema_name=name)

    def test_refuses_a_schema_that_is_nobodys(self, committed: None) -> None:
        with pytest.raises(CommandError, match="tenant_nowhere"):
            migrate_schemas(schema_name="tenant_nowhere")

    def test_check_says_who_is_behind(self, elm: Organization, birch: Organization) -> None:
        with pytest.raises(CommandError, match="behind"):
            migrate_schemas("--check")

        with context.override(PLATFORM):
            assert plan.list_missing(DDL, ["tenant_birch"])

    def test_plan_changes_nothing(self, birch: Organization) -> None:
        assert "sessions.0001_initial" in migrate_schemas("--plan")

        with context.override(PLATFORM):
            assert plan.list_missing(DDL, ["tenant_birch"])

    def test_one_failure_stops_nobody_else(self, birch: Organization, scratch: Any) -> None:
        """Birch has the table already, so its migration fails; cedar comes after it."""
        cedar = scratch("cedar")
        with context.override(birch.as_active()), DDL.cursor() as cursor:
            cursor.execute("CREATE TABLE django_session ()")
        with context.override(cedar.as_active()), DDL.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
            cursor.execute("DROP TABLE django_session")

        with pytest.raises(CommandError, match=r"(?s)1 of the schemas failed.*tenant_birch"):
            migrate_schemas("--tenant")

        with context.override(PLATFORM):
            assert list(plan.list_missing(DDL, ["tenant_birch", "tenant_cedar"])) == [
                "tenant_birch"
            ]

    def test_migrates_backwards_when_asked(self, scratch: Any) -> None:
        scratch("birch")

        call_command(
            "migrate_schemas", "sessions", "zero", schema_name="birch", stdout=io.StringIO()
        )

        with context.override(PLATFORM):
            assert plan.list_missing(DDL, ["tenant_birch"]) == {
                "tenant_birch": [("sessions", "0001_initial")]
            }

    def test_refuses_the_applications_address(self, committed: None) -> None:
        with pytest.raises(CommandError, match="owner's address"):
            migrate_schemas(database="default")

    def test_is_what_migrate_means(self, birch: Organization) -> None:
        call_command("migrate", stdout=io.StringIO())

        with context.override(PLATFORM):
            assert plan.list_missing(DDL, ["tenant_birch"]) == {}

    def test_gives_each_clinic_its_roles(self, scratch: Any) -> None:
        birch = scratch("birch")

        with context.override(birch.as_active()):
            assert set(Group.objects.values_list("name", flat=True)) == set(roles.ROLES)
            doctor = Group.objects.get(name="doctor")
            assert doctor.permissions.filter(codename="view_patient").exists()
