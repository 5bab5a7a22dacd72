"""A task whose worker is killed is done by another; one that is in hand is ended first."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import Group
from django.test import override_settings

from clinicx.celery import app
from tenancy import context
from tenancy.models import Organization
from tests.fixtures.pods import COMPLETE, PATIENCE_SECONDS, Pod
from tests.serving.working import NAME

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.serving.pod_settings"}


@pytest.fixture
def label(committed: None, elm: Organization, oak: Organization) -> Iterator[str]:
    """What this test's rows are called; it leaves none."""
    label = f"marked-{uuid4().hex}"
    yield label
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            Group.objects.filter(name__startswith=label).delete()


@pytest.fixture
def queue() -> Callable[..., None]:
    """A function that queues a mark for a clinic, where the workers listen."""

    def queue(clinic: Organization, label: str, *, pause: float) -> None:
        sending = app.connection_for_write(os.environ["REDIS_URL"])
        with (
            sending,
            override_settings(SECRET_KEY=COMPLETE["SECRET_KEY"]),
            context.override(clinic.as_active()),
        ):
            app.send_task(NAME, [label, pause], connection=sending)

    return queue


def wait_for(label: str, *, count: int) -> list[dict[str, Any]]:
    """Return what was told by so many who tried."""
    told = redis.Redis.from_url(os.environ["REDIS_URL"])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while told.llen(label) < count:
        assert time.monotonic() < deadline, told.lrange(label, 0, -1)
        time.sleep(0.05)
    return [json.loads(each) for each in told.lrange(label, 0, -1)]


def count_marks(label: str, clinic: Organization) -> int:
    with context.override(clinic.as_active()):
        return Group.objects.filter(name=label).count()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestKilled:
    def test_tasks_are_done_again_for_their_clinic_and_committed_once(
        self,
        start_worker: Callable[..., Pod],
        queue: Callable[..., None],
        label: str,
        elm: Organization,
        oak: Organization,
    ) -> None:
        """kill -9 of the process that works, in the middle of its transaction."""
        start_worker(SETTINGS)
        queue(elm, label, pause=120)
        (first,) = wait_for(label, count=1)
        before = count_marks(label, elm)
        os.kill(first["process"], signal.SIGKILL)
        _, second = wait_for(label, count=2)
        queue(oak, f"{label}-next", pause=0)
        (after,) = wait_for(f"{label}-next", count=1)
        wait_until(lambda: count_marks(label, elm) == 1)

        assert before == 0
        assert first["process"] != second["process"]
        assert [first["schema"], second["schema"]] == [elm.schema_name] * 2
        assert second["is_new"], "The transaction of the first was not rolled back."
        assert after["schema"] == oak.schema_name
        assert count_marks(label, oak) == 0
        assert len(wait_for(label, count=2)) == 2


class TestSigterm:
    def test_lets_the_task_in_hand_end_and_leaves_the_next_to_another(
        self,
        start_worker: Callable[..., Pod],
        queue: Callable[..., None],
        label: str,
        elm: Organization,
        oak: Organization,
    ) -> None:
        worker = start_worker(SETTINGS)
        queue(elm, label, pause=2)
        (first,) = wait_for(label, count=1)
        queue(oak, f"{label}-next", pause=0)
        worker.process.terminate()
        ended = worker.process.wait(timeout=30)
        marks = [count_marks(label, elm), count_marks(f"{label}-next", oak)]
        start_worker(SETTINGS)
        (after,) = wait_for(f"{label}-next", count=1)

        assert ended == 0
        assert marks == [1, 0]
        assert len(wait_for(label, count=1)) == 1
        assert after["process"] != first["process"]
        assert after["schema"] == oak.schema_name
