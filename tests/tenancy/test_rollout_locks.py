"""Migrating a fleet under requests, while others hold locks: nobody fails and nobody queues."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, migrations, models, transaction
from django.utils.connection import ConnectionProxy

from tenancy import context
from tenancy.context import ActiveTenant
from tenancy.errors import UnableToLock
from tenancy.rollout import plan, replay
from tests.tenancy.trial import Trial, groups, installed

DDL: Any = ConnectionProxy(connections, "ddl")
CHANCE = random.Random(5)  # no secret
BEDS = migrations.CreateModel(
    "Bed", [("id", models.BigAutoField(primary_key=True)), ("code", models.TextField(default=""))]
)
# Who waits for a lock, and for whom: a reader behind a migration is one who queues.
WAITING_READERS = """
    SELECT count(*)
      FROM pg_stat_activity
     WHERE wait_event_type = 'Lock'
       AND query LIKE '%count(*) FROM trial_bed%'
       AND datname = current_database()
"""


@pytest.fixture
def trial(tmp_path: Path, committed: None) -> Iterator[Trial]:
    yield from installed(tmp_path)


@pytest.fixture
def clinics(scratch: Any, trial: Trial) -> list[ActiveTenant]:
    """Six clinics with a table of beds."""
    made = [scratch(f"ash{number}").as_active() for number in range(6)]
    trial.add(BEDS)
    (group,) = groups(DDL, made)
    prepared = replay.prepare(DDL, group)
    for clinic in made:
        prepared.migrate(DDL, clinic)
    return made


class Crowd:
    """Requests of all clinics, and holders of locks, each in a thread of its own."""

    def __init__(self, clinics: list[ActiveTenant]) -> None:
        self.clinics = clinics
        self.answered = 0
        self.failures: list[str] = []
        self._over = threading.Event()

    @contextmanager
    def at_work(self, *, readers: int, holders: int) -> Iterator[None]:
        work: list[Callable[[], None]] = [self._read] * readers + [self._hold] * holders
        threads = [threading.Thread(target=self._in_thread, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            while not self._over.is_set():
                work()
        except DatabaseError as error:
            self.failures.append(str(error))
        finally:
            connections.close_all()

    def _read(self) -> None:
        """What a request does, through the application's address; it waits two seconds at most."""
        with (
            context.override(CHANCE.choice(self.clinics)),
            transaction.atomic(),
            connections["default"].cursor() as cursor,
        ):
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute("SELECT count(*) FROM trial_bed")
        self.answered += 1
        time.sleep(0.02)

    def _hold(self) -> None:
        """A report that goes on for longer than anybody should wait."""
        with context.override(CHANCE.choice(self.clinics)), transaction.atomic():
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT count(*) FROM trial_bed")
            self._over.wait(CHANCE.uniform(1, 3))


def migrate_until_done(group: plan.Group, *, deadline: float) -> int:
    """Migrate all, coming back to those whose tables are in use; return how often it did."""
    prepared = replay.prepare(DDL, group)
    left, postponed = list(group.targets), 0
    while left and time.monotonic() < deadline:
        target = left.pop(0)
        try:
            prepared.migrate(DDL, target)
        except UnableToLock:
            postponed += 1
            left.append(target)
            time.sleep(CHANCE.uniform(0.05, 0.2))
    assert not left
    return postponed


def test_no_request_fails_while_a_fleet_is_migrated(
    clinics: list[ActiveTenant], trial: Trial
) -> None:
    trial.add(migrations.AddField("bed", "ward", models.TextField(default="", db_index=True)))
    trial.add(migrations.AlterField("bed", "code", models.CharField(max_length=20, default="")))
    (group,) = groups(DDL, clinics)
    crowd = Crowd(clinics)

    with crowd.at_work(readers=3, holders=2):
        migrate_until_done(group, deadline=time.monotonic() + 90)

    assert crowd.failures == []
    assert crowd.answered
    assert groups(DDL, clinics) == []


@pytest.mark.parametrize(
    ("lock_timeout", "is_queueing"),
    [(replay.LOCK_TIMEOUT, False), (timedelta(seconds=20), True)],
    ids=["ours", "patient"],
)
def test_readers_do_not_queue_behind_a_migration(
    clinics: list[ActiveTenant], trial: Trial, lock_timeout: timedelta, is_queueing: bool
) -> None:
    """One holder has a table for as long as it takes; a patient migration is the control."""
    trial.add(migrations.AddField("bed", "ward", models.TextField(default="")))
    (group,) = groups(DDL, clinics[:1])
    prepared = replay.prepare(DDL, group)
    crowd = Crowd(clinics[:1])
    given_up = threading.Event()

    def run() -> None:
        try:
            prepared.migrate(connections["ddl"], clinics[0], lock_timeout=lock_timeout)
        except UnableToLock:
            given_up.set()
        finally:
            connections.close_all()

    holder = connections.create_connection("default")
    try:
        with context.override(clinics[0]), holder.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT FROM trial_bed")
            migration = threading.Thread(target=run)
            migration.start()
            with crowd.at_work(readers=2, holders=0):
                is_given_up = given_up.wait(timeout=5)
                waiting = _count_waiting()
            cursor.execute("ROLLBACK")
    finally:
        holder.close()
        migration.join()

    assert is_given_up is not is_queueing
    assert bool(waiting or crowd.failures) is is_queueing


def _count_waiting() -> int:
    with context.override(context.PLATFORM), DDL.cursor() as cursor:
        cursor.execute(WAITING_READERS)
        return int(cursor.fetchone()[0])
