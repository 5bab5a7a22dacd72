"""An operator goes into a clinic in maintenance; nobody else does, and nobody is signed in."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.db import connections
from django.utils import timezone

from apps.accounts.models import User
from tenancy import context, lifecycle, maintenance
from tenancy.models import Organization, State
from tenancy.testing import TenantClient

ADMIN = "/admin/tenancy/organization/{}/enter/"


@pytest.fixture
def operator(on_platform: None) -> User:
    return User.objects.create_superuser("operator", password="clinicx")


@pytest.fixture
def desk(operator: User, platform_client: TenantClient) -> TenantClient:
    """The operator's browser at the base domain."""
    platform_client.force_login(operator)
    return platform_client


@pytest.fixture
def closed(on_platform: None, elm: Organization) -> Organization:
    """Elm, in maintenance."""
    lifecycle.begin_maintenance(elm)
    return Organization.objects.get(pk=elm.pk)


@pytest.fixture
def door(closed: Organization) -> TenantClient:
    """A browser at the clinic's host."""
    return TenantClient(closed)


def token_for(closed: Organization, operator: User) -> str:
    with context.override(context.PLATFORM, in_transaction=True):
        return maintenance.issue_token(closed, operator)


def enter(client: TenantClient, token: str, **headers: Any) -> Any:
    return client.post(maintenance.PATH, {maintenance.FIELD: token}, **headers)


def is_shown(client: TenantClient) -> bool:
    return client.get("/sign-in/").status_code == 200


class TestTheWayIn:
    def test_leads_from_the_admin_to_the_clinic(
        self, desk: TenantClient, door: TenantClient, closed: Organization
    ) -> None:
        change = desk.get(f"/admin/tenancy/organization/{closed.pk}/change/")
        assert ADMIN.format(closed.pk) in change.content.decode()

        page = desk.post(ADMIN.format(closed.pk))
        html = page.content.decode()
        action = re.search(r'<form action="([^"]+maintenance-entry/)"', html)
        token = re.search(r'name="token" value="([^"]+)"', html)
        assert action is not None
        assert token is not None
        assert action[1] == "http://elm.localhost/maintenance-entry/"
        assert "http://elm.localhost" in page["Content-Security-Policy"].split("form-action")[1]
        assert "no-store" in page["Cache-Control"]

        entered = enter(door, token[1])
        assert (entered.status_code, entered["Location"]) == (303, "/")
        assert entered["Cache-Control"] == "no-store"
        assert is_shown(door)

    def test_goes_to_the_port_that_was_asked(
        self, desk: TenantClient, closed: Organization
    ) -> None:
        page = desk.post(ADMIN.format(closed.pk), HTTP_HOST="localhost:8000")

        assert "http://elm.localhost:8000/maintenance-entry/" in page.content.decode()

    def test_signs_nobody_in(
        self, door: TenantClient, closed: Organization, operator: User
    ) -> None:
        enter(door, token_for(closed, operator))

        assert door.get("/patients/").status_code == 302
        assert door.get("/api/v1/patients/").status_code in (401, 403)

    def test_is_for_this_browser_alone(
        self, door: TenantClient, closed: Organization, operator: User
    ) -> None:
        enter(door, token_for(closed, operator))

        assert not is_shown(TenantClient(closed))

    def test_gives_a_cookie_of_this_host_alone(
        self, door: TenantClient, closed: Organization, operator: User
    ) -> None:
        response = enter(door, token_for(closed, operator), secure=True)

        cookie = response.cookies["__Host-maintenance"]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert (cookie["domain"], cookie["path"], cookie["samesite"]) == ("", "/", "Lax")

    def test_writes_no_token_anywhere(
        self,
        desk: TenantClient,
        door: TenantClient,
        closed: Organization,
        operator: User,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        token = token_for(closed, operator)

        enter(door, token)
        enter(door, f"{token}x")

        assert token not in caplog.text

    def test_is_recorded(
        self, desk: TenantClient, door: TenantClient, closed: Organization
    ) -> None:
        html = desk.post(ADMIN.format(closed.pk)).content.decode()
        token = re.search(r'name="token" value="([^"]+)"', html)
        assert token is not None
        enter(door, token[1])

        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT action, actor, tenant FROM audit.event"
                " WHERE action LIKE 'organization.maintenance_ent%' ORDER BY action"
            )
            rows = cursor.fetchall()
        assert [action for action, _, _ in rows] == [
            "organization.maintenance_entered",
            "organization.maintenance_entry_issued",
        ]
        assert all(actor.endswith(": operator") for _, actor, _ in rows)
        assert {str(tenant) for _, _, tenant in rows} == {str(closed.pk)}


