"""The page about health names exactly the fields, checks, states and reasons that there are."""

from __future__ import annotations

import re
from pathlib import Path

from django.test import Client

from tenancy.health import facts, middleware, monitor
from tenancy.health.facts import CHECKS, VITAL, Check, Reason, State

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "health.md").read_text()


def rows(head: str) -> dict[str, str]:
    """Return the second column by the first, of the table whose head begins so."""
    table = PAGE.split(f"| {head} |", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `(.+?)` \| (.+?) \|", table, re.MULTILINE))


class TestHealthPage:
    def test_names_each_field_and_no_other(self) -> None:
        assert sorted(rows("field")) == sorted(facts.collect().as_facts())

    def test_names_each_check_and_no_other(self) -> None:
        assert sorted(rows("check")) == sorted(CHECKS)

    def test_names_each_reason_and_no_other(self) -> None:
        assert sorted(rows("reason")) == sorted(Reason)

    def test_names_each_state(self) -> None:
        assert [state for state in State if f"`{state}`" not in PAGE] == []

    def test_names_what_a_check_says_beside_its_state(self) -> None:
        named = {"state", "milliseconds", "reason", "missing", "behind", "asked"}
        assert [name for name in named if f"`{name}`" not in PAGE] == []

    def test_says_what_is_a_reason_for_503(self) -> None:
        told = rows("field")["failed"]
        assert re.findall(r"`(\w+)`", told) == ["draining", *VITAL]

    def test_says_the_numbers(self) -> None:
        assert f"Retry-After: {middleware.RETRY_AFTER_SECONDS}`" in PAGE
        assert f"once in {monitor.FLEET_FRESH_SECONDS:.0f} seconds" in PAGE
        assert f"longer than {monitor.PATIENCE_SECONDS} seconds" in PAGE
        assert f"after {monitor.LATE_SECONDS:.0f} seconds where it is late" in PAGE


class TestAnswer:
    def test_has_these_fields(self, probe: Client) -> None:
        told = probe.get("/health/ready").json()

        assert sorted(told) == sorted(rows("field"))
        assert sorted(told["checks"]) == sorted(CHECKS)
        fields = {name for check in told["checks"].values() for name in check}
        assert fields == {"state", "milliseconds", "missing", "behind", "asked"}

    def test_has_a_reason_where_one_is_not_up(self) -> None:
        check = Check("redis", State.DEGRADED, 1.234, Reason.AWAY)

        assert check.as_facts() == {
            "state": "degraded",
            "milliseconds": 1.2,
            "reason": "nothing answers at its address",
        }
