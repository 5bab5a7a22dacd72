"""What operators type for one clinic, and what they are told."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from tenancy import context, lifecycle, provisioning, schemas
from tenancy.context import PLATFORM
from tenancy.lifecycle import overview
from tenancy.management import tables
from tenancy.models import Organization, State


def typed(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def now(organization: Organization) -> Organization:
    with context.override(PLATFORM):
        return Organization.objects.get(pk=organization.pk)


@pytest.fixture
def birch(scratch: Any, settings: Any, tmp_path: Any) -> Organization:
    settings.MEDIA_ROOT = tmp_path
    organization: Organization = scratch("birch", domain="birch.example")
    return organization


@pytest.mark.parametrize(
    "words",
    [
        ["suspend_tenant", "ghost"],
        ["resume_tenant", "ghost"],
        ["hold_tenant", "ghost"],
        ["release_tenant", "ghost"],
        ["rename_tenant", "ghost", "spirit"],
        ["delete_tenant", "ghost"],
        ["reconcile_tenants", "ghost"],
    ],
    ids=lambda words: words[0],
)
def test_nobody_is_a_sentence(committed: None, words: list[str]) -> None:
    with pytest.raises(CommandError, match="No organization has the slug 'ghost'"):
        typed(*words)


class TestSuspendTenant:
    def test_begins_a_maintenance(self, birch: Organization) -> None:
        said = typed("suspend_tenant", "birch", "--maintenance", "--reason", "New rooms.")

        row = now(birch)
        assert (row.state, row.state_reason) == (State.MAINTENANCE, "New rooms.")
        assert "Birch is in maintenance." in said
        assert "resume_tenant birch" in said

    def test_says_what_is_in_the_way(self, birch: Organization) -> None:
        lifecycle.offboard(birch)

        with pytest.raises(CommandError, match=r"'birch' is offboarding.*resume_tenant birch"):
            typed("suspend_tenant", "birch")


class TestHoldTenant:
    def test_is_in_the_way_of_a_deletion(self, birch: Organization) -> None:
        typed("hold_tenant", "birch", "--reason", "A lawsuit.")

        for words in (["birch"], ["birch", "--now", "--confirm", "birch"], ["birch", "--dry-run"]):
            with pytest.raises(CommandError, match=r"A lawsuit\..*release_tenant birch"):
                typed("delete_tenant", *words)

        assert "no longer on hold" in typed("release_tenant", "birch")
        assert not now(birch).is_on_hold

    def test_names_the_field_that_is_too_long(self, birch: Organization) -> None:
        with pytest.raises(CommandError, match=r"--reason: .*at most 200"):
            typed("hold_tenant", "birch", "--reason", "x" * 201)


class TestDeleteTenant:
    def test_lets_it_go(self, birch: Organization) -> None:
        said = typed("delete_tenant", "birch", "--reason", "It closed.")

        row = now(birch)
        assert (row.state, row.state_reason) == (State.OFFBOARDING, "It closed.")
        assert f"{row.delete_after:%Y-%m-%d}" in said
        assert "resume_tenant birch" in said

    def test_shows_what_would_go(self, birch: Organization) -> None:
        with context.override(birch.as_active()):
            User.objects.create(username="anna")
            storages["default"].save("letters/note.txt", ContentFile(b"12345"))

        said = typed("delete_tenant", "birch", "--dry-run")

        assert "accounts_user " in said
        assert " 1 rows" in said
        assert "files    1, 5 bytes" in said
        assert "domains  birch.example" in said
        assert "schema   tenant_birch, and its role" in said
        assert now(birch).state == State.ACTIVE

    def test_now_wants_the_slug_typed(
        self, birch: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("builtins.input", lambda prompt: "brich")

        with pytest.raises(CommandError, match="nothing was deleted"):
            typed("delete_tenant", "birch", "--now")
        assert now(birch).state == State.ACTIVE

    def test_now_deletes_what_was_typed(
        self, birch: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "birch")

        said = typed("delete_tenant", "birch", "--now")

        assert "every row in schema tenant_birch" in asked[0]
        assert "Deleted Birch, with schema tenant_birch." in said
        assert now(birch).state == State.DELETED
        assert "there is nothing to go" in typed("delete_tenant", "birch", "--dry-run")

    def test_confirm_without_now_is_a_mistake(self, birch: Organization) -> None:
        with pytest.raises(CommandError, match="--confirm is for --now"):
            typed("delete_tenant", "birch", "--confirm", "birch")

    def test_now_takes_back_what_was_only_asked_for(self, committed: None) -> None:
        provisioning.request(slug="birch", name="Birch")

        assert "there is nothing to go" in typed("delete_tenant", "birch", "--dry-run")
        said = typed("delete_tenant", "birch", "--now", "--confirm", "birch")

        assert said == "Deleted Birch, of which nothing was made.\n"
        assert provisioning.why_not_free(slug="birch") == ""

    def test_takes_no_schema_that_was_not_its_own(self, committed: None) -> None:
        """What is in a schema of that name is somebody's data."""
        birch = provisioning.request(slug="birch", name="Birch")
        with context.override(PLATFORM):
            schemas.create(connections["ddl"], "tenant_birch")

        lifecycle.delete(birch)

        with context.override(PLATFORM):
            assert schemas.exists(connections["ddl"], "tenant_birch")
            schemas.drop(connections["ddl"], "tenant_birch")


