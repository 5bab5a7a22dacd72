"""Real workers: prefork, threads and solo, direct and through a pooler."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import chain, chord, group
from django.core.cache import cache
from django.db import transaction

from apps.accounts.models import User
from tenancy import context, lifecycle, tenants
from tenancy.models import Organization
from tenancy.rejections import RejectedTask
from tests.fixtures import background, pgbouncer
from tests.fixtures.background import wait_for
from tests.fixtures.workers import Worker

NUMBER = 424_242


@pytest.fixture
def label() -> str:
    """Under which the tasks of one test tell what they see."""
    return uuid4().hex


@pytest.fixture
def both(elm: Organization, oak: Organization) -> list[Organization]:
    return [elm, oak]


@pytest.fixture
def rejected(committed: None) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A function that returns what was recorded of rejected tasks; the test leaves none."""

    def rows() -> list[dict[str, Any]]:
        with context.override(context.PLATFORM):
            return list(RejectedTask.objects.values("task", "reason", "tenant", "count"))

    yield rows
    with context.override(context.PLATFORM):
        RejectedTask.objects.all().delete()


def queue(
    task: Any, *args: Any, to: Worker, as_: Organization | context.Platform, **options: Any
) -> Any:
    target = as_ if isinstance(as_, context.Platform) else as_.as_active()
    with context.override(target):
        return task.apply_async(args, queue=to.queue, **options)


class TestTask:
    def test_runs_for_whoever_queued_it(
        self, any_worker: Worker, both: list[Organization], label: str
    ):
        for organization in both * 3:
            queue(background.look, label, to=any_worker, as_=organization)

        told = wait_for(label, count=6)

        assert sorted(each["active"] for each in told) == ["elm"] * 3 + ["oak"] * 3
        for each in told:
            assert each["schema"] == f"tenant_{each['active']}"
            assert each["role"].endswith(each["schema"])

    def test_runs_for_the_platform_when_that_was_active(self, any_worker: Worker, label: str):
        queue(background.look, label, to=any_worker, as_=context.PLATFORM)

        (told,) = wait_for(label)

        assert told["schema"] == "public"

    def test_decodes_its_arguments_as_its_tenant(
        self, any_worker: Worker, both: list[Organization], label: str
    ):
        """
        The same key at both clinics, and each task gets the row of its own.
        """
        for organization in both:
            with context.override(organization.as_active()):
                User.objects.create(pk=NUMBER, username=f"sam of {organization.slug}")
        try:
            for organization in both:
                argument = background.UserArgument(NUMBER)
                queue(background.name_user, argument, label, to=any_worker, as_=organization)

            told = wait_for(label, count=2)
        finally:
            for organization in both:
                with context.override(organization.as_active()):
                    User.objects.filter(pk=NUMBER).delete()

        assert {each["active"]: each["user"] for each in told} == {
            "elm": "sam of elm",
            "oak": "sam of oak",
        }

    def test_leaves_nobody_active(self, any_worker: Worker, both: list[Organization], label: str):
        """
        Not even when it activated somebody itself, nor a language: what runs next is its
        own clinic's.
        """
        elm, oak = both
        for _ in range(4):
            queue(background.stay_active, label, oak.schema_name, to=any_worker, as_=elm)
        for organization in both * 2:
            queue(background.look_at_nobody, f"{label}-nobody", to=any_worker, as_=organization)
            queue(background.look, f"{label}-next", to=any_worker, as_=organization)

        told = wait_for(f"{label}-next", count=4)

        assert sorted(each["schema"] for each in told) == ["tenant_elm"] * 2 + ["tenant_oak"] * 2
        assert {each["language"] for each in told} == {"en-us"}
        assert {each["active"] for each in wait_for(f"{label}-nobody", count=4)} == {"None"}

    def test_leaves_nobody_active_when_it_fails(
        self, any_worker: Worker, both: list[Organization], label: str
    ):
        elm, oak = both
        for _ in range(4):
            queue(background.fail, label, to=any_worker, as_=elm)
        queue(background.look, label, to=any_worker, as_=oak)

        told = wait_for(label, count=5)

        assert sorted(each["schema"] for each in told) == ["tenant_elm"] * 4 + ["tenant_oak"]

    def test_is_tried_again_for_the_same_tenant(
        self, any_worker: Worker, elm: Organization, label: str
    ):
        """
        Out of a transaction, too, which the retry rolls back.
        """
        queue(background.look_again, label, to=any_worker, as_=elm)

        told = wait_for(label, count=2)

        assert [each["retries"] for each in told] == [0, 1]
        assert {each["schema"] for each in told} == {"tenant_elm"}

    def test_is_replaced_for_the_same_tenant(
        self, any_worker: Worker, elm: Organization, label: str
    ):
        with context.override(elm.as_active()):
            background.replace_by_look.apply_async((label,), queue=any_worker.queue)

        assert wait_for(label)[0]["schema"] == "tenant_elm"

    def test_queues_another_for_the_same_tenant(
        self, any_worker: Worker, oak: Organization, label: str
    ):
        queue(background.queue_look, label, to=any_worker, as_=oak)

        assert wait_for(label)[0]["schema"] == "tenant_oak"

    def test_waits_for_its_time(self, any_worker: Worker, oak: Organization, label: str):
        queue(background.look, label, to=any_worker, as_=oak, countdown=1)

        assert wait_for(label)[0]["schema"] == "tenant_oak"

    def test_by_name_runs_for_whoever_queued_it(
        self, any_worker: Worker, elm: Organization, label: str
    ):
        with context.override(elm.as_active()):
            background.app.send_task(background.look.name, [label], queue=any_worker.queue)

        assert wait_for(label)[0]["schema"] == "tenant_elm"


