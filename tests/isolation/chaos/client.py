"""
What does one client do while everything around it breaks?

The reads and writes of tests/isolation/workload.py, and those that only go wrong: errors,
timeouts, another clinic in the same transaction, nobody, leaving in the middle. What a
client writes carries a token in the column that says whose the row is; the history knows
for which clinic the token was, and what the client was told.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count
from traceback import walk_tb
from typing import Any

import psycopg
from django.db import DatabaseError, connections, transaction
from django.db.transaction import TransactionManagementError

from tenancy.errors import NoActiveTenant, TenantChangedInTransaction
from tests.isolation import workload
from tests.isolation.chaos.history import Event, History
from tests.isolation.chaos.plan import Way
from tests.isolation.workload import Undone

NAP_SECONDS = 0.03
PATIENCE = "20ms"

# What a fault makes of a statement, by SQLSTATE. A connection that is gone has none, and
# PgBouncer says 08P01 when it was the server's.
LOST = {None, "08P01", "08003", "08006", "57P01", "57P02", "57P03"}
CANCELLED = "57014"
DIVISION_BY_ZERO = "22012"
TRANSACTION_FAILED = "25P02"
FAULTS = LOST | {CANCELLED}
# Elsewhere it would mean that one step's transaction is still open in the next.
ASKED_FOR = {("fail", DIVISION_BY_ZERO), ("swallow_an_error", TRANSACTION_FAILED)}

Marks = Mapping[str, Iterable[str]]


class Client(workload.Client):
    """One thread, for one clinic after the other, until it is time to go home."""

    # One statement, or what the driver itself wraps in a transaction.
    AUTOCOMMIT = (
        workload.Client.create,
        workload.Client.insert_raw,
        workload.Client.insert_many,
        workload.Client.copy,
        workload.Client.update,
    )

    def __init__(
        self, *, name: str, number: int, way: Way, clinics: dict[str, str], history: History
    ) -> None:
        super().__init__(workload.Report(), alias=way.alias, number=number)
        self.name = name
        self.way = way
        self.clinics = clinics
        self.history = history
        self.counts: Counter[str] = Counter()
        self.serial = count()
        self.may_have_committed = False
        self.wrapper: Any = None

    def work(self, until: float) -> None:
        """Take one step after the other; an error ends the step, as it would end a request."""
        self.wrapper = connections[self.alias]
        self._watch_commits()
        steps, weights = zip(*self.STEPS, strict=True)
        try:
            while time.monotonic() < until:
                [step] = self.random.choices(steps, weights)
                self._take(step)
        finally:
            connections.close_all()

    def _take(self, step: Callable[[Client, str], None]) -> None:
        clinic = self._draw()
        try:
            with self.way.work_for(self.clinics[clinic]):
                step(self, clinic)
        except Exception as error:  # noqa: BLE001  # the faults' doing, or told as unexpected
            self._note_error(step.__name__, error)
            # What Django does between two requests.
            self.wrapper.close_if_unusable_or_obsolete()

    def _draw(self, *, but: str = "") -> str:
        return self.random.choice([each for each in self.clinics if each != but])

    def _watch_commits(self) -> None:
        commit = self.wrapper._commit

        def noted() -> None:
            self.may_have_committed = True
            commit()

        self.wrapper._commit = noted

    def _note_error(self, step: str, error: Exception) -> None:
        sqlstate, name = _describe(error)
        self.counts[f"error: {name}"] += 1
        is_expected = sqlstate in FAULTS or (step, sqlstate) in ASKED_FOR
        # Django's own word for a fault that met a ROLLBACK TO: the whole must go.
        is_expected |= isinstance(error, Undone | TransactionManagementError)
        if not is_expected:
            self.history.note(Event.UNEXPECTED, f"{step}: {error!r}")

    # Reading

    def read(self, clinic: str) -> None:
        self._check(clinic, self.random.choice(self.READS))

    def _check(self, clinic: str, read: Callable[..., workload.Answers]) -> None:
        for answer in read(self):
            self.counts["reads"] += 1
            if set(answer) != {clinic}:
                sentence = f"{read.__name__} for {clinic} answered {sorted(set(answer))}"
                self.history.note(Event.WRONG_READ, sentence)

    # Writing

    def write(self, clinic: str) -> None:
        shape: Callable[..., Iterable[str]] = self.random.choice(self.WRITES)
        token = self._begin(clinic, shape.__name__)
        is_autocommit = shape in self.AUTOCOMMIT
        self._attempt([token], lambda: {token: shape(self, token)}, is_autocommit=is_autocommit)

    def write_in_two_clinics(self, clinic: str) -> None:
        """Another clinic's work in this one's transaction, which is allowed when it is meant."""
        other = self._draw(but=clinic)
        own, others = self._begin(clinic, "two clinics"), self._begin(other, "the other clinic")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                first = self._insert(own, f"{own} 1")
                savepoint = transaction.savepoint(using=self.alias)
                with self.way.work_for(self.clinics[other], is_meant=True):
                    self._insert("undone", "undone")
                    # What was bound after the savepoint is undone with it.
                    transaction.savepoint_rollback(savepoint, using=self.alias)
                    self._check(other, workload.Client.read_one)
                    with transaction.atomic(using=self.alias):
                        written = self.create(others)
                    self._undo("undone")
                    self._check(other, workload.Client.read_raw)
                self._check(clinic, workload.Client.read_one)
                return {own: [first, self._insert(own, f"{own} 2")], others: written}

        self._attempt([own, others], write)
        self.counts["changes of clinic in a transaction"] += 1

    def write_despite_a_refused_change(self, clinic: str) -> None:
        """Another clinic in this one's transaction, not meant: refused, and nothing broken."""
        token = self._begin(clinic, "refused change")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                first = self._insert(token, f"{token} 1")
                self._be_refused(clinic)
                return {token: [first, self._insert(token, f"{token} 2")]}

        self._attempt([token], write)

    def _be_refused(self, clinic: str) -> None:
        other = self._draw(but=clinic)
        try:
            with self.way.work_for(self.clinics[other]):
                if self.random.random() < 0.5:
                    self._insert("refused", "refused")
                with transaction.atomic(using=self.alias):
                    self._insert("refused", "refused")
        except TenantChangedInTransaction:
            self.counts["refused changes of clinic"] += 1
        else:
            self.history.note(Event.LET_IN, f"{other} was let into a transaction of {clinic}")

    def _begin(self, clinic: str, shape: str) -> str:
        token = f"{clinic}/{self.name}/{next(self.serial)}"
        self.history.note(Event.BEGUN, token, clinic, shape)
        return token

    def _attempt(
        self,
        tokens: list[str],
        write: Callable[[], Marks],
        *,
        is_autocommit: bool = False,
        can_commit: bool = True,
    ) -> None:
        """Write, and note what we are told: it is kept, it is undone, or nothing at all."""
        self.may_have_committed = is_autocommit
        try:
            kept = write()
        except Exception as error:
            is_lost = can_commit and self.may_have_committed and _describe(error)[0] in LOST
            for token in tokens:
                self.history.note(Event.UNCERTAIN if is_lost else Event.UNDONE, token)
            raise
        for token in tokens:
            self.history.note(Event.KEPT, token, list(kept[token]))

    # Nobody

    def work_for_nobody(self, clinic: str) -> None:
        """Each attempt to work without a clinic is refused."""
        attempt = self.random.choice([*self.READS, workload.Client.create, _insert_for_nobody])
        place = self.random.choice([self._here, self._in_a_transaction, self._in_a_bare_thread])
        names = ["nobody"] if attempt in NAMED else []
        place(clinic, lambda: list(attempt(self, *names)))

    def _here(self, clinic: str, attempt: Callable[[], Any]) -> None:
        with self.way.work_for_nobody():
            self._expect_nobody(attempt)

    def _in_a_transaction(self, clinic: str, attempt: Callable[[], Any]) -> None:
        with transaction.atomic(using=self.alias):
            self._check(clinic, workload.Client.read_one)
            with self.way.work_for_nobody():
                self._expect_nobody(attempt)
            # A model's save() marks the transaction when it fails, whatever the error.
            if not self.wrapper.needs_rollback:
                self._check(clinic, workload.Client.read_one)

    def _in_a_bare_thread(self, clinic: str, attempt: Callable[[], Any]) -> None:
        def work() -> None:
            try:
                self._expect_nobody(attempt)
            except Exception as error:  # noqa: BLE001  # nobody waits for it here
                self._note_error("bare thread", error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def _expect_nobody(self, attempt: Callable[[], Any]) -> None:
        try:
            attempt()
        except NoActiveTenant:
            self.counts["refused attempts without a clinic"] += 1
        else:
            self.history.note(Event.LET_IN, "work for nobody was done")

    # What goes wrong by itself

    def fail(self, clinic: str) -> None:
        """A database error leaves the block: all is rolled back."""
        self._fail_after_a_row(clinic, "SELECT 1 / 0")

    def be_too_slow(self, clinic: str) -> None:
        """A statement is cancelled by the server's clock."""
        self._fail_after_a_row(
            clinic, f"SET LOCAL statement_timeout = '{PATIENCE}'", "SELECT pg_sleep(5)"
        )

    def _fail_after_a_row(self, clinic: str, *statements: str) -> None:
        token = self._begin(clinic, "failing")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                marks = self.create(token)
                for statement in statements:
                    self._execute(statement)
            return {token: marks}

        self._attempt([token], write)

    def fail_in_a_savepoint(self, clinic: str) -> None:
        """A database error is caught around a savepoint: the rest goes on, where it was."""
        token = self._begin(clinic, "savepoint")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                first = self._insert(token, f"{token} 1")
                try:
                    with transaction.atomic(using=self.alias):
                        self.create("undone")
                        self._execute("SELECT 1 / 0")
                except DatabaseError as error:
                    if _describe(error)[0] != DIVISION_BY_ZERO:
                        raise
                self._check(clinic, workload.Client.read_one)
                return {token: [first, self._insert(token, f"{token} 2")]}

        self._attempt([token], write)

    def swallow_an_error(self, clinic: str) -> None:
        """A database error is swallowed behind Django's back: the commit must fail."""
        token = self._begin(clinic, "swallowed")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                marks = self.create(token)
                with suppress(psycopg.errors.DivisionByZero):
                    self.wrapper.connection.execute("SELECT 1 / 0")
            return {token: marks}

        self._attempt([token], write)

    def nap(self, clinic: str) -> None:
        """A statement that takes its time, for the faults to find."""
        token = self._begin(clinic, "nap")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                first = self._insert(token, f"{token} 1")
                self._execute(f"SELECT pg_sleep({NAP_SECONDS})")
                return {token: [first]}

        self._attempt([token], write)

    def leave(self, clinic: str) -> None:
        """The connection is dropped in the middle of a transaction, which cannot commit then."""
        token = self._begin(clinic, "leaving")

        def write() -> Marks:
            with transaction.atomic(using=self.alias):
                marks = self.create(token)
                self.wrapper.connection.pgconn.finish()
                self.counts["dropped: left in a transaction"] += 1
                if self.random.random() < 0.5:
                    raise Undone
            return {token: marks}

        self._attempt([token], write, can_commit=False)

    def _execute(self, statement: str) -> None:
        with self.wrapper.cursor() as cursor:
            cursor.execute(statement)

    # In percent, about.
    STEPS = (
        (read, 70),
        (write, 18),
        (write_in_two_clinics, 3),
        (write_despite_a_refused_change, 2),
        (work_for_nobody, 3),
        (fail, 1),
        (fail_in_a_savepoint, 2),
        (swallow_an_error, 1),
        (be_too_slow, 0.3),
        (nap, 0.5),
        (leave, 0.3),
    )


def _insert_for_nobody(client: Client, name: str) -> str:
    return client._insert(name, name)


NAMED = (workload.Client.create, _insert_for_nobody)


def _describe(error: BaseException) -> tuple[str | None, str]:
    """Return the SQLSTATE, if the server gave one, and the driver's name of the error."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, psycopg.Error):
        return cause.sqlstate, type(cause).__name__
    if isinstance(error, ValueError) and _is_raised_in_psycopg(error):
        # The server was ended while a COPY was: psycopg unpacks one result and finds two.
        return None, "ValueError of psycopg"
    return "not the driver's", type(error).__name__


def _is_raised_in_psycopg(error: BaseException) -> bool:
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"]).startswith("psycopg")
