"""What one worker asks of the whole fleet, and what tasks are counted as."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from prometheus_client import REGISTRY

from tenancy import context, measuring
from tenancy.models import Organization, State
from tenancy.tasks.app import OWNERS_QUEUE, Celery


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


class TestFleet:
    def test_is_counted_by_state(self, committed: None, elm: Organization, oak: Organization):
        began = time.time()

        measuring.measure_fleet()

        assert (value("fleet_tenants", state="active") or 0) >= 2
        assert {value("fleet_tenants", state=state) is None for state in State.values} == {False}
        assert (value("fleet_schemas") or 0) >= 3
        assert (value("fleet_measured_timestamp_seconds") or 0) >= began

    def test_tells_how_many_schemas_are_behind(self, committed: None, elm: Organization):
        measuring.measure_fleet()
        before = value("fleet_schemas_behind")
        with context.override(elm.as_active()):
            rows = MigrationRecorder(connections["ddl"]).migration_qs.using("ddl")
            row = rows.order_by("-pk").first()
            rows.filter(pk=row.pk).delete()
            try:
                measuring.measure_fleet()
                behind = value("fleet_schemas_behind")
            finally:
                row.save(using="ddl", force_insert=True)

        assert before == 0
        assert behind == 1

    def test_tells_what_the_server_does(self, committed: None):
        measuring.measure_fleet()
        measuring.measure_sizes()

        assert (value("database_backends") or 0) >= 1
        assert (value("database_backends_limit") or 0) >= 10
        assert value("database_locks_waiting") is not None
        assert (value("database_size_bytes") or 0) > 1_000_000
        # Nothing follows this server: to say 0 would be to say that a replica is up to date.
        assert value("database_replication_lag_seconds") is None


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application whose queue is nobody's."""
    app = Celery("measured", set_as_current=False, broker=os.environ["TEST_BROKER_URL"])
    app.conf.update(task_default_queue=f"measured-{uuid4().hex}", task_ignore_result=True)
    yield app
    with app.connection_or_acquire() as connection:
        connection.default_channel.queue_delete(app.conf.task_default_queue)
    app.close()


class TestQueues:
    def test_tell_how_many_messages_wait(self, app: Celery):
        queue = app.conf.task_default_queue
        measuring.measure_queues(app, queue, OWNERS_QUEUE)
        empty = value("task_queue_length", queue=queue)
        with context.override(context.PLATFORM):
            for _ in range(3):
                app.send_task("measured.nothing")

        measuring.measure_queues(app, queue, OWNERS_QUEUE)

        assert empty == 0
        assert value("task_queue_length", queue=queue) == 3
        assert value("task_queue_length", queue=OWNERS_QUEUE) is not None


class TestTasks:
    @pytest.mark.parametrize(("fails", "state"), [(False, "success"), (True, "failure")])
    def test_are_counted_for_whom_they_ran(
        self, app: Celery, elm: Organization, fails: bool, state: str, grown: Callable[..., float]
    ):
        @app.task(name=f"measured.{state}", shared=False)
        def work() -> None:
            if fails:
                raise ZeroDivisionError

        with context.override(elm.as_active()):
            work.apply()

        labels = {"tenant_id": "elm", "task": work.name, "state": state}
        assert grown("tenant_tasks_total", **labels) == 1
        assert grown("task_duration_seconds_count", task=work.name) == 1