class TestThreads:
    def test_share_a_task_and_no_tenant(
        self, workers: Callable[..., Worker], both: list[Organization], label: str, committed: None
    ):
        """
        Two threads of one process interleave in the same task, each for its own clinic.
        """
        worker = workers("threads")
        for organization in both:
            queue(background.look_twice, label, 0.5, to=worker, as_=organization)

        told = wait_for(label, count=4)

        assert len({each["process"] for each in told}) == 1
        for thread in {each["thread"] for each in told}:
            assert len({each["schema"] for each in told if each["thread"] == thread}) == 1
        assert [each["schema"] for each in told[:2]] != [each["schema"] for each in told[2:3]] * 2


class TestCanvas:
    def test_chain_keeps_its_tenant(self, any_worker: Worker, elm: Organization, label: str):
        steps = chain(background.look.si(label), background.look.si(label))
        with context.override(elm.as_active()):
            steps.apply_async(queue=any_worker.queue)

        assert {each["schema"] for each in wait_for(label, count=2)} == {"tenant_elm"}

    def test_group_keeps_its_tenant(self, any_worker: Worker, oak: Organization, label: str):
        with context.override(oak.as_active()):
            group(background.look.si(label) for _ in range(3)).apply_async(queue=any_worker.queue)

        assert {each["schema"] for each in wait_for(label, count=3)} == {"tenant_oak"}

    def test_chord_keeps_its_tenant(self, any_worker: Worker, both: list[Organization], label: str):
        for organization in both:
            with context.override(organization.as_active()):
                header = [background.double.s(n).set(queue=any_worker.queue) for n in (1, 2)]
                chord(header)(background.tell_sum.s(label).set(queue=any_worker.queue))

        told = wait_for(label, count=2)

        assert sorted((each["schema"], each["sum"]) for each in told) == [
            ("tenant_elm", 6),
            ("tenant_oak", 6),
        ]

    def test_callback_keeps_its_tenant(self, any_worker: Worker, elm: Organization, label: str):
        after = background.look.si(label)
        queue(background.look, label, to=any_worker, as_=elm, link=after)

        assert {each["schema"] for each in wait_for(label, count=2)} == {"tenant_elm"}

    def test_errback_keeps_its_tenant(self, any_worker: Worker, oak: Organization, label: str):
        after = background.errback.s(label=f"{label}-after")
        queue(background.fail, label, to=any_worker, as_=oak, link_error=after)

        assert wait_for(f"{label}-after")[0]["schema"] == "tenant_oak"


