"""What whoever deploys is told of pods, poolers and the server, before there are too many."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage

from tenancy.checks import capacity

PLAN: dict[str, Any] = {
    "pods": 5,
    "pods_at_most": 50,
    "workers": 2,
    "pool": 20,
    "mode": "transaction",
    "poolers": 1,
    "pool_size": 25,
    "reserve": 5,
    "max_client_conn": 1000,
    "max_connections": 500,
}


@pytest.fixture
def plan(settings: Any) -> Any:
    """A function that sets TENANCY_CONNECTIONS, with some numbers changed."""

    def plan(**changes: Any) -> None:
        settings.TENANCY_CONNECTIONS = {**PLAN, **changes}

    return plan


def found() -> list[CheckMessage]:
    return checks.run_checks(tags=["capacity"], include_deployment_checks=True)


def asked() -> list[CheckMessage]:
    return capacity.check_server(None, databases=["default", "ddl"])


class TestPlan:
    def test_that_holds_is_fine(self, plan: Any) -> None:
        plan()

        assert found() == []

    def test_is_not_compared_where_nothing_is_known(self, settings: Any) -> None:
        settings.TENANCY_CONNECTIONS = {}

        assert found() == asked() == []

    def test_of_clinicx_holds(self) -> None:
        assert found() == []

    def test_is_no_reason_not_to_start(self, plan: Any) -> None:
        """A pod asks for the checks of other tags: it can do nothing about these."""
        plan(pods_at_most=51)

        assert [each.id for each in checks.run_checks() if "08" in (each.id or "")] == []

    def test_w085_too_many_clients(self, plan: Any) -> None:
        plan(pods_at_most=51)

        (warning,) = found()

        assert warning.id == "tenancy.W085"
        assert warning.msg == "51 pods need 1,020 of max_client_conn, and there are 1,000."
        assert "manage.py connection_plan" in (warning.hint or "")

    def test_w085_sessions_that_stay(self, plan: Any) -> None:
        plan(mode="session")

        assert [each.id for each in found()] == ["tenancy.W085"]

    def test_w085_not_with_one_pooler_away(self, plan: Any) -> None:
        plan(poolers=2, pods_at_most=60)

        assert found() == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [({"podz": 3}, "podz"), ({"mode": "statement"}, "statement"), ({"pods": "5"}, "'str'")],
    )
    def test_w085_what_cannot_be_computed_with(self, plan: Any, changes: Any, words: str) -> None:
        plan(**changes)

        (warning,) = found()

        assert warning.id == "tenancy.W085"
        assert words in warning.msg
        assert asked() == []

    def test_w086_connections_that_no_worker_uses(self, plan: Any) -> None:
        plan(pool=15)

        (warning,) = found()

        assert warning.id == "tenancy.W086"
        assert "1 of them are never used" in warning.msg
        assert warning.hint == "Set DB_POOL_SIZE=14, or WEB_WORKERS to a number that divides it."


class TestServer:
    def test_that_takes_them_is_fine(self, plan: Any, committed: None) -> None:
        plan(direct=5)

        assert asked() == []

    def test_e087_one_that_takes_fewer(self, plan: Any, committed: None) -> None:
        """Whatever it was said to take."""
        plan(direct=10_000, max_connections=100_000)

        (error,) = asked()

        assert error.id == "tenancy.E087"
        assert error.msg.startswith("At 50 pods 10,030 connections are opened to the server")
        assert "max_connections" in (error.hint or "")
