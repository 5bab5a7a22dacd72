"""For whom periodic tasks run, and what beat refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab

from tenancy import context, lifecycle, tenants
from tenancy.models import Organization
from tenancy.rejections import RejectedTask
from tenancy.tasks import beat, testing
from tenancy.tasks.testing import Message, held_back
from tests.fixtures import background
from tests.fixtures.workers import Worker

LOOK = background.look.name


@pytest.fixture
def messages() -> Iterator[list[Message]]:
    with held_back(background.app) as messages:
        yield messages


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Callable[..., beat.Scheduler]]:
    """A function that makes a scheduler of one entry."""
    made: list[beat.Scheduler] = []

    def make(**entry: Any) -> beat.Scheduler:
        background.app.conf.beat_schedule = {"look": {"task": LOOK, "schedule": 60, **entry}}
        made.append(
            beat.Scheduler(background.app, schedule_filename=str(tmp_path / "beat"), lazy=False)
        )
        return made[-1]

    yield make
    for each in made:
        each.close()
    background.app.conf.beat_schedule = {}


def send(scheduler: beat.Scheduler) -> None:
    """Do what beat does when its entry is due."""
    scheduler.apply_async(scheduler.schedule["look"])


def run_all(messages: list[Message]) -> list[Message]:
    """Run the fan-out and what it queues of itself; return the messages for tenants."""
    done = 0
    while done < len(messages):
        message = messages[done]
        done += 1
        if message.task == "tenancy.fan_out":
            assert testing.run(background.app, message)
    return [message for message in messages if message.task == LOOK]


class TestEntry:
    @pytest.mark.parametrize("tenants", [None, "", "elm", [], ["elm", 1], True, {}])
    def test_that_does_not_say_for_whom_is_refused(
        self, tenants: Any, scheduler: Any, capsys: pytest.CaptureFixture[str]
    ):
        with pytest.raises(SystemExit) as refusal:
            scheduler(tenants=tenants)

        assert "Entry 'look' of beat_schedule does not say for which tenants" in str(refusal.value)
        assert '"tenants": "all"' in str(refusal.value)

    def test_with_a_schedule_that_is_none_is_refused(self, scheduler: Any):
        with pytest.raises(SystemExit, match=r"every night.*which is no schedule"):
            scheduler(tenants="all", schedule="every night")

    def test_may_say_when_as_crontab_does(self, scheduler: Any):
        made = scheduler(tenants="all", schedule="17 3 * * *")

        assert made.schedule["look"].schedule == crontab(hour=3, minute=17)

    def test_is_remembered_with_its_tenants(self, scheduler: Any):
        scheduler(tenants="all").close()

        assert scheduler(tenants="all").schedule["look"].tenants == "all"

    def test_is_changed_when_the_setting_is(self, scheduler: Any):
        scheduler(tenants="all").close()

        assert scheduler(tenants="platform").schedule["look"].tenants == "platform"

    def test_says_for_whom_after_it_ran(self, scheduler: Any, messages: list[Message]):
        made = scheduler(tenants=["elm"])
        send(made)

        assert made.schedule["look"].tenants == ["elm"]


class TestBeat:
    def test_works_for_nobody(self, scheduler: Any, messages: list[Message]):
        send(scheduler(tenants="all"))

        assert context.get_current() is None

    def test_never_asks_the_database(self, scheduler: Any, messages: list[Message]):
        """
        It may not: this test has no access to one.
        """
        send(scheduler(tenants="all"))

        assert [(each.task, each.tenant) for each in messages] == [("tenancy.fan_out", "platform")]

    def test_sends_the_platforms_task_itself(self, scheduler: Any, messages: list[Message]):
        send(scheduler(tenants="platform", args=["label"]))

        assert [(each.task, each.tenant) for each in messages] == [(LOOK, "platform")]


class TestFanOut:
    def test_makes_a_message_for_each_tenant(
        self,
        scheduler: Any,
        messages: list[Message],
        elm: Organization,
        oak: Organization,
        committed: None,
    ):
        send(scheduler(tenants="all", args=["label"], options={"queue": "slow"}))

        made = run_all(messages)

        assert {str(elm.pk), str(oak.pk)} <= {each.tenant for each in made}
        assert len({each.tenant for each in made}) == len(made)
        assert {each.body.split(b"]")[0] for each in made} == {b'[["label"'}

    def test_goes_on_chunk_by_chunk(
        self,
        scheduler: Any,
        messages: list[Message],
        elm: Organization,
        oak: Organization,
        committed: None,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(beat, "CHUNK", 1)
        send(scheduler(tenants="all"))

        made = run_all(messages)

        fans = [each for each in messages if each.task == "tenancy.fan_out"]
        assert {str(elm.pk), str(oak.pk)} <= {each.tenant for each in made}
        assert len({each.tenant for each in made}) == len(made)
        assert len(fans) == len(made) + 1

    def test_leaves_out_the_suspended(
        self, scheduler: Any, messages: list[Message], scratch: Any, elm: Organization
    ):
        birch = scratch("birch")
        lifecycle.suspend(birch)
        send(scheduler(tenants="all"))

        made = {each.tenant for each in run_all(messages)}

        assert str(elm.pk) in made
        assert str(birch.pk) not in made

    def test_takes_the_slugs_that_are_named(
        self, scheduler: Any, messages: list[Message], elm: Organization, oak: Organization,
        committed: None,
    ):  # fmt: skip
        send(scheduler(tenants=["oak"]))

        assert [each.tenant for each in run_all(messages)] == [str(oak.pk)]

    def test_records_a_slug_that_nobody_has(
        self, scheduler: Any, messages: list[Message], elm: Organization, committed: None
    ):
        tenants.forget_all()
        send(scheduler(tenants=["elm", "yew"]))

        made = run_all(messages)

        with context.override(context.PLATFORM):
            rows = list(RejectedTask.objects.values_list("task", "reason", "tenant"))
            RejectedTask.objects.all().delete()
        assert [each.tenant for each in made] == [str(elm.pk)]
        assert rows == [(LOOK, "unknown_tenant", "yew")]


class TestProcess:
    def test_sends_and_a_worker_fans_out(
        self,
        own_worker: Callable[..., Worker],
        elm: Organization,
        oak: Organization,
        tmp_path: Path,
    ):
        """
        Celery's own `beat`, embedded in a worker, with an entry that is due each second.
        """
        background.observed().delete("told:beat")
        worker = own_worker(
            "--pool=threads",
            "--beat",
            f"--schedule-filename={tmp_path / 'beat'}",
            TEST_BEAT="all",
        )

        told = background.wait_for("beat", count=4, patience=60)
        worker.stop()

        assert {"tenant_elm", "tenant_oak"} <= {each["schema"] for each in told}

    def test_ends_with_a_sentence_when_an_entry_says_nothing(
        self, own_worker: Callable[..., Worker], tmp_path: Path
    ):
        beat = own_worker(
            f"--schedule={tmp_path / 'beat'}", verb="beat", ready="", TEST_BEAT="nobody"
        )

        assert beat.process.wait(timeout=60) == 1
        assert "does not say for which tenants it runs" in beat.said()
        assert "Traceback" not in beat.said()

    def test_worker_does_not_start_when_a_check_says_something(
        self, own_worker: Callable[..., Worker]
    ):
        worker = own_worker("--pool=solo", ready="", TEST_BEAT="nobody")

        assert worker.process.wait(timeout=60) == 1
        assert "tenancy.E033" in worker.said()
