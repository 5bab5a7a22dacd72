"""
How is the fleet migrated? Public first, then wave after wave, each schema by itself.

A schema that fails stops nobody else, one whose tables are in use is tried again later, and
all of it can be killed at any point and gone on with.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from threading import Event, Lock
from typing import Any, Protocol

from django.db import OperationalError, connections, transaction

from tenancy import audit, context, schemas, steps
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.errors import RunInProgress, UnableToLock
from tenancy.ledger import How, MigrationRun, RunState
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import executor, journal, lock, order, replay, upkeep, waves
from tenancy.rollout.crew import GLANCE, Crew
from tenancy.rollout.order import Order
from tenancy.rollout.plan import Group

steps.declare(
    "migrate",
    "lock taken",
    "run written",
    "public migrated",
    "schemas written",
    "schema in hand",
    "schema written",
    "schema committed",
    "run finished",
)

# A schema whose tables are in use is tried again after pauses that grow, in about two minutes;
# jitter keeps the threads from coming back together.
MOST_ATTEMPTS = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Result:
    """What became of one schema."""

    schema: str
    how: str = ""
    milliseconds: int = 0
    error: str = ""
    attempts: int = 1


@dataclass
class Summary:
    """What became of a run."""

    schemas: int = 0
    """How many were asked whether they are behind."""
    run: MigrationRun | None = None
    state: RunState = RunState.DONE
    results: list[Result] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Deleted or renamed before their turn came."""
    pending: int = 0
    seconds: float = 0.0
    why: str = ""
    """Why there are any pending."""
    is_interrupted: bool = False

    @property
    def failures(self) -> list[Result]:
        return [result for result in self.results if result.error]


class Watcher(Protocol):
    """Is told how a run goes on, by one thread at a time."""

    def begins(self, run: MigrationRun | None, *, schemas: int, jobs: int) -> None:
        """The tenants' turn has come; `schemas` of them are to be migrated."""

    def prepares(self, group: Group) -> None:
        """What is the same for all schemas of `group` is being made."""

    def wave_begins(self, number: int, sizes: Sequence[int], schemas: Sequence[str]) -> None:
        """The wave `number` of those with `sizes` begins, with `schemas`."""

    def finished(self, result: Result, error: BaseException | None) -> None:
        """One schema is migrated, or has failed with `error`."""

    def postponed(self, schema: str, *, attempts: int, pause: float) -> None:
        """The tables of `schema` are in use; it is tried again after `pause` seconds."""

    def may_go_on(self, *, done: int, remaining: int) -> bool:
        """Tell whether the others may follow the canaries."""


def start(wanted: Order, watcher: Watcher, *, command: str, stop: Event) -> Summary:
    """
    Do what `wanted` says, and return what became of it.

    Once `stop` is set those in flight are finished, and no other is begun. Where nobody is
    behind no lock is taken and nothing is written. Raise RunInProgress, saying who, when the
    fleet is being migrated; TenantNotFound and UnableToMigrate as `order.survey` does. What
    fails for one schema is in the summary and raised nowhere.
    """
    found = order.survey(wanted)
    if wanted.public and not found.public and not wanted.goal:
        upkeep.look_after_public()
    if not found.behind:
        return Summary(schemas=found.schemas)
    return _Run(wanted, watcher, stop, command=command).execute()


def resume(run: MigrationRun, watcher: Watcher, *, stop: Event, **changes: Any) -> Summary:
    """
    Go on with what `run` left and with what failed, and return what became of that.

    `changes` are those to its order. Waves that were begun are finished before the next;
    after the canaries nobody is asked again. Raise as `start` does.
    """
    wanted = replace(Order.of(run), **changes)
    return _Run(wanted, watcher, stop, command=run.command, run=run).execute()


@dataclass
class _Task:
    target: ActiveTenant
    group: Group
    attempts: int = 0


