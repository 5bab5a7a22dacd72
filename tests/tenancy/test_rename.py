"""Another slug: schema and role go with it, and who remembers the old one gets nothing."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from apps.accounts.models import User
from tenancy import catalogue, context, lifecycle, schemas, tenants
from tenancy.context import PLATFORM
from tenancy.errors import InvalidName, InvalidTransition, NameTaken, TenantContextChanged
from tenancy.lifecycle import renaming
from tenancy.models import Organization, RetiredSlug, State
from tenancy.testing import TenantClient
from tests.fixtures import kills


@pytest.fixture
def birch(scratch: Any, settings: Any, tmp_path: Any) -> Organization:
    settings.MEDIA_ROOT = tmp_path
    organization: Organization = scratch("birch", domain="birch.example")
    with context.override(organization.as_active()):
        User.objects.create(username="anna")
        cache.set("note", "Anna's")
        storages["default"].save("letters/note.txt", ContentFile(b"Anna's"))
    return organization


def where(schema: str) -> tuple[bool, bool]:
    """Tell whether there are such a schema and its role."""
    with context.override(PLATFORM):
        ddl = connections["ddl"]
        return schemas.exists(ddl, schema), schemas.role_exists(ddl, schema)


def fingerprint(schema: str) -> str:
    with context.override(PLATFORM):
        return catalogue.fingerprints(connections["ddl"], [schema])[schema]


class TestRename:
    def test_takes_schema_and_role_along(self, birch: Organization) -> None:
        before = fingerprint("tenant_birch")

        lifecycle.rename(birch, slug="beech", name="Beech Clinic")

        assert (birch.slug, birch.schema_name, birch.name) == (
            "beech",
            "tenant_beech",
            "Beech Clinic",
        )
        assert (where("tenant_birch"), where("tenant_beech")) == ((False, False), (True, True))
        assert fingerprint("tenant_beech") == before

    def test_keeps_rows_cache_and_files(self, birch: Organization) -> None:
        lifecycle.rename(birch, slug="beech")

        with context.override(birch.as_active()):
            assert User.objects.get().username == "anna"
            assert cache.get("note") == "Anna's"
            assert storages["default"].exists("letters/note.txt")

    def test_keeps_the_name_unless_told(self, birch: Organization) -> None:
        lifecycle.rename(birch, slug="beech")

        assert birch.name == "Birch"

    def test_may_be_of_the_name_alone(self, birch: Organization) -> None:
        lifecycle.rename(birch, slug="birch", name="Birch & Sons")

        assert (birch.slug, birch.name) == ("birch", "Birch & Sons")
        with context.override(PLATFORM):
            assert not RetiredSlug.objects.filter(slug="birch").exists()

    def test_may_be_asked_for_again(self, birch: Organization) -> None:
        lifecycle.rename(birch, slug="beech")
        lifecycle.rename(birch, slug="beech")

        assert where("tenant_beech") == (True, True)

    def test_goes_back(self, birch: Organization) -> None:
        """Its own old slug is kept from everybody but itself."""
        lifecycle.rename(birch, slug="beech")
        lifecycle.rename(birch, slug="birch")

        assert where("tenant_birch") == (True, True)

    def test_is_known_at_once(self, birch: Organization) -> None:
        tenants.look_up("slug", "birch")
        tenants.look_up("slug", "beech")
        tenants.look_up("domain", "birch.example")

        lifecycle.rename(birch, slug="beech")

        assert tenants.look_up("slug", "birch") is None
        assert tenants.look_up("slug", "beech") == birch
        assert tenants.look_up("domain", "birch.example").schema_name == "tenant_beech"

    @pytest.mark.parametrize("slug", ["", "Beech", "beech_", "admin", "x" * 42])
    def test_refuses_names_that_are_none(self, birch: Organization, slug: str) -> None:
        with pytest.raises(InvalidName):
            lifecycle.rename(birch, slug=slug)

    def test_refuses_anothers_slug(self, birch: Organization, elm: Organization) -> None:
        with pytest.raises(NameTaken, match="'elm'"):
            lifecycle.rename(birch, slug="elm")

        assert where("tenant_birch") == (True, True)

    def test_refuses_a_slug_that_another_had(self, birch: Organization, scratch: Any) -> None:
        ash = scratch("ash")
        lifecycle.rename(birch, slug="beech")

        with pytest.raises(NameTaken, match="'birch'"):
            lifecycle.rename(ash, slug="birch")

    def test_takes_a_slug_that_has_been_free_for_long(self, birch: Organization) -> None:
        with context.override(PLATFORM):
            RetiredSlug.objects.create(
                slug="beech", organization="x", retired_at=timezone.now() - timedelta(days=366)
            )

        lifecycle.rename(birch, slug="beech")

        assert where("tenant_beech") == (True, True)

    @pytest.mark.parametrize("state", [State.REQUESTED, State.DELETING, State.DELETED])
    def test_refuses_where_there_is_no_schema(self, birch: Organization, state: State) -> None:
        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(state=state)

        with pytest.raises(InvalidTransition, match="no schema to rename"):
            lifecycle.rename(birch, slug="beech")

        with context.override(PLATFORM):
            Organization.objects.filter(pk=birch.pk).update(state=State.ACTIVE)

    def test_leaves_all_as_it_was_when_a_step_fails(self, birch: Organization) -> None:
        """Nobody adopts what is in the schema of a slug that nobody has."""
        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("CREATE SCHEMA tenant_beech")
        try:
            with pytest.raises(NameTaken, match="tenant_beech"):
                lifecycle.rename(birch, slug="beech")
            assert where("tenant_birch") == (True, True)
        finally:
            with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
                cursor.execute("DROP SCHEMA tenant_beech")


class TestKilled:
    @pytest.mark.parametrize("step", renaming.STEPS)
    def test_is_as_it_was_or_renamed(self, birch: Organization, step: str) -> None:
        before = fingerprint("tenant_birch")

        kills.killed_at(step, lambda: lifecycle.rename(birch, slug="beech"))

        is_renamed = step == "rename: committed"
        assert where("tenant_beech") == (is_renamed, is_renamed)
        assert where("tenant_birch") == (not is_renamed, not is_renamed)
        lifecycle.rename(birch, slug="beech")
        assert fingerprint("tenant_beech") == before
        with context.override(birch.as_active()):
            assert User.objects.get().username == "anna"


class TestWhoRemembersTheOldName:
    def test_answers_503_and_then_the_truth(self, birch: Organization) -> None:
        """Another process, that found the clinic by a domain of its own a moment ago."""
        client = TenantClient(host="birch.example", raise_request_exception=False)
        tenants.look_up("domain", "birch.example")
        remembered = dict(tenants._found)

        lifecycle.rename(birch, slug="beech")
        tenants._found.update(remembered)
        first, second = client.get("/sign-in/"), client.get("/sign-in/")

        assert (first.status_code, first["Retry-After"]) == (503, "1")
        assert second.status_code == 200

    def test_is_told_404_at_the_old_host(self, birch: Organization) -> None:
        client = TenantClient(birch, raise_request_exception=False)
        tenants.look_up("slug", "birch")
        remembered = dict(tenants._found)

        lifecycle.rename(birch, slug="beech")
        tenants._found.update(remembered)
        first, second = client.get("/sign-in/"), client.get("/sign-in/")

        assert (first.status_code, second.status_code) == (503, 404)

    def test_commits_nothing(self, birch: Organization) -> None:
        """A transaction that was open while the schema was renamed."""
        with (
            pytest.raises(DatabaseError, match=r"does not exist|permission denied"),
            context.override(birch.as_active()),
            transaction.atomic(),
        ):
            User.objects.create(username="before")
            _rename_elsewhere(birch, "beech")
            User.objects.create(username="after")

        birch = _now(birch)
        with context.override(birch.as_active()):
            assert [user.username for user in User.objects.all()] == ["anna"]

    def test_loses_or_commits_all_that_was_written_before(self, birch: Organization) -> None:
        """
        PostgreSQL hears of the new name at its own time. Until then the tables are the clinic's.
        """
        kept = ["anna", "before"]
        try:
            with context.override(birch.as_active()), transaction.atomic():
                User.objects.create(username="before")
                _rename_elsewhere(birch, "beech")
        except TenantContextChanged:
            kept = ["anna"]

        birch = _now(birch)
        assert birch.schema_name == "tenant_beech"
        with context.override(birch.as_active()):
            assert sorted(user.username for user in User.objects.all()) == kept


def _now(organization: Organization) -> Organization:
    with context.override(PLATFORM):
        return Organization.objects.get(pk=organization.pk)


def _rename_elsewhere(birch: Organization, slug: str) -> None:
    def rename() -> None:
        with context.override(PLATFORM):
            lifecycle.rename(Organization.objects.get(pk=birch.pk), slug=slug)
        connections.close_all()

    thread = threading.Thread(target=rename)
    thread.start()
    thread.join()
