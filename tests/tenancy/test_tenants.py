"""Who is this tenant, and may it be worked for: found, remembered, suspended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenancy import lifecycle, tenants
from tenancy.errors import TenantNotFound, TenantUnavailable
from tenancy.models import Organization
from tenancy.testing import TenantClient

Scratch = Callable[[str], Organization]


class TestFind:
    def test_returns_who_is_to_be_activated(self, on_platform: None, elm: Organization) -> None:
        assert tenants.find(elm.pk) == tenants.find(str(elm.pk)) == elm.as_active()

    @pytest.mark.parametrize("identity", ["", "elm", "\0", uuid4(), None, 7])
    def test_refuses_what_is_nobodys(self, on_platform: None, identity: object) -> None:
        with pytest.raises(TenantNotFound):
            tenants.find(identity)

    def test_asks_nobody_for_a_moment(self, on_platform: None, elm: Organization) -> None:
        tenants.find(elm.pk)

        with CaptureQueriesContext(connection) as captured:
            tenants.find(elm.pk)

        assert len(captured) == 0

    def test_works_with_nobody_active(self, committed: None, elm: Organization) -> None:
        """A worker that has not yet begun for anybody asks."""
        assert tenants.find(elm.pk) == elm.as_active()

    def test_asks_again_when_another_release_remembered_other_columns(
        self, on_platform: None, elm: Organization
    ) -> None:
        key = f"tenant:slug:{elm.slug}"
        tenants.cache.set(key, {"id": elm.pk, "colour": "green"})

        assert tenants.look_up("slug", elm.slug) == elm


class TestSuspended:
    @pytest.fixture
    def ash(self, scratch: Scratch) -> Organization:
        return scratch("ash")

    def test_is_not_found_for_work(self, ash: Organization) -> None:
        tenants.find(ash.pk)

        lifecycle.suspend(ash, reason="The contract ended.")

        with pytest.raises(TenantUnavailable, match="resume_tenant ash") as raised:
            tenants.find(ash.pk)
        assert raised.value.reason == "The contract ended."

    def test_is_found_again_when_resumed(self, ash: Organization) -> None:
        lifecycle.suspend(ash)
        lifecycle.resume(ash)

        assert tenants.find(ash.pk) == ash.as_active()

    def test_answers_503_and_says_why(self, ash: Organization) -> None:
        client = TenantClient(ash)
        assert client.get("/sign-in/").status_code == 200

        call_command("suspend_tenant", "ash", reason="The contract ended.")
        page, problem = client.get("/sign-in/"), client.get("/api/v1/patients/")

        assert (page.status_code, problem.status_code) == (503, 503)
        assert page["Retry-After"] == problem["Retry-After"] == "3600"
        assert b"The contract ended." in page.content
        assert problem["Content-Type"] == "application/problem+json"

        call_command("resume_tenant", "ash")
        assert client.get("/sign-in/").status_code == 200

    def test_its_reason_is_one_sentence(self, ash: Organization, capsys: Any) -> None:
        with pytest.raises(CommandError, match="at most 200"):
            call_command("suspend_tenant", "ash", reason="x" * 201)

        assert tenants.find(ash.pk) == ash.as_active()

    @pytest.mark.parametrize("command", ["suspend_tenant", "resume_tenant"])
    def test_nobody_can_be_suspended(self, committed: None, command: str) -> None:
        with pytest.raises(CommandError, match="No organization has the slug 'ghost'"):
            call_command(command, "ghost")
