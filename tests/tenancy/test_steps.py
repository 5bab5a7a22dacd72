"""An operation's steps can be enumerated, and a process ended at each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from tenancy import context, steps
from tests.fixtures import kills

DDL = connections["ddl"]


@pytest.fixture
def baking() -> Iterator[tuple[str, ...]]:
    yield steps.declare("bake", "flour weighed", "oven hot")
    del steps.STEPS["bake"]


def test_are_named_after_their_operation(baking: tuple[str, ...]) -> None:
    assert baking == ("bake: flour weighed", "bake: oven hot") == steps.STEPS["bake"]


def test_are_told_to_whom_observes(baking: tuple[str, ...]) -> None:
    seen: list[str] = []

    with steps.observed_by(seen.append):
        steps.reached("bake: flour weighed")
    steps.reached("bake: oven hot")

    assert seen == ["bake: flour weighed"]


@pytest.mark.parametrize("step", ["bake: eaten", "boil: eaten", "bake"])
def test_are_declared_first(baking: tuple[str, ...], step: str) -> None:
    with pytest.raises(ValueError, match="is not declared"):
        steps.reached(step)


class TestKilledAt:
    def test_leaves_what_was_committed_before_the_step(
        self, baking: tuple[str, ...], committed: None
    ) -> None:
        def bake() -> None:
            with context.override(context.PLATFORM), DDL.cursor() as cursor:
                cursor.execute("CREATE SCHEMA flour")
                steps.reached("bake: flour weighed")
                cursor.execute("DROP SCHEMA flour")

        kills.killed_at("bake: flour weighed", bake)

        with context.override(context.PLATFORM), DDL.cursor() as cursor:
            cursor.execute("DROP SCHEMA flour")

    def test_fails_when_the_step_is_not_reached(
        self, baking: tuple[str, ...], committed: None
    ) -> None:
        with pytest.raises(AssertionError, match="without reaching 'bake: oven hot'"):
            kills.killed_at("bake: oven hot", lambda: steps.reached("bake: flour weighed"))
