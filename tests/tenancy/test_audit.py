"""What is recorded, by whom, and what becomes of a deed that cannot be recorded."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import pwd
import socket
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from tenancy import audit, context, lifecycle, provisioning, schemas
from tenancy.errors import NameTaken, NoActiveTenant, UnableToRecord
from tenancy.middleware import TenantMiddleware, TenantRequest
from tenancy.models import Organization
from tenancy.rollout import upkeep
from tenancy.tasks import testing
from tests.fixtures import background

COLUMNS = ("tenant", "kind", "action", "tbl", "pk", "actor", "ctx", "changed", "outcome")
EVENTS = f"SELECT {', '.join(COLUMNS)} FROM audit.event WHERE action = %(action)s ORDER BY seq"

ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def events(action: str = "test.done") -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, {"action": action})
        found = [dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    # Django has its own decoder of JSON, for its own fields.
    return [
        {**each, "ctx": _json(each["ctx"]), "changed": _json(each["changed"])} for each in found
    ]


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


class TestRecord:
    def test_says_what_was_done_to_whom_by_whom(self, on_platform: None, elm: Organization):
        audit.record(
            "test.done",
            organization=elm,
            kind="U",
            details={"why": "for a test"},
            outcome=audit.Outcome.MINOR_FAILURE,
            actor="anna",
            table="tenancy_organization",
            pk=elm.pk,
            changed={"name": None},
        )

        (event,) = events()
        role = event["ctx"].pop("role")
        assert role.endswith("_platform")
        assert event == {
            "tenant": str(elm.pk),
            "kind": "U",
            "action": "test.done",
            "tbl": "tenancy_organization",
            "pk": str(elm.pk),
            "actor": "anna",
            "ctx": {"organization": "elm", "why": "for a test"},
            "changed": {"name": None},
            "outcome": 4,
        }

    def test_of_the_platform_is_the_organizations_or_nobodys(
        self, on_platform: None, elm: Organization
    ):
        audit.record("test.done", organization=elm)
        audit.record("test.done")

        assert [event["tenant"] for event in events()] == [str(elm.pk), "platform"]

    def test_of_a_clinic_is_its_own_without_saying_so(self, in_elm: Organization):
        audit.record("test.done")

        assert [event["tenant"] for event in events()] == [str(in_elm.pk)]

    def test_works_at_the_owners_address(self, committed: None, elm: Organization):
        with context.override(context.PLATFORM), transaction.atomic(using="ddl"):
            audit.record("test.done_by_owner", organization=elm, using="ddl")
            with connections["ddl"].cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
                assert cursor.fetchone() == (True,)
            transaction.set_rollback(True, using="ddl")

    def test_is_one_statement(self, in_elm: Organization):
        with CaptureQueriesContext(connection) as asked:
            audit.record("test.done")

        assert len(asked) == 1

    def test_is_rolled_back_with_its_deed(self, in_elm: Organization):
        with transaction.atomic():
            audit.record("test.done")
            transaction.set_rollback(True)

        assert events() == []

    def test_fails_its_deed_when_it_cannot_be_written(self, in_elm: Organization, oak: Any):
        """
        A program that goes on nevertheless cannot commit: PostgreSQL has failed the transaction.
        """
        with pytest.raises(UnableToRecord), transaction.atomic():
            User.objects.create_user("made.meanwhile")
            audit.record("test.done", organization=oak)

        assert not User.objects.filter(username="made.meanwhile").exists()

    def test_wants_somebody_active(self, outside_all: None):
        with pytest.raises(NoActiveTenant):
            audit.record("test.done")

    def test_takes_no_kind_that_there_is_not(self, in_elm: Organization):
        with pytest.raises(ValueError, match="use one of E, C, R, U, D"):
            audit.record("test.done", kind="X")

    @pytest.fixture
    def outside_all(self, in_elm: Organization) -> Any:
        with context.override(None):
            yield


class TestCurrentActor:
    def test_is_the_account_where_nobody_said(self):
        assert audit.current_actor() == ME

    def test_is_not_what_the_environment_says(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("LOGNAME", "somebody.else")
        assert getpass.getuser() == "somebody.else"

        audit._account.cache_clear()
        assert audit.current_actor() == ME

    def test_is_who_was_said_then_who_was_before(self):
        with audit.acting("anna"):
            with pytest.raises(ZeroDivisionError), audit.acting("kim"):
                assert audit.current_actor() == "kim"
                _ = 1 / 0

            assert audit.current_actor() == "anna"
        assert audit.current_actor() == ME

    def test_is_asked_for_when_it_is_wanted(self):
        asked: list[str] = []

        with audit.acting(lambda: asked.append("asked") or "anna"):  # type: ignore[func-returns-value]
            assert asked == []
            assert audit.current_actor() == "anna"

    def test_is_each_threads_and_each_tasks_own(self):
        """
        Two that overlap, and a thread that nobody was said for.
        """
        seen: dict[str, str] = {}
        both = asyncio.Barrier(2)

        async def act(name: str) -> None:
            with audit.acting(name):
                await both.wait()
                seen[name] = await sync_to_async(audit.current_actor)()

        async def act_both() -> None:
            await asyncio.gather(act("anna"), act("kim"))

        asyncio.run(act_both())
        with audit.acting("anna"):
            thread = threading.Thread(
                target=lambda: seen.update(thread=audit.current_actor()), name="bare"
            )
            thread.start()
            thread.join()

        assert seen == {"anna": "anna", "kim": "kim", "thread": ME}


class TestOfARequest:
    def answer(self, host: str, user: Any) -> str:
        """Return who acts in a view that `user` asks for at `host`."""
        seen: list[str] = []

        def view(request: TenantRequest) -> HttpResponse:
            request.user = user
            audit.record("test.done")
            seen.extend(event["actor"] for event in events())
            seen.extend(event["ctx"]["ip"] for event in events())
            return HttpResponse()

        TenantMiddleware(view)(RequestFactory().get("/", HTTP_HOST=host, REMOTE_ADDR="192.0.2.7"))
        actor, address = seen
        assert address == "192.0.2.7"
        return actor

    def test_is_its_user_of_the_clinic(self, in_elm: Organization):
        user = User.objects.create_user("kim")

        assert self.answer("elm.localhost", user) == f"elm user {user.pk}: kim"

    def test_is_its_user_of_the_platform(self, on_platform: None):
        user = User.objects.create_user("anna")

        assert self.answer("localhost", user) == f"platform user {user.pk}: anna"

    def test_is_nobody_who_signed_in(self, on_platform: None):
        assert self.answer("localhost", AnonymousUser()) == "platform anonymous"

    def test_cannot_look_like_another_by_the_name(self, in_elm: Organization):
        user = User.objects.create_user("platform user 1: anna\nroot@host\u202e")

        actor = self.answer("elm.localhost", user)

        assert actor == f"elm user {user.pk}: platform user 1: anna?root@host?"

    def test_is_looked_up_at_its_own_tenant(self, in_elm: Organization, oak: Organization):
        """
        Also when the first who asks for the user works for another clinic by then.
        """
        user = User.objects.create_user("kim")
        with context.override(oak.as_active(), in_transaction=True):
            User.objects.create_user("oaks.own", pk=user.pk)
        found: list[Any] = []

        class Lazy:
            is_authenticated = True

            @property
            def pk(self) -> Any:
                found.append(User.objects.get(pk=user.pk))
                return found[0].pk

            def get_username(self) -> str:
                return str(found[0].username)

        request: Any = RequestFactory().get("/")
        request.user = Lazy()
        with context.override(oak.as_active(), in_transaction=True):
            assert audit.user_of(request, in_elm.as_active()) == f"elm user {user.pk}: kim"

    def test_ends_with_the_request(self, in_elm: Organization):
        self.answer("elm.localhost", AnonymousUser())

        assert audit.current_actor() == ME

    def test_is_its_user_in_async_views(self, on_platform: None):
        seen: list[str] = []

        async def view(request: TenantRequest) -> HttpResponse:
            request.user = AnonymousUser()
            seen.append(await sync_to_async(audit.current_actor)())
            return HttpResponse()

        middleware: Any = TenantMiddleware(view)
        async_to_sync(middleware)(RequestFactory().get("/", HTTP_HOST="localhost"))

        assert seen == ["platform anonymous"]


class TestOfATask:
    def test_is_the_system_and_the_tasks_name(self, elm: Organization, committed: None):
        with testing.held_back(background.app) as messages, context.override(elm.as_active()):
            background.name_actor.delay("audit")

        assert testing.run(background.app, messages[0])
        (told,) = background.wait_for("audit")
        assert told["actor"] == "system: tests.fixtures.background.name_actor"


class TestUpkeep:
    def test_says_whose_the_roles_are(self, elm: Organization, committed: None):
        with context.override(context.PLATFORM):
            schemas.assign(connections["ddl"], elm.schema_name, "somebody-else")

        upkeep.look_after_public()

        with context.override(elm.as_active()), transaction.atomic():
            audit.record("test.done_after_upkeep", organization=elm)
            transaction.set_rollback(True)

    def test_changes_nothing_where_all_is_well(self, elm: Organization, committed: None):
        upkeep.look_after_public()
        with CaptureQueriesContext(connections["ddl"]) as asked:
            upkeep.look_after_public()

        assert [each["sql"] for each in asked if "COMMENT" in each["sql"]] == []
        assert len(asked) <= 6


class TestEdges:
    """What a clinic's way leaves in the log, beside what the tests of each step look at."""

    def of(self, organization: Organization) -> list[tuple[str, int]]:
        with context.override(context.PLATFORM):
            found = audit.AuditEvent.objects.filter(tenant=str(organization.pk)).order_by("seq")
            return [(each.action, each.outcome) for each in found]

    def test_a_request_that_is_carried_out(self, scratch: Any):
        scratch.slugs.add("fig")
        fig = provisioning.request(slug="fig", name="Fig")
        provisioning.carry_out(fig)
        provisioning.carry_out(fig)

        assert self.of(fig) == [
            ("organization.requested", 0),
            ("organization.provisioning_began", 0),
            ("organization.provisioned", 0),
        ]

    def test_a_request_that_cannot_be_carried_out(self, scratch: Any):
        scratch.slugs.add("fig")
        fig = provisioning.request(slug="fig", name="Fig")
        with context.override(context.PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("CREATE SCHEMA tenant_fig")
        try:
            with pytest.raises(NameTaken):
                provisioning.carry_out(fig)
        finally:
            with context.override(context.PLATFORM), connections["ddl"].cursor() as cursor:
                cursor.execute("DROP SCHEMA tenant_fig")

        provisioning.carry_out(fig)

        assert self.of(fig)[2:] == [
            ("organization.provisioning_failed", 8),
            ("organization.provisioned", 0),
        ]

    def test_a_deletion_that_a_hold_forbids(self, scratch: Any):
        fig = scratch("fig")
        lifecycle.hold(fig, reason="Court order")
        with pytest.raises(CommandError, match="on hold"):
            call_command("delete_tenant", "fig", now=True, confirm="fig")

        assert self.of(fig)[-1] == ("organization.deletion_refused", 4)

    def test_all_of_it(self, scratch: Any):
        fig = scratch("fig")
        lifecycle.suspend(fig, reason="Moving")
        lifecycle.resume(fig)
        lifecycle.begin_maintenance(fig)
        lifecycle.resume(fig)
        lifecycle.hold(fig)
        lifecycle.release(fig)
        lifecycle.rename(fig, slug="date")
        lifecycle.offboard(fig)
        lifecycle.delete(fig)

        assert [action.removeprefix("organization.") for action, _ in self.of(fig)] == [
            "provisioned", "suspended", "resumed", "maintenance_began", "resumed", "held",
            "released", "renamed", "offboarded", "deletion_began", "deleted",
        ]  # fmt: skip