class TestRenameTenant:
    def test_says_where_it_answers(self, birch: Organization) -> None:
        said = typed("rename_tenant", "birch", "beech", "--name", "Beech")

        assert "Beech answers at beech.localhost in schema tenant_beech" in said
        assert "no longer at birch.localhost" in said

    def test_may_change_the_name_alone(self, birch: Organization) -> None:
        assert "its address stays" in typed("rename_tenant", "birch", "birch", "--name", "B")


class TestReconcileTenants:
    def test_has_nothing_to_do(self, committed: None) -> None:
        assert typed("reconcile_tenants") == "Nothing was left to be done.\n"

    def test_says_what_it_did(self, birch: Organization) -> None:
        lifecycle.offboard(birch)
        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(delete_after=timezone.now())

        shown = typed("reconcile_tenants", "birch", "--dry-run")
        done = typed("reconcile_tenants", "birch")

        assert shown == "birch: its grace is over: delete it\nNothing was changed.\n"
        assert done == "birch: its grace is over: delete it: done\n"

    def test_ends_with_status_1_when_one_fails(self, birch: Organization) -> None:
        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(state=State.REQUESTED)

        with pytest.raises(CommandError, match="1 of 1 could not be done"):
            typed("reconcile_tenants", "birch")

        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(state=State.ACTIVE)


class TestListTenants:
    def test_is_a_table(self, birch: Organization) -> None:
        lifecycle.hold(birch)
        lifecycle.suspend(birch)
        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("DELETE FROM tenant_birch.django_migrations WHERE app = 'sessions'")

        head, *lines = typed("list_tenants").splitlines()

        assert head.split() == ["SLUG", "STATE", "SCHEMA", "SIZE", "BEHIND", "HOLD"]
        [line] = [line.split() for line in lines if line.startswith("birch")]
        assert line[:3] == ["birch", "suspended", "tenant_birch"]
        assert line[-2:] == ["1", "held"]
        assert lines[-2].startswith("3 organizations, ")
        assert lines[-2].endswith(": 2 active, 1 suspended.")
        assert lines[-1] == "1 of them is behind the code. Type: manage.py migrate_schemas"

    def test_chooses_by_state(self, birch: Organization) -> None:
        lifecycle.delete(birch)

        assert "birch" not in typed("list_tenants")
        assert "birch" in typed("list_tenants", "--state", "deleted")
        assert "There is none" in typed("list_tenants", "--state", "suspended")

    def test_is_json_for_programs(self, birch: Organization) -> None:
        until = lifecycle.offboard(birch)

        [birch_line] = [
            line for line in json.loads(typed("list_tenants", "--json")) if line["slug"] == "birch"
        ]

        assert birch_line["state"] == "offboarding"
        assert birch_line["behind"] == 0
        assert birch_line["size"] > 100_000
        assert birch_line["delete_after"][:10] == f"{until:%Y-%m-%d}"

    def test_asks_as_often_for_three_as_for_two(self, committed: None, scratch: Any) -> None:
        def count() -> int:
            with (
                CaptureQueriesContext(connections["default"]) as default,
                CaptureQueriesContext(connections["ddl"]) as ddl,
            ):
                overview.list_lines()
            return len(default) + len(ddl)

        before = count()
        scratch("birch")

        assert count() == before <= 6


class TestTables:
    ROWS = (
        ("SLUG", "SCHEMA", "N"),
        ("a-very-long-slug-indeed", "tenant_a_very_long_slug_indeed", "7"),
        ("b", "tenant_b", "11"),
    )

    def test_are_as_wide_as_they_need_be_where_nobody_watches(self) -> None:
        lines = tables.lay_out(self.ROWS, width=None, right=frozenset({2}), elastic=(1, 0))

        assert lines[1] == "a-very-long-slug-indeed  tenant_a_very_long_slug_indeed   7"
        assert lines[2] == "b                        tenant_b                        11"

    def test_fit_the_width(self) -> None:
        lines = tables.lay_out(self.ROWS, width=45, right=frozenset({2}), elastic=(1, 0))

        assert lines == [
            "SLUG                     SCHEMA             N",
            "a-very-long-slug-indeed  tenant_a…_indeed   7",
            "b                        tenant_b          11",
        ]

    def test_cut_the_one_column_before_the_other(self) -> None:
        lines = tables.lay_out(self.ROWS, width=32, elastic=(1, 0))

        assert lines[1] == "a-very-…indeed  tenant…ndeed  7"
        assert max(map(len, tables.lay_out(self.ROWS, width=5, elastic=(1, 0)))) == 30


def test_grace_is_what_the_settings_say(birch: Organization, settings: Any) -> None:
    settings.TENANCY_GRACE = timedelta(days=3)

    typed("delete_tenant", "birch")

    left = now(birch).delete_after
    assert left is not None
    assert timedelta(days=2, hours=23) < left - timezone.now() < timedelta(days=3)