class TestPrefork:
    def test_errback_of_a_task_whose_process_dies_keeps_its_tenant(
        self, prefork: Worker, oak: Organization, label: str, committed: None
    ):
        """
        The main process runs that one.
        """
        after = background.errback.s(label=f"{label}-after")
        queue(background.die, label, to=prefork, as_=oak, link_error=after)

        assert wait_for(f"{label}-after")[0]["schema"] == "tenant_oak"

    def test_errback_of_a_task_past_its_time_keeps_its_tenant(
        self, prefork: Worker, elm: Organization, label: str, committed: None
    ):
        after = background.errback.s(label=f"{label}-after")
        queue(background.sleep_for_ever, label, to=prefork, as_=elm, link_error=after)

        assert wait_for(f"{label}-after")[0]["schema"] == "tenant_elm"

    def test_task_past_its_soft_limit_leaves_nobody_active(
        self, prefork: Worker, both: list[Organization], label: str, committed: None
    ):
        elm, oak = both
        for _ in range(2):
            queue(background.sleep_too_long, label, to=prefork, as_=elm)
        wait_for(label, count=2)
        for _ in range(4):
            queue(background.look, f"{label}-next", to=prefork, as_=oak)

        assert {each["schema"] for each in wait_for(f"{label}-next", count=4)} == {"tenant_oak"}

    def test_revoked_task_leaves_nobody_active(
        self, own_worker: Callable[..., Worker], both: list[Organization], label: str
    ):
        """
        Its process is killed in the middle of it; one that waits is never begun.
        """
        elm, oak = both
        worker = own_worker("--pool=prefork", "--concurrency=1")
        running = queue(background.sleep_for_long, label, to=worker, as_=elm)
        wait_for(label)
        waiting = queue(background.look, f"{label}-revoked", to=worker, as_=elm)
        background.app.control.revoke([running.id, waiting.id], terminate=True)
        queue(background.look, f"{label}-next", to=worker, as_=oak)

        assert wait_for(f"{label}-next")[0]["schema"] == "tenant_oak"
        assert background.nothing_told(f"{label}-revoked")

    def test_children_are_born_without_connections(
        self, own_worker: Callable[..., Worker], elm: Organization, label: str
    ):
        """
        Also those that take the place of one that died, after the main process has
        itself asked the database for an errback.
        """
        background.observed().delete("told:born")
        worker = own_worker("--pool=prefork", "--concurrency=1")
        after = background.errback.s(label=f"{label}-after")
        queue(background.die, label, to=worker, as_=elm, link_error=after)
        wait_for(f"{label}-after")
        queue(background.look, f"{label}-next", to=worker, as_=elm)
        wait_for(f"{label}-next")

        born = wait_for("born", count=2)

        assert [each["open"] for each in born] == [0, 0]


class TestResult:
    def test_is_read_by_its_own_clinic_alone(
        self, any_worker: Worker, both: list[Organization], label: str
    ):
        elm, oak = both
        result = queue(background.answer, label, to=any_worker, as_=elm)

        with context.override(elm.as_active()):
            assert background.app.AsyncResult(result.id).get(timeout=20) == "the answer of elm"
        with context.override(oak.as_active()):
            assert background.app.AsyncResult(result.id).state == "PENDING"

    def test_is_not_written_into_the_log(
        self, prefork: Worker, elm: Organization, label: str, committed: None
    ):
        queue(background.answer, label, to=prefork, as_=elm)
        queue(background.look, f"{label}-next", to=prefork, as_=elm, countdown=1)
        wait_for(f"{label}-next")

        assert "background.answer" in prefork.said()
        assert "the answer of elm" not in prefork.said()

    def test_is_kept_under_the_known_prefix(
        self, any_worker: Worker, elm: Organization, label: str
    ):
        result = queue(background.answer, label, to=any_worker, as_=elm)
        with context.override(elm.as_active()):
            result.get(timeout=20)

        (key,) = background.observed().keys(f"*{result.id}*")

        assert key.startswith(background.PREFIX)
        assert str(elm.pk) in key


