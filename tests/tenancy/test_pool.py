"""Schemas that wait for a tenant: as many as were asked for, each taken once, none stale."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from tenancy import audit, catalogue, context, pool, provisioning, schemas
from tenancy.context import PLATFORM
from tenancy.models import Organization
from tenancy.references import WarmSchema
from tenancy.rollout import reference, rows
from tests.fixtures import kills


@pytest.fixture(autouse=True)
def _empty(committed: None, settings: Any) -> Iterator[None]:
    yield
    settings.TENANCY_WARM_POOL = 0
    pool.discard_stale()


@pytest.fixture
def fill(settings: Any) -> Any:
    """A function that makes so many schemas wait."""

    def fill(count: int) -> int:
        settings.TENANCY_WARM_POOL = count
        return pool.fill()

    return fill


def list_waiting() -> list[str]:
    with context.override(PLATFORM):
        return list(WarmSchema.objects.values_list("schema_name", flat=True))


def list_there() -> list[tuple[str, bool]]:
    """Return the schemas that are there and wait, or did, each with whether it has its role."""
    ddl = connections["ddl"]
    with context.override(PLATFORM), ddl.cursor() as cursor:
        cursor.execute(
            "SELECT nspname, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s || nspname)"
            " FROM pg_catalog.pg_namespace WHERE nspname ~ '^warm_' ORDER BY 1",
            [f"{schemas.role_prefix(ddl)}_"],
        )
        return cursor.fetchall()


def list_roles() -> list[str]:
    with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %s)",
            [f"{schemas.role_prefix(connections['ddl'])}_warm_"],
        )
        return [name for (name,) in cursor.fetchall()]


def contents(organization: Organization) -> tuple[str, rows.Rows]:
    ddl, schema = connections["ddl"], organization.schema_name
    with context.override(PLATFORM):
        return catalogue.fingerprints(ddl, [schema])[schema], rows.read(ddl, schema)


def in_threads(count: int, work: Any) -> None:
    def run(number: int) -> None:
        try:
            work(number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestFill:
    def test_makes_as_many_as_are_missing(self, fill: Any) -> None:
        assert fill(2) == 2
        assert fill(3) == 1
        assert fill(3) == 0
        assert [name for name, _ in list_there()] == sorted(list_waiting())
        assert all(has_role for _, has_role in list_there())

    def test_makes_none_unless_asked_for(self, fill: Any) -> None:
        assert fill(0) == 0

    def test_makes_no_more_when_two_fill_at_once(self, fill: Any, settings: Any) -> None:
        settings.TENANCY_WARM_POOL = 2

        in_threads(3, lambda number: pool.fill())

        assert len(list_there()) == 2

    def test_makes_none_where_schemas_differ(self, settings: Any, monkeypatch: Any) -> None:
        settings.TENANCY_WARM_POOL = 1
        found = reference.current()
        monkeypatch.setattr(found, "fault", "Said by a test.")

        assert pool.fill() == 0

    @pytest.mark.parametrize("step", pool.FILL)
    def test_may_be_killed_and_run_again(self, fill: Any, step: str) -> None:
        kills.killed_at(step, lambda: fill(1))

        assert [name for name, _ in list_there()] == list_waiting()
        assert len(list_waiting()) == (step == pool.FILL[-1])
        fill(1)
        assert len(list_there()) == 1


class TestClaim:
    def test_gives_a_sign_up_one_that_waits(self, fill: Any, scratch: Any) -> None:
        fresh = scratch("cedar")
        fill(1)
        reference.current()

        with CaptureQueriesContext(connections["ddl"]) as captured:
            birch = scratch("birch", name="Birch Clinic")

        assert not any("CREATE TABLE" in query["sql"] for query in captured)
        assert (list_waiting(), list_there(), list_roles()) == ([], [], [])
        assert contents(birch) == contents(fresh)

    def test_gives_it_the_rights_of_the_role(self, fill: Any, scratch: Any) -> None:
        fill(1)
        birch = scratch("birch")

        with context.override(birch.as_active()), connections["default"].cursor() as cursor:
            cursor.execute(
                "INSERT INTO auth_group (name) VALUES ('interns') RETURNING current_user"
            )
            assert cursor.fetchone()[0].endswith("_tenant_birch")

    def test_says_whose_the_role_is(self, fill: Any, scratch: Any) -> None:
        """Without that the audit log takes nothing of it."""
        fill(1)
        birch = scratch("birch")

        with context.override(birch.as_active()):
            audit.record("test.claimed")

    def test_waits_for_no_other_sign_up(self, fill: Any) -> None:
        fill(2)
        claimed, asked = threading.Event(), threading.Event()

        def claim(schema: str) -> bool:
            return pool.claim(reference.current().key, schema=schema, tenant="of the test")

        def hold(number: int) -> None:
            with context.override(PLATFORM), transaction.atomic(using="ddl"):
                claim("tenant_birch")
                claimed.set()
                asked.wait(timeout=60)
                transaction.set_rollback(True, using="ddl")

        def ask() -> bool:
            with context.override(PLATFORM), transaction.atomic(using="ddl"):
                with connections["ddl"].cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '5s'")
                is_claimed = claim("tenant_cedar")
                transaction.set_rollback(True, using="ddl")
                return is_claimed

        holder = threading.Thread(target=in_threads, args=[1, hold])
        holder.start()
        try:
            assert claimed.wait(timeout=60)
            assert ask()
        finally:
            asked.set()
            holder.join()
        assert len(list_there()) == 2

    def test_gives_two_sign_ups_two(self, fill: Any, scratch: Any) -> None:
        fill(2)

        in_threads(4, lambda number: scratch(f"birch-{number}"))

        assert list_there() == []
        with context.override(PLATFORM):
            made = Organization.objects.filter(slug__startswith="birch-")
            names = list(made.values_list("schema_name", flat=True))
            there = [schemas.exists(connections["ddl"], name) for name in names]
        assert there == [True] * 4

    def test_gives_back_what_was_not_committed(self, fill: Any, scratch: Any) -> None:
        fill(1)
        step = provisioning.PROVISION[-2]
        kills.killed_at(step, lambda: provisioning.provision(slug="birch", name="Birch"))

        assert [name for name, _ in list_there()] == list_waiting() != []
        scratch("birch")
        assert list_there() == []

    def test_passes_over_one_that_somebody_dropped(self, fill: Any, scratch: Any) -> None:
        fill(1)
        (name,) = list_waiting()
        with context.override(PLATFORM):
            schemas.drop(connections["ddl"], name)

        birch = scratch("birch")

        assert contents(birch) == contents(scratch("cedar"))
        assert pool.discard_stale() == 1
        assert list_waiting() == []


class TestDiscardStale:
    def test_drops_those_of_another_release(self, fill: Any) -> None:
        fill(2)
        kept, stale = list_waiting()
        with context.override(PLATFORM):
            WarmSchema.objects.filter(schema_name=stale).update(reference="of yesterday")

        assert pool.discard_stale() == 1
        assert list_there() == [(kept, True)]
        assert len(list_roles()) == 1

    def test_gives_none_of_another_release(self, fill: Any, scratch: Any) -> None:
        fill(1)
        with context.override(PLATFORM):
            WarmSchema.objects.update(reference="of yesterday")

        scratch("birch")

        assert len(list_there()) == 1

    def test_drops_what_is_too_much(self, fill: Any, settings: Any) -> None:
        fill(3)
        settings.TENANCY_WARM_POOL = 1

        assert pool.discard_stale() == 2
        assert len(list_there()) == 1

    @pytest.mark.parametrize("step", pool.DISCARD)
    def test_may_be_killed_and_run_again(self, fill: Any, settings: Any, step: str) -> None:
        fill(1)
        settings.TENANCY_WARM_POOL = 0
        kills.killed_at(step, pool.discard_stale)

        assert [name for name, _ in list_there()] == list_waiting()
        pool.discard_stale()
        assert (list_there(), list_roles()) == ([], [])
