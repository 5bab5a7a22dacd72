"""What /health/ready says of clinics that are broken, and when that is everybody's fault."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from tenancy import context, schemas
from tenancy.backend.base import DatabaseWrapper
from tenancy.context import ActiveTenant, Target
from tenancy.health import questions
from tenancy.health.monitor import Monitor
from tenancy.models import Organization
from tests.tenancy.test_health import make_old, ready, states


@pytest.fixture
def drop(scratch: Callable[[str], Organization]) -> Callable[[str], Organization]:
    """A function that makes a clinic, in service, whose schema is gone."""

    def drop(slug: str) -> Organization:
        clinic = scratch(slug)
        with context.override(context.PLATFORM):
            schemas.drop_schema(connections["ddl"], clinic.schema_name)
        return clinic

    return drop


class TestOneClinic:
    def test_that_is_broken_keeps_the_others_in_service(
        self, drop: Callable[[str], Organization], probe: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It comes first, and the next one answers."""
        drop("aaa")

        status, told = ready(probe)

        assert (status, told["state"]) == (200, "degraded")
        assert states(told)["schema_switch"] == states(told)["tenant_schemas"] == "degraded"
        assert told["checks"]["schema_switch"]["reason"] == "it failed for some clinics"
        assert told["checks"]["tenant_schemas"]["missing"] == 1
        assert "tenant_aaa" in caplog.text

    def test_that_is_behind_is_counted(
        self, scratch: Callable[[str], Organization], probe: Client
    ) -> None:
        set_back(scratch("aaa"))

        status, told = ready(probe)

        assert (status, told["state"]) == (200, "degraded")
        assert told["checks"]["migrations"]["behind"] == 1
        assert told["checks"]["migrations"]["asked"] == 1 + told["schemas"]

    def test_that_is_behind_is_found_without_the_owners_address(
        self,
        scratch: Callable[[str], Organization],
        probe: Client,
        monitor: Monitor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """By the clinic's own role, when it is the clinic's turn."""
        set_back(scratch("aaa"))
        monkeypatch.delitem(connections.settings, "ddl")

        for _ in range(3):
            make_old(monitor)
            _, told = ready(probe)

        # Three clinics were visited, of which two before the last count; and public.
        assert told["checks"]["migrations"]["behind"] == 1
        assert 3 <= told["checks"]["migrations"]["asked"] <= 4

    def test_that_went_away_is_forgotten(self) -> None:
        visits = questions.Visits()
        visits.remember("tenant_a", frozenset({("app", "0001")}))
        visits.remember("tenant_b", frozenset({("app", "0001")}))

        visits.forget_all_but(["tenant_b"])

        assert list(visits.recorded) == ["tenant_b"]

    def test_that_is_closed_is_not_visited(
        self, drop: Callable[[str], Organization], probe: Client
    ) -> None:
        clinic = drop("aaa")
        with context.override(context.PLATFORM):
            Organization.objects.filter(pk=clinic.pk).update(state="suspended")

        assert states(ready(probe)[1])["schema_switch"] == "up"


class TestEveryClinic:
    def test_that_fails_is_a_reason_to_leave(
        self, drop: Callable[[str], Organization], probe: Client, monitor: Monitor
    ) -> None:
        for slug in ("aaa", "aab", "aac"):
            drop(slug)

        status, told = ready(probe)

        assert status == 503
        assert told["failed"] == ["schema_switch"]
        assert told["checks"]["schema_switch"]["reason"] == (
            "it failed for every clinic that was tried"
        )
        make_old(monitor)
        assert ready(probe)[0] == 200, "the next in turn"


class TestElsewhere:
    def test_is_a_reason_to_leave(
        self,
        probe: Client,
        elm: Organization,
        oak: Organization,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A binding that says Elm and sends Oak's: one wrong clinic is one too many."""
        right = DatabaseWrapper._make_binding

        def wrong(wrapper: DatabaseWrapper, target: Target) -> Any:
            binding = right(wrapper, target)
            if isinstance(target, ActiveTenant) and target.schema == elm.schema_name:
                oaks = right(wrapper, context.for_schema(oak.schema_name))
                object.__setattr__(binding, "sql", oaks.sql)
            return binding

        monkeypatch.setattr(DatabaseWrapper, "_make_binding", wrong)
        with caplog.at_level(logging.CRITICAL):
            status, told = ready(probe)

        assert status == 503
        assert told["failed"] == ["schema_switch"]
        assert "another schema or role" in told["checks"]["schema_switch"]["reason"]
        assert "tenant_elm" in caplog.text


class TestPublicSchema:
    def test_that_cannot_be_read_is_a_reason_to_leave(
        self, probe: Client, elm: Organization
    ) -> None:
        table = Organization._meta.db_table
        platform = connections["default"].binding_for(context.PLATFORM).role  # type: ignore[attr-defined]
        with context.override(context.PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute(f"REVOKE SELECT ON {table} FROM {platform}")
            try:
                status, told = ready(probe)
            finally:
                cursor.execute(f"GRANT SELECT ON {table} TO {platform}")

        assert status == 503
        assert told["failed"] == ["metadata"]
        assert states(told)["postgresql"] == "up"


def set_back(clinic: Organization) -> None:
    """Let a clinic's schema lack its last migration of patients."""
    with (
        context.override(clinic.as_active()),
        connections["ddl"].cursor() as cursor,
    ):
        cursor.execute("DELETE FROM django_migrations WHERE app = 'patients'")
