"""
Whatever is nested in whatever: does each statement run where a simple model says?

Hypothesis draws programs out of override, atomic, errors, threads and event loops, and
runs them beside a model of a page. The same ones each time; more of them, and new ones,
by hand:

    CLINICX_MACHINE_EXAMPLES=2000 .venv/bin/python -m pytest tests/tenancy/test_state_machine.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg
import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tenancy import context
from tenancy.errors import TenancyError, TenantChangedInTransaction
from tenancy.models import Organization
from tests.fixtures import servers
from tests.fixtures.pgbouncer import PgBouncer
from tests.tenancy.switch_machine import WRITE, Switch
from tests.tenancy.switch_reads import raw

EXAMPLES = int(os.environ.get("CLINICX_MACHINE_EXAMPLES", "0"))


@pytest.fixture
def machine(elm: Organization, oak: Organization, committed: None) -> Iterator[type[Switch]]:
    """The machine for the two clinics at the application's address, wherever that leads."""
    address = os.environ["DATABASE_SUPERUSER_URL"]
    with (
        psycopg.connect(address, dbname=servers.database_name(), autocommit=True) as server,
        _helper() as helper,
        context.override(None),
    ):
        connection.ensure_connection()
        facts = {
            "elm": elm.as_active(),
            "oak": oak.as_active(),
            "server": server,
            "helper": helper,
        }
        yield type("Switch", (Switch,), facts)


@contextmanager
def _helper() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as helper:
        yield helper
        helper.submit(connections.close_all).result()


def run(machine: type[Switch], *, examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or examples,
            derandomize=not EXAMPLES,
            stateful_step_count=40,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


class TestEveryStatement:
    def test_runs_where_the_model_says(self, machine: type[Switch]) -> None:
        run(machine, examples=200)

    def test_runs_there_through_a_pooler_too(
        self, through_pgbouncer: PgBouncer, machine: type[Switch]
    ) -> None:
        run(machine, examples=30)


class TestOneProgram:
    """What chance may take a thousand programs to come by: a line of the driver each."""

    @pytest.fixture
    def program(self, machine: type[Switch]) -> Iterator[Switch]:
        program = machine()
        try:
            yield program
            program.teardown()
        finally:
            # One that fails leaves nothing to other tests.
            machine().teardown()

    def test_knows_that_a_savepoint_by_hand_takes_a_binding_back(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        program.savepoint_by_hand("set", 0)
        program.enter_override("oak", is_meant=True, looks=True)
        program.savepoint_by_hand("roll back", 0)

        program.look()

    def test_forgets_at_the_end_of_a_transaction_who_was_in_it(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        program.leave("well", looks=False)
        program.enter_atomic(looks=False)
        program.read(raw, "oak", is_meant=False, is_async=False, looks=False)

        assert program.look() is TenantChangedInTransaction

    def test_returns_to_who_was_active_when_another_was_meant(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=False)
        program.read(raw, "oak", is_meant=True, is_async=False, looks=False)

        assert program.look() is None

    def test_does_not_return_when_another_was_not_meant(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=False)
        program.read(raw, "oak", is_meant=False, is_async=False, looks=False)

        assert program.look() is TenantChangedInTransaction

    def test_returns_to_who_began_past_somebody_in_between(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        program.enter_override("elm", is_meant=False, looks=False)
        program.read(raw, "oak", is_meant=True, is_async=False, looks=False)
        program.leave("well", looks=False)

        assert program.look() is None

    def test_does_not_take_what_was_meant_once_for_meant_again(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        program.read(raw, "oak", is_meant=True, is_async=False, looks=True)
        program.enter_override("oak", is_meant=False, looks=False)

        assert program.look() is TenantChangedInTransaction

    def test_sends_many_rows_after_a_change_that_was_meant(self, program: Switch) -> None:
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        program.enter_override("oak", is_meant=True, looks=False)

        program.write(rows=3, is_many=True)

    def test_does_not_commit_what_was_never_bound(self, program: Switch) -> None:
        """A swallowed error fails the commit, also when it was the binding's own."""
        program.enter_override("ghost", is_meant=False, looks=False)
        program.enter_atomic(looks=True)

        program.leave("well", looks=False)

    def test_keeps_nothing_of_a_block_whose_end_was_refused(self, program: Switch) -> None:
        """Somebody else is active when an inner block fails, so it cannot be undone alone."""
        program.enter_override("elm", is_meant=False, looks=False)
        program.enter_atomic(looks=True)
        with suppress(TenancyError, ZeroDivisionError), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(WRITE, ["half"])
            context.activate(program.oak)
            raise ZeroDivisionError
        context.activate(program.elm)

        program.leave("well", looks=False)

        assert program.list_written(program.elm) == set()
