"""What is said about background tasks before any is queued."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery import Task
from django.core.checks import CheckMessage

from tenancy.checks import tasks
from tenancy.tasks.app import FILL_POOL, OWNERS_QUEUE, RECONCILE, Celery


@pytest.fixture
def app(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """The application that TENANCY_CELERY_APP names, to be spoilt by the test."""
    app = Celery("spoilt", set_as_current=False, broker="memory://")
    monkeypatch.setitem(globals(), "spoilt", app)
    settings.TENANCY_CELERY_APP = f"{__name__}.spoilt"
    yield app
    app.close()


def nothing() -> None:
    pass


def ask() -> list[CheckMessage]:
    return tasks.check_tasks(None)


class TestTasks:
    def test_are_in_order_in_clinicx(self):
        assert ask() == []

    def test_are_not_asked_about_where_there_are_none(self, settings: Any):
        settings.TENANCY_CELERY_APP = ""

        assert ask() == []

    def test_are_in_order_with_a_fresh_application(self, app: Celery):
        assert ask() == []

    def test_e030_no_such_application(self, settings: Any):
        settings.TENANCY_CELERY_APP = "clinicx.celery.nothing"

        (message,) = ask()

        assert message.id == "tenancy.E030"
        assert "clinicx.celery.nothing" in message.msg

    def test_e030_an_application_of_celerys(self, settings: Any, monkeypatch: pytest.MonkeyPatch):
        stock = celery.Celery("stock", set_as_current=False)
        monkeypatch.setitem(globals(), "stock", stock)
        settings.TENANCY_CELERY_APP = f"{__name__}.stock"

        (message,) = ask()

        assert message.id == "tenancy.E030"
        assert "tenancy.tasks.app import Celery" in (message.hint or "")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("task_serializer", "pickle"),
            ("result_serializer", "pickle"),
            ("event_serializer", "yaml"),
            ("accept_content", ["json", "pickle"]),
            ("result_accept_content", ["pickle"]),
            ("task_protocol", 1),
        ],
    )
    def test_e031_something_else_than_json(self, name: str, value: Any, app: Celery):
        app.conf[name] = value

        messages = [each for each in ask() if each.id == "tenancy.E031"]

        assert len(messages) == 1
        assert f"CELERY_{name.upper()}" in (messages[0].hint or "")

    @pytest.mark.parametrize("name", ["worker_consumer", "beat_scheduler"])
    def test_e032_a_part_that_knows_no_tenants(self, name: str, app: Celery):
        app.conf[name] = "celery.worker.consumer:Consumer"

        (message,) = ask()

        assert message.id == "tenancy.E032"
        assert message.hint == f"Remove CELERY_{name.upper()}."

    def test_e032_an_amqp_that_signs_nothing(self, app: Celery):
        app.amqp = celery.app.amqp.AMQP(app)

        (message,) = ask()

        assert message.id == "tenancy.E032"

    def test_e032_a_task_of_another_class(self, app: Celery):
        class Plain(Task):
            pass

        app.task(base=Plain, name="plain", shared=False)(nothing)

        (message,) = ask()

        assert message.id == "tenancy.E032"
        assert "plain" in message.msg

    def test_e032_a_task_that_is_no_json(self, app: Celery):
        app.task(name="pickled", serializer="pickle", shared=False)(nothing)

        (message,) = ask()

        assert message.id == "tenancy.E032"

    def test_e033_a_periodic_task_for_nobody(self, app: Celery):
        app.conf.beat_schedule = {"nightly": {"task": "a.task", "schedule": "0 3 * * *"}}

        (message,) = ask()

        assert message.id == "tenancy.E033"
        assert "'nightly'" in message.msg

    def test_e034_results_for_all_alike(self, app: Celery):
        app.conf.result_backend = "redis://localhost/0"

        (message,) = ask()

        assert message.id == "tenancy.E034"
        assert "tenancy.tasks.results:RedisBackend" in (message.hint or "")


class TestRoutes:
    """Of the application's tasks, which a project may give queues of their own."""

    def queue_of(self, app: Celery, name: str) -> str:
        return str(app.amqp.router.route({}, name)["queue"].name)

    def test_lead_what_needs_the_owner_to_its_queue(self, app: Celery):
        assert self.queue_of(app, FILL_POOL) == OWNERS_QUEUE
        assert self.queue_of(app, "theirs") == "celery"

    def test_of_the_project_are_asked_first(self, app: Celery):
        app.config_from_object({"task_routes": {"theirs": "slow", FILL_POOL: "builders"}})

        assert self.queue_of(app, "theirs") == "slow"
        assert self.queue_of(app, FILL_POOL) == "builders"
        assert self.queue_of(app, RECONCILE) == OWNERS_QUEUE