class _Run:
    """One run, from taking the lock to giving it back."""

    lock: Any

    def __init__(
        self,
        wanted: Order,
        watcher: Watcher,
        stop: Event,
        *,
        command: str,
        run: MigrationRun | None = None,
    ) -> None:
        self.order = wanted
        self.watcher = watcher
        self.stop = stop
        self.command = command
        self.run = run
        self.is_resumed = run is not None
        self.summary = Summary(run=run)
        self.prepared: dict[int, Any] = {}
        self.seen: set[str] = set()
        self.sizes: list[int] = []
        self.telling = Lock()
        self.looked_at = 0.0

    # The story

    def execute(self) -> Summary:
        began = time.monotonic()
        with self._alone() as self.lock:
            steps.reached("migrate: lock taken")
            with context.override(context.PLATFORM, in_transaction=True):
                try:
                    self._migrate()
                except OperationalError as error:
                    self._lose_server(error)
                else:
                    self._close()
        self.summary.seconds = time.monotonic() - began
        return self.summary

    @contextmanager
    def _alone(self) -> Iterator[Any]:
        try:
            with lock.held(f"{audit.current_actor()} pid {os.getpid()}") as connection:
                yield connection
        except RunInProgress as error:
            raise RunInProgress(f"{error}{journal.say_what_runs()}") from error

    def _migrate(self) -> None:
        self._open()
        if not self._migrate_public() or not self.order.tenants:
            return
        portions = self._what_is_left() if self.is_resumed else self._divide(self._tasks())
        self._migrate_waves(portions)
        while not self._is_over() and not self.order.only and (newcomers := self._tasks()):
            # Made by a release that is older than this one, or renamed on the way.
            self._write(len(self.sizes) + 1, newcomers)
            self._migrate_waves([newcomers])

    # The ledger

    def _open(self) -> None:
        """Begin in the ledger, unless its own tables are among what public lacks."""
        if not self._has_ledger():
            return
        if self.run is None:
            self.run = journal.begin(self.command, options=asdict(self.order))
        else:
            journal.begin_again(self.run)
        self.summary.run = self.run
        steps.reached("migrate: run written")

    def _has_ledger(self) -> bool:
        will_go = self.order.goal is not None and self.order.goal[0] == journal.APP
        return not will_go and journal.is_kept()

    def _write(self, wave: int, tasks: Sequence[_Task]) -> None:
        self.seen |= {task.target.schema for task in tasks}
        self.summary.pending += len(tasks)
        self._expect(wave, tasks)

    def _expect(self, wave: int, tasks: Sequence[_Task]) -> None:
        if self.run is not None:
            expected = {task.target.schema: task.group.steps for task in tasks}
            journal.expect(self.run, wave, expected)

    def _close(self) -> None:
        summary = self.summary
        if self.stop.is_set() and summary.pending:
            summary.is_interrupted, summary.why = True, "it was interrupted"
        if summary.failures:
            summary.state = RunState.FAILED
        if summary.pending and (summary.is_interrupted or not summary.failures):
            summary.state = RunState.INTERRUPTED
        if self.run is not None:
            failed, pending = len(summary.failures), summary.pending
            done = len(summary.results) - failed
            journal.finish(self.run, summary.state, done=done, failed=failed, pending=pending)
            steps.reached("migrate: run finished")

    def _lose_server(self, error: OperationalError) -> None:
        """Of what was in flight nothing is there; who looks sees that nobody holds the lock."""
        self.summary.state = RunState.INTERRUPTED
        self.summary.is_interrupted = True
        self.summary.why = f"PostgreSQL was lost ({type(error.__cause__ or error).__name__})"

    # Public

    def _migrate_public(self) -> bool:
        """Bring public along; return whether the tenants may follow."""
        group = order.survey_public(self.order)
        if group is None:
            return True
        task = _Task(group.targets[0], replace(group, how=How.MIGRATE))
        self._write(0, [task])
        Crew(1, self._work, is_over=self._is_over).work_through([task])
        if self.summary.failures:
            self.summary.why = "the public schema comes first"
        return not self.summary.failures and not self.summary.pending

    # Tenants

    def _tasks(self) -> list[_Task]:
        """Return those who are behind and were not in this run before."""
        targets = order.list_targets(self.order)
        return self._tasks_of(target for target in targets if target.schema not in self.seen)

    def _tasks_of(self, targets: Iterable[ActiveTenant]) -> list[_Task]:
        groups = order.survey_tenants(self.order, list(targets))
        tasks = [_Task(target, group) for group in groups for target in group.targets]
        return sorted(tasks, key=lambda task: task.target.schema)

    def _divide(self, tasks: list[_Task]) -> list[list[_Task]]:
        sizes = waves.divide(len(tasks), canary=self.order.canary, waves=self.order.waves)
        rest = iter(tasks)
        portions = [[next(rest) for _ in range(size)] for size in sizes]
        with transaction.atomic(using=settings.DDL_DATABASE):
            for number, portion in enumerate(portions, start=1):
                self._write(number, portion)
        steps.reached("migrate: schemas written")
        return portions

    def _what_is_left(self) -> list[list[_Task]]:
        """Return what the run that is resumed left, wave by wave."""
        assert self.run is not None  # noqa: S101  # only a run of the ledger is resumed
        self.seen, waves_left = journal.list_left(self.run)
        if self.seen <= {PUBLIC_SCHEMA}:
            return self._divide(self._tasks())  # it came no further than public
        there = {target.schema: target for target in order.list_targets(self.order)}
        tasks = self._tasks_of(target for name, target in there.items() if name in waves_left)
        portions: dict[int, list[_Task]] = {}
        for task in tasks:
            portions.setdefault(waves_left.pop(task.target.schema), []).append(task)
        for schema in waves_left:
            if schema in there or schema == PUBLIC_SCHEMA:
                # Somebody else has brought it along.
                journal.write_done(self.run, schema, how="", milliseconds=None, attempts=0)
            else:
                journal.write_gone(self.run, schema)
        self.summary.pending += len(tasks)
        return [portions[wave] for wave in sorted(portions)]

    def _migrate_waves(self, portions: Sequence[list[_Task]]) -> None:
        self.sizes += [len(portion) for portion in portions]
        first = len(self.sizes) - len(portions) + 1
        if first == 1:
            self.watcher.begins(self.run, schemas=sum(self.sizes), jobs=self._jobs)
        for number, portion in enumerate(portions, start=first):
            if self._is_over() or not self._may_begin(number):
                return
            self._prepare(portion)
            self.watcher.wave_begins(number, self.sizes, [each.target.schema for each in portion])
            Crew(self._jobs, self._work, is_over=self._is_over).work_through(portion)
            self._compare(portion)

    def _may_begin(self, number: int) -> bool:
        """Tell whether a wave may begin: not after a failure, nor unasked after canaries."""
        if number == 1:
            return True
        summary = self.summary
        if summary.failures:
            summary.why = "a wave with failures is not followed by another"
            return False
        is_after_canaries = number == 2 and self.order.canary and not self.is_resumed
        done = len(summary.results)
        if is_after_canaries and not self.watcher.may_go_on(done=done, remaining=summary.pending):
            summary.why = "the canaries are to be looked at first"
            return False
        return True

    @property
    def _jobs(self) -> int:
        # Other threads do not see what a transaction, a test's for example, has not committed.
        is_open = connections[settings.DDL_DATABASE].in_atomic_block
        return 1 if is_open else self.order.jobs

    def _is_over(self) -> bool:
        summary = self.summary
        most = self.order.stop_after_failures
        if self.stop.is_set():
            return True
        if most is not None and len(summary.failures) >= most:
            summary.why = f"{most} failures were to stop it"
            return True
        if not self._has_lock():
            summary.why = "the lock was lost with its connection"
            return True
        return False

    def _has_lock(self) -> bool:
        """Tell whether the lock was still held a moment ago: asking costs a round trip."""
        if time.monotonic() - self.looked_at < GLANCE:
            return True
        self.looked_at = time.monotonic()
        return bool(self.lock.is_usable())

    def _prepare(self, tasks: Sequence[_Task]) -> None:
        """Make ready what is the same for all schemas of a group; done once, by one thread."""
        for task in tasks:
            group = task.group
            if group.how != How.MIGRATE and id(group) not in self.prepared:
                self.watcher.prepares(group)
                connection = connections[settings.DDL_DATABASE]
                self.prepared[id(group)] = replay.prepare(connection, group)

    def _compare(self, tasks: Sequence[_Task]) -> None:
        """Fail those that were replayed and have come out different from the reference."""
        done = {result.schema for result in self.summary.results if not result.error}
        for key, prepared in self.prepared.items():
            targets = [
                task.target
                for task in tasks
                if id(task.group) == key and task.target.schema in done
            ]
            found = prepared.check(connections[settings.DDL_DATABASE], targets)
            for schema, why in found.items():
                self._find_different(schema, why)

    def _find_different(self, schema: str, why: str) -> None:
        results = self.summary.results
        (number,) = (at for at, each in enumerate(results) if each.schema == schema)
        results[number] = replace(results[number], error=why)
        if self.run is not None:
            attempts = results[number].attempts
            journal.write_failed(self.run, schema, error=why, attempts=attempts)

    # One schema; in a thread of its own

    def _work(self, task: _Task) -> float | None:
        schema, began = task.target.schema, time.monotonic()
        task.attempts += 1
        try:
            how = self._migrate_one(task, began)
        except UnableToLock as error:
            return self._postpone(task, error)
        except Exception as error:  # noqa: BLE001  # it stops nobody else, and is in the ledger
            self._fail(schema, error, attempts=task.attempts)
        else:
            steps.reached("migrate: schema committed")
            self._tell(Result(schema, how, _since(began), attempts=task.attempts))
        return None

    def _migrate_one(self, task: _Task, began: float) -> str:
        schema, attempts = task.target.schema, task.attempts

        def write_done(how: How, send: Callable[[str], None]) -> None:
            steps.reached("migrate: schema in hand")
            if self.run is not None:
                # Of a replay this is sent before anybody knows how long it took.
                took = journal.OF_TRANSACTION if how == How.REPLAY else _since(began)
                send(
                    journal.done_sql(
                        self.run, schema, how=how, attempts=attempts, milliseconds=took
                    )
                )
            steps.reached("migrate: schema written")

        if task.group.how == How.MIGRATE:
            self._migrate_by_command(task)
            if self.run is not None:
                said = {"how": How.MIGRATE, "attempts": attempts, "milliseconds": _since(began)}
                journal.write_done(self.run, schema, **said)
            return How.MIGRATE
        outcome = self.prepared[id(task.group)].migrate(
            connections[settings.DDL_DATABASE],
            task.target,
            lock_timeout=self.order.lock_timeout * MILLISECOND,
            last_word=write_done,
        )
        return str(outcome.how)

    def _migrate_by_command(self, task: _Task) -> None:
        is_public = task.target.schema == PUBLIC_SCHEMA
        target = context.PLATFORM if is_public else task.target
        with executor.waiting_no_longer_than(self.order.lock_timeout * MILLISECOND):
            executor.migrate(target, *self.order.arguments, **self.order.flags)
        if is_public:
            if self.run is None:
                self._open()
                self._expect(0, [task])
            steps.reached("migrate: public migrated")

    def _postpone(self, task: _Task, error: UnableToLock) -> float | None:
        """Return after how many seconds it is tried again; None when it was tried often enough."""
        if task.attempts >= MOST_ATTEMPTS:
            self._fail(task.target.schema, error, attempts=task.attempts)
            return None
        pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (task.attempts - 1))
        pause *= random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        with self.telling:
            self.watcher.postponed(task.target.schema, attempts=task.attempts, pause=pause)
        return pause

    def _fail(self, schema: str, error: Exception, *, attempts: int) -> None:
        connection = connections[settings.DDL_DATABASE]
        connection.close_if_unusable_or_obsolete()
        with context.override(context.PLATFORM, in_transaction=True):
            if not schemas.exists(connection, schema):
                self._forget(schema)
                return
            why = journal.describe(error, schema)
            if isinstance(error, UnableToLock):
                why = f"its tables were in use at {attempts} attempts: {why}"
            if self.run is not None:
                journal.write_failed(self.run, schema, error=why, attempts=attempts)
        self._tell(Result(schema, error=why, attempts=attempts), error)

    def _forget(self, schema: str) -> None:
        if self.run is not None:
            journal.write_gone(self.run, schema)
        with self.telling:
            self.summary.pending -= 1
            self.summary.gone.append(schema)

    def _tell(self, result: Result, error: BaseException | None = None) -> None:
        with self.telling:
            self.summary.pending -= 1
            self.summary.results.append(result)
            self.watcher.finished(result, error)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
