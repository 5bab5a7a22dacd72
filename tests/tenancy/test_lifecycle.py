"""Which way a tenant goes: every edge, twice, at once, and the ones that there are not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenancy import context, lifecycle, tenants
from tenancy.context import PLATFORM
from tenancy.errors import InvalidTransition, TenantNotFound
from tenancy.lifecycle import edges
from tenancy.models import Organization, State

# How each edge is asked for.
VERBS: dict[edges.Edge, Callable[[Organization], object]] = {
    edges.SUSPEND: lifecycle.suspend,
    edges.BEGIN_MAINTENANCE: lifecycle.begin_maintenance,
    edges.RESUME: lifecycle.resume,
    edges.OFFBOARD: lifecycle.offboard,
    edges.END_GRACE: lambda elm: edges.go(edges.END_GRACE, elm, actor=None),
    edges.ABANDON: lambda elm: edges.go(edges.ABANDON, elm, actor=None),
    edges.BEGIN_DELETION: lambda elm: edges.go(edges.BEGIN_DELETION, elm, actor=None),
    edges.FINISH_DELETION: lambda elm: edges.go(edges.FINISH_DELETION, elm, actor=None),
}
PAIRS = [(edge, state) for edge in lifecycle.EDGES for state in State]


def in_state(elm: Organization, state: State, **columns: Any) -> Organization:
    Organization.objects.filter(pk=elm.pk).update(state=state, **columns)
    return Organization.objects.get(pk=elm.pk)


class TestEdges:
    @pytest.mark.parametrize(
        ("edge", "state"),
        [(edge, state) for edge, state in PAIRS if state in edge.sources],
        ids=str,
    )
    def test_lead_from_their_sources(
        self, on_platform: None, elm: Organization, edge: edges.Edge, state: State
    ) -> None:
        elm = in_state(elm, state)

        VERBS[edge](elm)

        assert elm.state == Organization.objects.get(pk=elm.pk).state == edge.target
        assert elm.state_changed_at is not None

    @pytest.mark.parametrize("edge", lifecycle.EDGES, ids=str)
    def test_are_taken_once(self, on_platform: None, elm: Organization, edge: edges.Edge) -> None:
        elm = in_state(elm, edge.sources[0])
        VERBS[edge](elm)
        first = Organization.objects.filter(pk=elm.pk).values().get()

        VERBS[edge](elm)

        assert Organization.objects.filter(pk=elm.pk).values().get() == first

    @pytest.mark.parametrize(
        ("edge", "state"),
        [
            (edge, state)
            for edge, state in PAIRS
            if state not in edge.sources and state != edge.target
        ],
        ids=str,
    )
    def test_are_refused_from_elsewhere(
        self, on_platform: None, elm: Organization, edge: edges.Edge, state: State
    ) -> None:
        """It says where the tenant is, and either what to type or that there is no way back."""
        elm = in_state(elm, state)

        with pytest.raises(InvalidTransition, match=f"'elm' is {state}.*(manage.py|come back)"):
            VERBS[edge](elm)

        assert Organization.objects.get(pk=elm.pk).state == state

    @pytest.mark.parametrize("edge", lifecycle.EDGES, ids=str)
    def test_are_refused_under_a_hold_that_forbids_them(
        self, on_platform: None, elm: Organization, edge: edges.Edge
    ) -> None:
        elm = in_state(elm, edge.sources[0], is_on_hold=True, hold_reason="A lawsuit.")

        if edge.is_forbidden_by_hold:
            with pytest.raises(InvalidTransition, match=r"A lawsuit\.\).*release_tenant elm"):
                VERBS[edge](elm)
        else:
            VERBS[edge](elm)

        expected = edge.sources[0] if edge.is_forbidden_by_hold else edge.target
        assert Organization.objects.get(pk=elm.pk).state == expected

    def test_that_delete_are_the_ones_that_a_hold_forbids(self) -> None:
        deleting = {State.OFFBOARDING, State.DELETING, State.DELETED}
        for edge in lifecycle.EDGES:
            assert edge.is_forbidden_by_hold == (edge.target in deleting)

    def test_know_when_the_row_is_gone(self, on_platform: None, elm: Organization) -> None:
        ghost = Organization(slug="ghost")

        with pytest.raises(TenantNotFound, match="ghost"):
            lifecycle.suspend(ghost)

    def test_are_taken_by_one_of_two_at_once(self, scratch: Any) -> None:
        birch = scratch("birch")
        taken: list[bool] = []
        start = threading.Barrier(2)

        def go() -> None:
            start.wait()
            taken.append(edges.go(edges.SUSPEND, birch, actor=None))
            connections.close_all()

        threads = [threading.Thread(target=go) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(taken) == [False, True]

    def test_decide_by_the_rows_that_were_changed(
        self, on_platform: None, elm: Organization
    ) -> None:
        """Whoever changes the row without the lock, between our read and our write, wins."""
        with CaptureQueriesContext(connections["default"]) as captured:
            lifecycle.suspend(elm)

        statements = [query["sql"] for query in captured if "UPDATE" in query["sql"]]
        assert len(statements) == 1
        assert "IN ('active', 'maintenance')" in statements[0]
        in_state(elm, State.ACTIVE)
        elm.refresh_from_db()


class TestTheRecord:
    """What was done is in the audit log with it, and what was refused under a hold too."""

    @pytest.fixture
    def recorded(self, on_platform: None, elm: Organization) -> Callable[[], list[Any]]:
        def ask() -> list[Any]:
            with connections["default"].cursor() as cursor:
                cursor.execute(
                    "SELECT action, actor, outcome FROM audit.event WHERE tenant = %s ORDER BY at",
                    [str(elm.pk)],
                )
                return list(cursor.fetchall())

        return ask

    @pytest.mark.parametrize("edge", lifecycle.EDGES, ids=str)
    def test_is_of_every_edge_that_was_taken(
        self, recorded: Callable[[], list[Any]], elm: Organization, edge: edges.Edge
    ) -> None:
        elm = in_state(elm, edge.sources[0])
        before = recorded()

        VERBS[edge](elm)
        VERBS[edge](elm)

        [(action, _, outcome)] = recorded()[len(before) :]
        assert (action, outcome) == (edge.action, 0)

    def test_says_who(self, recorded: Callable[[], list[Any]], elm: Organization) -> None:
        lifecycle.hold(elm, reason="A lawsuit.", actor="anna")
        lifecycle.hold(elm, reason="A lawsuit.", actor="kim")
        lifecycle.release(elm, actor="kim")

        assert recorded()[-2:] == [
            ("organization.held", "anna", 0),
            ("organization.released", "kim", 0),
        ]

    def test_is_of_what_a_hold_forbade(
        self, recorded: Callable[[], list[Any]], elm: Organization
    ) -> None:
        lifecycle.hold(elm)

        with pytest.raises(InvalidTransition):
            lifecycle.offboard(elm, actor="anna")

        assert recorded()[-1] == ("organization.deletion_refused", "anna", 4)

    def test_goes_with_the_deed(self, recorded: Callable[[], list[Any]], elm: Organization) -> None:
        """What cannot be recorded is not done."""
        before = recorded()
        unspeakable = {"reason": object()}

        with pytest.raises(TypeError, match="JSON"):
            edges.go(edges.SUSPEND, elm, actor=None, details=unspeakable)

        assert recorded() == before
        assert Organization.objects.get(pk=elm.pk).state == State.ACTIVE


class TestSuspend:
    def test_keeps_the_reason(self, on_platform: None, elm: Organization) -> None:
        lifecycle.suspend(elm, reason="The contract ended.")
        assert Organization.objects.get(pk=elm.pk).state_reason == "The contract ended."

        lifecycle.resume(elm)
        assert elm.state_reason == ""

    def test_takes_no_novel(self, on_platform: None, elm: Organization) -> None:
        with pytest.raises(ValidationError, match="at most 200"):
            lifecycle.suspend(elm, reason="x" * 201)

    def test_is_known_at_once(self, scratch: Any, elm: Organization) -> None:
        birch = scratch("birch", domain="birch.example")
        for by, value in [("slug", "birch"), ("domain", "birch.example"), ("pk", birch.pk)]:
            assert tenants.look_up(by, value).state == State.ACTIVE

        lifecycle.suspend(birch)

        for by, value in [("slug", "birch"), ("domain", "birch.example"), ("pk", birch.pk)]:
            assert tenants.look_up(by, value).state == State.SUSPENDED


class TestOffboard:
    def test_gives_a_grace(self, on_platform: None, elm: Organization, settings: Any) -> None:
        settings.TENANCY_GRACE = timedelta(days=7)

        until = lifecycle.offboard(elm)

        assert until == elm.delete_after == Organization.objects.get(pk=elm.pk).delete_after
        assert abs(until - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)

    def test_does_not_begin_anew(self, on_platform: None, elm: Organization, settings: Any) -> None:
        until = lifecycle.offboard(elm)
        settings.TENANCY_GRACE = timedelta(days=7)

        assert lifecycle.offboard(elm) == until

    def test_is_undone(self, on_platform: None, elm: Organization) -> None:
        lifecycle.offboard(elm)

        lifecycle.resume(elm)

        assert (elm.state, elm.delete_after) == (State.ACTIVE, None)


class TestHold:
    def test_comes_and_goes(self, on_platform: None, elm: Organization) -> None:
        lifecycle.hold(elm, reason="A lawsuit.")
        lifecycle.hold(elm, reason="A lawsuit.")
        assert (elm.is_on_hold, elm.hold_reason, elm.state) == (True, "A lawsuit.", State.ACTIVE)

        lifecycle.release(elm)
        lifecycle.release(elm)
        assert (elm.is_on_hold, elm.hold_reason) == (False, "")

    def test_holds_nothing_that_is_gone(self, on_platform: None, elm: Organization) -> None:
        elm = in_state(elm, State.DELETED)

        with pytest.raises(InvalidTransition, match="nothing to hold"):
            lifecycle.hold(elm)

    def test_works_for_whoever_is_active(self, in_elm: Organization) -> None:
        with context.override(PLATFORM, in_transaction=True):
            lifecycle.hold(in_elm)
            assert Organization.objects.get(pk=in_elm.pk).is_on_hold
            lifecycle.release(in_elm)
