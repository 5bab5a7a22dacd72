"""A copy of a tenant: all its rows of one moment, all its files, and nobody signed in."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connections

from apps.accounts.models import User
from tenancy import catalogue, context, lifecycle, schemas
from tenancy.context import PLATFORM
from tenancy.errors import InvalidTransition, NameTaken, UnableToProvision
from tenancy.lifecycle import cloning
from tenancy.models import Organization, State
from tenancy.testing import TenantClient
from tests.fixtures import kills


@pytest.fixture
def birch(scratch: Any, settings: Any, tmp_path: Any) -> Organization:
    settings.MEDIA_ROOT = tmp_path
    organization: Organization = scratch("birch")
    with context.override(organization.as_active()):
        User.objects.create(pk=7000, username="anna").groups.add(Group.objects.all()[0])
        for number in range(3):
            storages["default"].save(f"letters/{number}.txt", ContentFile(b"Anna's"))
    return organization


@pytest.fixture
def clone(birch: Organization, scratch: Any) -> Any:
    """A function that copies Birch; whatever it leaves is removed by `scratch`."""
    scratch.slugs.add("ash")

    def clone(**options: Any) -> Organization:
        return lifecycle.clone(birch, slug="ash", name="Ash", **options)

    return clone


def find(slug: str) -> Organization | None:
    with context.override(PLATFORM):
        return Organization.objects.filter(slug=slug).first()


def rows_of(schema: str) -> dict[str, int]:
    with context.override(PLATFORM):
        return schemas.count_rows(connections["ddl"], schema)


def files_of(organization: Organization) -> set[str]:
    with context.override(organization.as_active()):
        return set(storages["default"].walk())  # type: ignore[attr-defined]  # ours


class TestClone:
    def test_has_all_that_the_other_has(self, birch: Organization, clone: Any) -> None:
        ash = clone()

        with context.override(PLATFORM):
            prints = catalogue.fingerprints(connections["ddl"], ["tenant_birch", "tenant_ash"])
        assert prints["tenant_birch"] == prints["tenant_ash"]
        assert rows_of("tenant_ash") == rows_of("tenant_birch")
        assert files_of(ash) == files_of(birch) == {f"letters/{n}.txt" for n in range(3)}
        with context.override(ash.as_active()):
            assert list(User.objects.get(pk=7000).groups.all()) == [Group.objects.all()[0]]

    def test_is_served(self, clone: Any) -> None:
        ash = clone()

        assert (ash.state, ash.files_from, ash.state_reason) == (State.ACTIVE, None, "")
        assert TenantClient(ash).get("/sign-in/").status_code == 200

    def test_is_another(self, birch: Organization, clone: Any) -> None:
        ash = clone()

        assert ash.pk != birch.pk
        with context.override(ash.as_active()):
            User.objects.all().delete()
            storages["default"].delete("letters/0.txt")
        with context.override(birch.as_active()):
            assert User.objects.count() == 1
            assert storages["default"].exists("letters/0.txt")

    def test_numbers_go_on(self, birch: Organization, clone: Any) -> None:
        with context.override(birch.as_active()):
            Group.objects.create(name="more")

        with context.override(clone().as_active()):
            Group.objects.create(name="new")

    def test_signs_nobody_in(self, birch: Organization, clone: Any) -> None:
        with context.override(birch.as_active()):
            TenantClient(birch).force_login(User.objects.get())
            assert Session.objects.count() == 1

        with context.override(clone().as_active()):
            assert Session.objects.count() == 0

    def test_is_of_one_moment(self, birch: Organization, clone: Any) -> None:
        """What is written meanwhile is in none of its tables."""
        written: list[str] = []

        def write(table: str, total: int) -> None:
            with context.override(birch.as_active()):
                written.append(Group.objects.create(name=f"late-{table}").name)

        ash = clone(tell=lambda what, total: write(what, total) if "file" not in what else None)

        with context.override(ash.as_active()):
            assert not Group.objects.filter(name__startswith="late-").exists()
        assert len(written) > 10

    def test_keeps_foreign_keys(self, birch: Organization, clone: Any) -> None:
        with context.override(clone().as_active()), pytest.raises(Exception, match="foreign key"):
            connections["default"].cursor().execute(
                "INSERT INTO accounts_user_groups (user_id, group_id) VALUES (99, 99);"
                "SET CONSTRAINTS ALL IMMEDIATE"
            )

    def test_refuses_a_slug_that_is_taken(self, birch: Organization, elm: Organization) -> None:
        with pytest.raises(NameTaken, match="'elm'"):
            lifecycle.clone(birch, slug="elm", name="Elm")

    def test_refuses_what_it_has_no_table_for(self, birch: Organization, clone: Any) -> None:
        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("CREATE TABLE tenant_birch.by_hand (n int)")

        with pytest.raises(UnableToProvision, match="by_hand"):
            clone()
        assert find("ash") is None

    def test_refuses_one_that_is_behind(self, birch: Organization, clone: Any) -> None:
        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("DELETE FROM tenant_birch.django_migrations WHERE app = 'sessions'")

        with pytest.raises(UnableToProvision, match="migrate_schemas --only birch"):
            clone()
        assert find("ash") is None

    def test_refuses_one_without_a_schema(self, birch: Organization) -> None:
        lifecycle.delete(birch)

        with pytest.raises(InvalidTransition, match="no schema that could be copied"):
            lifecycle.clone(birch, slug="ash", name="Ash")


class TestKilled:
    @pytest.mark.parametrize("step", cloning.STEPS)
    def test_is_nothing_or_goes_on(self, birch: Organization, clone: Any, step: str) -> None:
        kills.killed_at(step, clone)

        is_committed = cloning.STEPS.index(step) >= cloning.STEPS.index("clone: committed")
        half = find("ash")
        assert (half is not None) == is_committed
        assert bool(rows_of("tenant_ash")) == is_committed

        if step == "clone: finished":
            assert half is not None
            assert half.state == State.ACTIVE
            return
        ash = clone()
        assert ash.state == State.ACTIVE
        assert rows_of("tenant_ash") == rows_of("tenant_birch")
        assert files_of(ash) == files_of(birch)

    def test_is_finished_by_reconcile(self, birch: Organization, clone: Any) -> None:
        kills.killed_at("clone: file copied", clone)

        assert [finding.is_done for finding in lifecycle.reconcile()] == [True]

        ash = find("ash")
        assert ash is not None
        assert ash.state == State.ACTIVE
        assert files_of(ash) == files_of(birch)

    def test_cannot_be_served_by_half(self, birch: Organization, clone: Any) -> None:
        kills.killed_at("clone: committed", clone)
        ash = find("ash")
        assert ash is not None

        assert TenantClient(ash).get("/sign-in/").status_code == 503
        with pytest.raises(InvalidTransition, match=r"being copied.*reconcile_tenants ash"):
            lifecycle.resume(ash)

    def test_says_when_the_original_is_gone(self, birch: Organization, clone: Any) -> None:
        kills.killed_at("clone: committed", clone)
        lifecycle.delete(birch)

        [finding] = lifecycle.reconcile()

        assert "delete_tenant ash" in finding.error


class TestCommand:
    def test_says_where_it_answers(self, birch: Organization, scratch: Any) -> None:
        scratch.slugs.add("ash")
        out = io.StringIO()

        call_command("clone_tenant", "birch", "ash", name="Ash", stdout=out)

        assert "Ash is a copy of Birch, in schema tenant_ash; it answers at ash.localhost." in (
            out.getvalue()
        )

    def test_nobody_is_a_sentence(self, committed: None) -> None:
        with pytest.raises(CommandError, match="No organization has the slug 'ghost'"):
            call_command("clone_tenant", "ghost", "ash", name="Ash")