class TestRejected:
    def test_when_its_tenant_is_gone(
        self,
        any_worker: Worker,
        scratch: Any,
        elm: Organization,
        label: str,
        rejected: Callable[[], list[dict[str, Any]]],
    ):
        birch = scratch("birch")
        identity = str(birch.pk)
        queue(background.look, label, to=any_worker, as_=birch, countdown=2)
        lifecycle.delete(birch)
        queue(background.look, f"{label}-next", to=any_worker, as_=elm, countdown=3)

        wait_for(f"{label}-next")

        assert background.nothing_told(label)
        assert rejected() == [
            {
                "task": background.look.name,
                "reason": "unknown_tenant",
                "tenant": identity,
                "count": 1,
            }
        ]

    def test_when_its_tenant_is_suspended(
        self,
        any_worker: Worker,
        scratch: Any,
        elm: Organization,
        label: str,
        rejected: Callable[[], list[dict[str, Any]]],
    ):
        birch = scratch("birch")
        after = background.errback.s(label=label)
        queue(background.look, label, to=any_worker, as_=birch, countdown=2, link_error=after)
        lifecycle.suspend(birch, reason="unpaid")
        queue(background.look, f"{label}-next", to=any_worker, as_=elm, countdown=3)

        wait_for(f"{label}-next")

        assert background.nothing_told(label)
        assert [row["reason"] for row in rejected()] == ["suspended"]

    def test_when_its_arguments_are_of_another_clinic(
        self,
        any_worker: Worker,
        both: list[Organization],
        label: str,
        rejected: Callable[[], list[dict[str, Any]]],
    ):
        """
        The row is there at Elm, and the task is Oak's: it finds none, and is not run.
        """
        elm, oak = both
        with context.override(elm.as_active()):
            User.objects.create(pk=NUMBER, username="sam of elm")
        try:
            argument = background.UserArgument(NUMBER)
            queue(background.name_user, argument, label, to=any_worker, as_=oak)
            queue(background.look, f"{label}-next", to=any_worker, as_=oak, countdown=1)
            wait_for(f"{label}-next")
        finally:
            with context.override(elm.as_active()):
                User.objects.filter(pk=NUMBER).delete()

        assert background.nothing_told(label)
        assert [row["reason"] for row in rejected()] == ["unreadable"]

    def test_without_a_word_of_its_arguments_in_the_log(
        self, prefork: Worker, oak: Organization, rejected: Any, label: str
    ):
        argument = background.UserArgument(NUMBER)
        secret = f"secret-{label}"
        queue(background.name_user, argument, secret, to=prefork, as_=oak)
        queue(background.look, label, to=prefork, as_=oak, countdown=1)
        wait_for(label)

        assert "Rejected task 'tests.fixtures.background.name_user'" in prefork.said()
        assert secret not in prefork.said()


class TestPutBack:
    def test_until_postgresql_answers(
        self,
        own_worker: Callable[..., Worker],
        elm: Organization,
        label: str,
        committed: None,
    ):
        """
        A task that PostgreSQL could not be asked about is neither lost nor run for anybody.
        """
        with pgbouncer.running() as pooler:
            worker = own_worker(
                *("--pool=threads", "--concurrency=1"),
                DATABASE_URL=pooler.url("app"),
                TEST_ACKS_LATE="yes",
            )
            tenants.forget_all()
            pooler.stop()
            with context.override(context.PLATFORM):
                cache.clear()
            queue(background.look, label, to=worker, as_=elm)
            worker.wait("it goes back to its queue")
            pooler.start()

            assert wait_for(label)[0]["schema"] == "tenant_elm"


class TestCommit:
    def test_lets_a_task_go_with_the_tenant_of_the_moment_it_was_queued(
        self, any_worker: Worker, both: list[Organization], label: str
    ):
        elm, oak = both
        with context.override(elm.as_active()), transaction.atomic():
            background.look.apply_async((label,), queue=any_worker.queue)
            time.sleep(0.2)
            assert background.nothing_told(label)
        with context.override(oak.as_active()):
            assert wait_for(label)[0]["schema"] == "tenant_elm"


def test_json_is_what_travels(elm: Organization, committed: None):
    """What lies in Redis names its tenant, and no argument in a header."""
    with context.override(elm.as_active()):
        background.look.apply_async(("Maria Rossi",), queue=f"idle-{os.getpid()}")
    client = background.observed()
    (key,) = [key for key in client.keys(f"*idle-{os.getpid()}") if "_kombu" not in key]
    message = json.loads(client.lpop(key))

    assert key.startswith(background.PREFIX)
    assert message["content-type"] == "application/json"
    assert message["headers"]["tenancy_tenant"] == str(elm.pk)
    assert "Maria" not in json.dumps(message["headers"])