class TestTheAdmin:
    def test_gives_none_outside_a_maintenance(self, desk: TenantClient, oak: Organization) -> None:
        assert (
            ADMIN.format(oak.pk)
            not in desk.get(f"/admin/tenancy/organization/{oak.pk}/change/").content.decode()
        )
        assert desk.post(ADMIN.format(oak.pk)).status_code == 302

    def test_gives_none_for_the_asking(self, desk: TenantClient, closed: Organization) -> None:
        assert desk.get(ADMIN.format(closed.pk)).status_code == 405

    def test_gives_none_to_who_may_not(
        self, platform_client: TenantClient, closed: Organization, on_platform: None
    ) -> None:
        platform_client.force_login(User.objects.create_user("clerk", is_staff=True))

        assert platform_client.post(ADMIN.format(closed.pk)).status_code == 403

    def test_gives_none_to_strangers(
        self, platform_client: TenantClient, closed: Organization
    ) -> None:
        assert platform_client.post(ADMIN.format(closed.pk)).status_code == 302


class TestAttacks:
    """Each of them gets the page that everybody gets."""

    @pytest.fixture
    def token(self, closed: Organization, operator: User) -> str:
        return token_for(closed, operator)

    def refused(self, client: TenantClient, token: str) -> bool:
        response = enter(client, token)
        return response.status_code == 503 and not response.cookies and not is_shown(client)

    def test_another_clinics_token(self, token: str, oak: Organization, on_platform: None) -> None:
        lifecycle.begin_maintenance(oak)

        assert self.refused(TenantClient(oak), token)

    def test_another_clinics_cookie(
        self, token: str, door: TenantClient, oak: Organization, on_platform: None
    ) -> None:
        enter(door, token)
        lifecycle.begin_maintenance(oak)
        other = TenantClient(oak)
        other.cookies = door.cookies

        assert is_shown(door)
        assert not is_shown(other)

    @pytest.mark.parametrize("forged", ["", "x", "a:b:c", "\0", "é", "x" * 5000])
    def test_what_is_no_token(self, door: TenantClient, forged: str) -> None:
        assert self.refused(door, forged)

    def test_a_token_with_another_key(
        self, door: TenantClient, closed: Organization, operator: User, settings: Any
    ) -> None:
        facts = maintenance._facts(closed, operator)
        forged = signing.dumps(facts, key="guessed", salt=maintenance.TOKEN_SALT)

        assert self.refused(door, forged)

    def test_a_token_of_another_kind(
        self, door: TenantClient, closed: Organization, operator: User
    ) -> None:
        facts = maintenance._facts(closed, operator)

        assert self.refused(door, signing.dumps(facts, salt="sessions"))
        assert self.refused(door, signing.dumps(facts, salt=maintenance.COOKIE_SALT))

    def test_a_token_as_a_cookie(self, door: TenantClient, token: str) -> None:
        door.cookies["maintenance"] = token

        assert not is_shown(door)

    def test_an_old_token(
        self, door: TenantClient, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(maintenance, "TOKEN_LIFETIME", timedelta(seconds=-1))

        assert self.refused(door, token)

    def test_an_old_cookie(
        self, door: TenantClient, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        enter(door, token)
        monkeypatch.setattr(maintenance, "COOKIE_LIFETIME", timedelta(seconds=-1))

        assert not is_shown(door)

    @pytest.mark.parametrize("method", ["get", "put", "head"])
    def test_a_token_in_the_address(self, door: TenantClient, token: str, method: str) -> None:
        response = getattr(door, method)(f"{maintenance.PATH}?token={token}")

        assert response.status_code == 503
        assert not response.cookies

    @pytest.mark.parametrize("state", [State.SUSPENDED, State.OFFBOARDING, State.DELETING])
    def test_a_clinic_that_is_closed_otherwise(
        self,
        door: TenantClient,
        token: str,
        closed: Organization,
        state: State,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        enter(door, token)
        assert is_shown(door)

        since = closed.state_changed_at
        row = Organization.objects.get(pk=closed.pk)
        row.state, row.state_changed_at = state, since
        with django_capture_on_commit_callbacks(execute=True):
            row.save()

        assert not is_shown(door)
        assert enter(door, token).status_code in (503, 410)

    def test_the_next_maintenance(
        self,
        door: TenantClient,
        token: str,
        closed: Organization,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        enter(door, token)
        with django_capture_on_commit_callbacks(execute=True):
            Organization.objects.filter(pk=closed.pk).update(state_changed_at=timezone.now())
            Organization.objects.get(pk=closed.pk).save()

        assert not is_shown(door)

    @pytest.mark.parametrize(
        "fate",
        [{"is_active": False}, {"is_staff": False}, {"is_superuser": False}],
        ids=str,
    )
    def test_an_operator_who_may_no_more(
        self, door: TenantClient, token: str, operator: User, fate: dict[str, bool]
    ) -> None:
        enter(door, token)
        assert is_shown(door)

        User.objects.filter(pk=operator.pk).update(**fate)

        assert not is_shown(door)
        assert self.refused(TenantClient(door.organization), token)

    def test_an_operator_who_is_gone(self, door: TenantClient, token: str, operator: User) -> None:
        enter(door, token)
        operator.delete()

        assert not is_shown(door)

    def test_the_clinics_own_user_with_the_operators_number(
        self, door: TenantClient, token: str, closed: Organization, operator: User
    ) -> None:
        """Whose user it is, is decided on the platform."""
        enter(door, token)
        number = operator.pk
        operator.delete()
        with context.override(closed.as_active(), in_transaction=True):
            User.objects.create_superuser("kim", password="clinicx", pk=number)

        assert not is_shown(door)
