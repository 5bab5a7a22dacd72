"""
Which programs are drawn, and how is each of their steps held against the model?
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import psycopg
import pytest
from django.db import DataError, InternalError, connection, transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from psycopg import sql
from psycopg.pq import TransactionStatus

from tenancy import context, roles
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.errors import NoActiveTenant
from tests.tenancy.switch_model import Activation, Level, Transaction
from tests.tenancy.switch_reads import READS, Place, in_event_loop, raw

DEPTH = 6

# A row that says itself where it was written; every schema has this table.
WRITE = """
    INSERT INTO django_session (session_key, session_data, expire_date)
    VALUES (%s, current_schema() || ' ' || current_user, now())
"""
WRITTEN = "SELECT session_key, session_data FROM {table}"
CLEAR = "DELETE FROM {table}"

GHOST = ActiveTenant(id=None, schema="tenant_ghost")
"""A tenant that is gone: neither its schema nor its role exists."""


def _reconnect_unless_idle() -> None:
    connection.ensure_connection()
    if connection.connection.pgconn.transaction_status != TransactionStatus.IDLE:
        connection.close()
        connection.ensure_connection()
    connection.connection.autocommit = connection.autocommit = True


@dataclass
class Frame:
    """A block that was entered: an override, which put another activation aside, or atomic."""

    block: AbstractContextManager[Any]
    before: Activation | None
    is_atomic: bool


class Switch(RuleBasedStateMachine):
    """Elm, Oak, the platform, a ghost and nobody, in one thread and its helpers."""

    elm: Target
    oak: Target
    server: psycopg.Connection[Any]
    helper: ThreadPoolExecutor
    serial = count()

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self.activation = Activation(None)
        self.transaction: Transaction | None = None
        self.committed: list[tuple[Target, str]] = []
        self._start_anew()

    def _start_anew(self) -> None:
        """A run that failed, while it is made smaller, leaves nothing to the next one."""
        context.deactivate()
        connection.in_atomic_block = connection.needs_rollback = False
        connection.savepoint_ids, connection.atomic_blocks = [], []
        for restart in (_reconnect_unless_idle, self.helper.submit(_reconnect_unless_idle).result):
            restart()
        self._clear()

    def _clear(self) -> None:
        for target in (self.elm, self.oak, PLATFORM):
            self.server.execute(sql.SQL(CLEAR).format(table=self.table(target)))

    def table(self, target: Target) -> sql.Identifier:
        return sql.Identifier(self.place(target)[0], "django_session")

    def target(self, name: str) -> Target | None:
        return {
            "elm": self.elm,
            "oak": self.oak,
            "platform": PLATFORM,
            "ghost": GHOST,
        }.get(name)

    def place(self, target: Target) -> Place:
        database = connection.settings_dict["NAME"]
        if isinstance(target, ActiveTenant):
            return target.schema, roles.name(database, target.schema)
        return "public", roles.name(database, "platform")

    # What the model says of the next statement

    def refusal(self, activation: Activation) -> type[Exception] | None:
        """Return what the next statement ends in, or None if it runs; the model moves on."""
        if activation.target is None:
            return NoActiveTenant
        if self.transaction is not None and (refused := self.transaction.let_in(activation)):
            return refused
        if activation.target == GHOST:
            self._fail()
            return DataError
        return None

    def _fail(self) -> None:
        if self.transaction is not None:
            self.transaction.has_failed = True

    def _expect(self, refused: type[Exception] | None, work: Callable[[], Any]) -> Any:
        if refused is None:
            return work()
        with pytest.raises(refused) as caught:
            work()
        assert caught.type is refused
        return None

    # Blocks

    targets = st.sampled_from(["elm", "oak"] * 8 + ["platform", "platform", "ghost", "nobody"])
    looks = st.sampled_from([True, True, False])
    """Whether a look at where we are follows, which itself may bind the transaction."""

    @precondition(lambda self: len(self.frames) < DEPTH)
    @rule(name=targets, is_meant=st.booleans(), looks=looks)
    def enter_override(self, name: str, is_meant: bool, looks: bool) -> None:
        target = self.target(name)
        block = context.override(target, in_transaction=is_meant)
        block.__enter__()
        self.frames.append(Frame(block, self.activation, is_atomic=False))
        self.activation = Activation(target, is_meant, self.activation)
        self._maybe_look(looks)

    @precondition(lambda self: len(self.frames) < DEPTH)
    @rule(looks=looks)
    def enter_atomic(self, looks: bool) -> None:
        block = transaction.atomic()
        if self.transaction is None:
            block.__enter__()
            self.transaction = Transaction([Level()])
        else:
            refused = self.refusal(self.activation)
            self._expect(refused, block.__enter__)
            if refused:
                return
            self.transaction.levels.append(Level())
        self.frames.append(Frame(block, self.activation, is_atomic=True))
        self._maybe_look(looks)

    @precondition(lambda self: self.frames)
    @rule(how=st.sampled_from(["well", "well", "by an error", "rolled back"]), looks=looks)
    def leave(self, how: str, looks: bool) -> None:
        frame = self.frames.pop()
        if frame.is_atomic:
            self._leave_atomic(frame.block, how)
        else:
            frame.block.__exit__(None, None, None)
            assert frame.before is not None
            self.activation = frame.before
        self._maybe_look(looks)

    def _leave_atomic(self, block: AbstractContextManager[Any], how: str) -> None:
        assert self.transaction is not None
        *outer, level = self.transaction.levels
        is_well = how == "well"
        refused = self._leave_savepoint(outer[-1], level, is_well) if outer else self._end(is_well)
        if how == "rolled back":
            transaction.set_rollback(True)
        error = ZeroDivisionError() if how == "by an error" else None
        self._expect(refused, lambda: block.__exit__(error and type(error), error, None))

    def _leave_savepoint(self, outer: Level, level: Level, is_well: bool) -> type[Exception] | None:
        """Move the model out of a savepoint; return what Django's end of the block raises."""
        assert self.transaction is not None
        self.transaction.levels.pop()
        has_failed, self.transaction.has_failed = self.transaction.has_failed, False
        if is_well and not has_failed:
            outer.written += level.written
        return InternalError if is_well and has_failed else None

    def _end(self, is_well: bool) -> type[Exception] | None:
        assert self.transaction is not None
        ended, self.transaction = self.transaction, None
        if is_well and ended.has_failed:
            return InternalError
        if is_well:
            self.committed += ended.levels[0].written
        return None

    @precondition(lambda self: self.transaction)
    @rule(what=st.sampled_from(["set", "roll back", "release"]), which=st.integers(0, 3))
    def savepoint_by_hand(self, what: str, which: int) -> None:
        """Unlike those of atomic(), these end under whoever happens to be active."""
        assert self.transaction is not None
        level = self.transaction.levels[-1]
        if what == "set":
            refused = self.refusal(self.activation)
            name = self._expect(refused, transaction.savepoint)
            if not refused:
                level.savepoints.append((name, len(level.written)))
        elif level.savepoints:
            index = which % len(level.savepoints)
            self._end_savepoint(level, index, is_rollback=what == "roll back")

    def _end_savepoint(self, level: Level, index: int, *, is_rollback: bool) -> None:
        assert self.transaction is not None
        name, written = level.savepoints[index]
        end = transaction.savepoint_rollback if is_rollback else transaction.savepoint_commit
        # Neither names anything of anybody's: who is active does not matter.
        refused = InternalError if self.transaction.has_failed and not is_rollback else None
        self._expect(refused, lambda: end(name))
        if refused:
            return
        del level.savepoints[index + is_rollback :]
        if is_rollback:
            self.transaction.has_failed = False
            del level.written[written:]

    # Statements

    def _maybe_look(self, looks: bool) -> None:
        if looks:
            self.look()

    @rule(
        read=st.sampled_from(READS),
        name=st.one_of(st.none(), targets),
        is_meant=st.booleans(),
        is_async=st.booleans(),
        looks=looks,
    )
    def read(
        self,
        read: Callable[[], Place],
        name: str | None,
        is_meant: bool,
        is_async: bool,
        looks: bool,
    ) -> None:
        """Read for whoever is active, or for `name`; in this thread, or from an event loop."""
        work = partial(in_event_loop, read) if is_async else read
        if name is None:
            self._check(self.activation, work)
            return
        target = self.target(name)
        with context.override(target, in_transaction=is_meant):
            self._check(Activation(target, is_meant, self.activation), work)
        self._maybe_look(looks)

    def look(self) -> type[Exception] | None:
        """Look where we are; return how that was refused, if it was."""
        return self._check(self.activation, raw)

    def _check(self, activation: Activation, read: Callable[[], Place]) -> type[Exception] | None:
        refused = self.refusal(activation)
        answer = self._expect(refused, read)
        if not refused:
            assert activation.target is not None
            assert answer == self.place(activation.target)
        return refused

    @rule(rows=st.integers(1, 3), is_many=st.booleans())
    def write(self, rows: int, is_many: bool) -> None:
        keys = [f"machine {next(self.serial)}" for _ in range(rows if is_many else 1)]

        def work() -> None:
            with connection.cursor() as cursor:
                if is_many:
                    cursor.executemany(WRITE, [[key] for key in keys])
                else:
                    cursor.execute(WRITE, keys)

        refused = self.refusal(self.activation)
        self._expect(refused, work)
        if not refused:
            assert self.activation.target is not None
            rows_there = [(self.activation.target, key) for key in keys]
            written = self.transaction.levels[-1].written if self.transaction else self.committed
            written += rows_there

    @precondition(lambda self: self.transaction is None or not self.transaction.has_failed)
    @rule()
    def swallow_an_error(self) -> None:
        """A database error is caught where it happened, in the middle of whatever is open."""
        refused = self.refusal(self.activation)
        if refused is None:
            self._fail()

        def work() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")

        self._expect(refused or DataError, work)

    @rule(read=st.sampled_from(READS), how=st.sampled_from(["bare", "carried", "copied"]))
    def read_in_another_thread(self, read: Callable[[], Place], how: str) -> None:
        """Another thread has a connection of its own, and no transaction."""
        work = {
            "bare": (read,),
            "carried": (context.carry(read),),
            "copied": (copy_context().run, read),
        }[how]
        target = None if how == "bare" else self.activation.target
        refused = {None: NoActiveTenant, GHOST: DataError}.get(target)
        answer = self._expect(refused, self.helper.submit(*work).result)
        if not refused:
            assert target is not None
            assert answer == self.place(target)

    # After each step

    @invariant()
    def the_same_is_active(self) -> None:
        assert context.get_current() == self.activation.target

    @invariant()
    def the_connection_is_as_the_model_is(self) -> None:
        status = connection.connection.pgconn.transaction_status
        if self.transaction is None or not self.transaction.has_begun:
            assert status == TransactionStatus.IDLE
        elif self.transaction.has_failed:
            assert status == TransactionStatus.INERROR
        else:
            assert status == TransactionStatus.INTRANS
        assert connection.in_atomic_block == (self.transaction is not None)

    def teardown(self) -> None:
        while self.frames:
            self.leave("by an error", looks=False)
        self.the_connection_is_as_the_model_is()
        assert context.get_current() is None
        for target in (self.elm, self.oak, PLATFORM):
            here = " ".join(self.place(target))
            wanted = {(key, here) for owner, key in self.committed if owner == target}
            assert self.list_written(target) == wanted
        self._clear()

    def list_written(self, target: Target) -> set[tuple[str, str]]:
        """Return each row of the target's with what it says of itself, read from outside."""
        statement = sql.SQL(WRITTEN).format(table=self.table(target))
        return set(self.server.execute(statement).fetchall())
