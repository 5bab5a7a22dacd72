"""What was left is finished or removed, and what nobody has is only told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from tenancy import context, lifecycle, provisioning, schemas
from tenancy.context import PLATFORM
from tenancy.lifecycle import Finding, deletion
from tenancy.models import Organization, RetiredSlug, State
from tenancy.references import WarmSchema
from tenancy.tasks import owners, testing
from tenancy.tasks.testing import held_back
from tests.fixtures import background, kills


def reconcile(*slugs: str, dry_run: bool = False) -> list[Finding]:
    return list(lifecycle.reconcile(slugs, dry_run=dry_run))


def change(organization: Organization, **columns: Any) -> Organization:
    with context.override(PLATFORM):
        Organization.objects.filter(pk=organization.pk).update(**columns)
        return Organization.objects.get(pk=organization.pk)


def state_of(organization: Organization) -> State | None:
    with context.override(PLATFORM):
        row = Organization.objects.filter(pk=organization.pk).first()
    return State(row.state) if row else None


@pytest.fixture
def birch(scratch: Any, settings: Any, tmp_path: Any) -> Organization:
    settings.MEDIA_ROOT = tmp_path
    organization: Organization = scratch("birch")
    return organization


@pytest.fixture
def requested(committed: None) -> Iterator[Organization]:
    organization = provisioning.request(slug="birch", name="Birch")
    yield organization
    if state_of(organization):
        lifecycle.delete(organization)
    if state_of(organization):
        lifecycle.purge(organization)


class TestReconcile:
    def test_has_nothing_to_do(self, committed: None) -> None:
        assert reconcile() == []

    @pytest.mark.parametrize("state", [State.REQUESTED, State.PROVISIONING])
    def test_makes_what_was_asked_for(self, requested: Organization, state: State) -> None:
        change(requested, state=state)

        [finding] = reconcile("birch")

        assert finding == Finding("birch", "make it", is_done=True)
        assert state_of(requested) == State.ACTIVE

    @pytest.mark.parametrize("step", deletion.STEPS[:-1])
    def test_goes_on_with_a_deletion(self, birch: Organization, step: str) -> None:
        kills.killed_at(step, lambda: lifecycle.delete(birch))

        [finding] = reconcile()

        assert finding.is_done
        assert state_of(birch) == State.DELETED
        assert reconcile() == []

    def test_deletes_what_was_let_go_when_its_grace_is_over(self, birch: Organization) -> None:
        lifecycle.offboard(birch)
        assert reconcile() == []

        change(birch, delete_after=timezone.now())
        assert [finding.what for finding in reconcile(dry_run=True)] == [
            "its grace is over: delete it"
        ]
        assert state_of(birch) == State.OFFBOARDING

        assert [finding.is_done for finding in reconcile()] == [True]
        assert state_of(birch) == State.DELETED

    def test_deletes_none_that_comes_back_at_this_moment(self, birch: Organization) -> None:
        lifecycle.offboard(birch)
        change(birch, delete_after=timezone.now())
        findings = lifecycle.reconcile(["birch"])
        listed = Organization(pk=birch.pk, slug="birch", state=State.OFFBOARDING)
        lifecycle.resume(birch)

        with pytest.raises(Exception, match="'birch' is active"):
            lifecycle.delete_when_due(listed)

        assert list(findings) == []
        assert state_of(birch) == State.ACTIVE

    def test_deletes_none_whose_grace_begins_anew_at_this_moment(self, birch: Organization) -> None:
        lifecycle.offboard(birch)

        with pytest.raises(Exception, match="grace of 'birch' is not over"):
            lifecycle.delete_when_due(birch)

        assert state_of(birch) == State.OFFBOARDING

    @pytest.mark.parametrize("state", [State.OFFBOARDING, State.DELETING])
    def test_leaves_what_is_on_hold(self, birch: Organization, state: State) -> None:
        change(birch, state=state, delete_after=timezone.now(), is_on_hold=True)

        [finding] = reconcile("birch")

        assert "on hold" in finding.what
        assert not finding.is_done
        assert state_of(birch) == state
        change(birch, state=State.ACTIVE, delete_after=None, is_on_hold=False)

    def test_frees_names_that_were_kept_for_long_enough(
        self, birch: Organization, settings: Any
    ) -> None:
        lifecycle.delete(birch)
        with context.override(PLATFORM):
            RetiredSlug.objects.create(slug="old-birch", organization="x")
        assert reconcile() == []

        settings.TENANCY_SLUG_RETIREMENT = timedelta(0)
        assert [finding.is_done for finding in reconcile()] == [True, True]

        assert state_of(birch) is None
        with context.override(PLATFORM):
            assert not RetiredSlug.objects.filter(slug="old-birch").exists()

    def test_keeps_a_name_that_is_on_hold(self, birch: Organization, settings: Any) -> None:
        settings.TENANCY_SLUG_RETIREMENT = timedelta(0)
        lifecycle.delete(birch)
        change(birch, is_on_hold=True)

        assert reconcile() == []
        assert state_of(birch) == State.DELETED
        change(birch, is_on_hold=False)

    def test_names_what_nobody_has(self, committed: None) -> None:
        with context.override(PLATFORM), connections["ddl"].cursor():
            schemas.create(connections["ddl"], "tenant_lost")
            schemas.create(connections["ddl"], "tenant_half")
            schemas.drop_schema(connections["ddl"], "tenant_half")

        findings = reconcile()

        with context.override(PLATFORM):
            assert schemas.exists(connections["ddl"], "tenant_lost")
            for name in ("tenant_lost", "tenant_half"):
                schemas.drop(connections["ddl"], name)
        role = schemas.role_for(connections["ddl"], "tenant_half")
        assert [(finding.subject, finding.what.split(";")[0]) for finding in findings] == [
            ("tenant_lost", "a schema that nobody has"),
            (role, "a role that nobody has"),
        ]

    def test_does_the_rest_when_one_fails(self, birch: Organization, scratch: Any) -> None:
        ash = scratch("ash")
        change(ash, state=State.DELETING)
        change(birch, state=State.DELETING)
        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            role = schemas.role_for(connections["ddl"], ash.schema_name)
            cursor.execute("CREATE TYPE public.thing AS (n int)")
            cursor.execute(f'GRANT USAGE ON TYPE public.thing TO "{role}"')
        try:
            findings = {finding.subject: finding for finding in reconcile()}
        finally:
            with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
                cursor.execute("DROP TYPE public.thing")

        assert findings["birch"].is_done
        assert "cannot be dropped because some objects depend on it" in findings["ash"].error
        assert [finding.is_done for finding in reconcile()] == [True]

    def test_keeps_the_pool(self, committed: None, settings: Any) -> None:
        settings.TENANCY_WARM_POOL = 1
        assert {finding.subject for finding in reconcile()} == {"warm pool"}
        with context.override(PLATFORM):
            assert WarmSchema.objects.count() == 1

        settings.TENANCY_WARM_POOL = 0
        reconcile()

        with context.override(PLATFORM):
            assert WarmSchema.objects.count() == 0
        assert reconcile() == []


class TestTask:
    def test_deletes_what_was_let_go_when_its_grace_is_over(
        self, birch: Organization, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Queued by its name, as beat does; whoever has the owner's address does it."""
        lifecycle.offboard(birch)
        change(birch, delete_after=timezone.now())
        with held_back(background.app) as messages, context.override(PLATFORM):
            background.app.send_task("tenancy.reconcile")

        with caplog.at_level("INFO", logger="tenancy.tasks"):
            assert testing.run(background.app, messages[0])

        assert state_of(birch) == State.DELETED
        assert "birch: its grace is over: delete it: done" in caplog.messages

    def test_says_what_could_not_be_done(
        self, birch: Organization, caplog: pytest.LogCaptureFixture
    ) -> None:
        change(birch, state=State.OFFBOARDING, delete_after=timezone.now(), is_on_hold=True)

        owners.reconcile()

        assert "birch: its grace is over, and it is on hold" in caplog.messages
        change(birch, state=State.ACTIVE, delete_after=None, is_on_hold=False)
