"""
How does a statement travel in one message with its binding?

A psycopg connection and cursors for it. Outside a transaction, PostgreSQL runs the
statements of one simple-protocol message as one implicit transaction (chapter 55.2.2.1),
so `SET LOCAL ...; SELECT ...` binds exactly that SELECT and leaves nothing behind. In
a transaction BEGIN and the binding travel in the message of its first statement, one
round trip less than it takes to send BEGIN by itself. COMMIT carries an assertion that
the binding still stands.

Nothing is remembered about the session: a pooler may give the next transaction any
server connection it likes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import errors, generators, pq

from tenancy import context, schemas
from tenancy.backend import gauges, positions, session_state
from tenancy.backend.server import Server, ServerAway
from tenancy.errors import TenantChangedInTransaction, TenantContextChanged

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from tenancy.context import Activation, Target

IDLE = pq.TransactionStatus.IDLE
ACTIVE = pq.TransactionStatus.ACTIVE
INTRANS = pq.TransactionStatus.INTRANS
INERROR = pq.TransactionStatus.INERROR
FATAL_ERROR = pq.ExecStatus.FATAL_ERROR
SQLSTATE = pq.DiagnosticField.SQLSTATE
DIVISION_BY_ZERO = b"22012"


@dataclass(frozen=True, slots=True)
class Binding:
    """Under which schemas and as whom the statements of a transaction run."""

    target: Target = field(compare=False)
    path: tuple[str, ...]
    role: str | None
    statement_timeout: timedelta | None = None

    # Composed once: these are sent with every statement and every transaction.
    sql: bytes = field(init=False, compare=False, repr=False)
    commit: bytes = field(init=False, compare=False, repr=False)
    statements: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "sql", schemas.bind_sql(self.path, self.role, self.statement_timeout)
        )
        object.__setattr__(self, "commit", commit_sql([self]))
        given = (self.path, self.role, self.statement_timeout)
        object.__setattr__(self, "statements", len(given) - given.count(None))


def commit_sql(bindings: Iterable[Binding]) -> bytes:
    """Return COMMIT behind the assertion that one of `bindings` still stands."""
    expected = {(schemas.first_in_path(each.path), each.role): None for each in bindings}
    return schemas.assert_bound_sql(expected) + b"COMMIT"


class Prefix(NamedTuple):
    """What goes in front of a statement, in its message, and of how many statements it is."""

    sql: bytes
    statements: int
    binding: Binding


Binder = Callable[["Target"], Binding]


class BoundConnection(psycopg.Connection[Any]):
    """
    A driver connection that binds each transaction to the active tenant.

    Until it is given a `binder`, and after that is taken away, it behaves as psycopg's
    own: connection setup and a pool's workers know no tenant.
    """

    binder: Binder | None = None
    may_rebind = False
    is_shared = True
    """Whether the session behind this connection may be another client's next."""
    is_test_case: Callable[[], bool] | None = None
    """Whether the open transaction is but what Django's TestCase rolls back."""

    on_switch: Callable[[Target, float], None] | None = None
    """Told how long the first message took that was bound to another tenant than the last."""

    schemas_served: set[str]
    """Where it has worked; PostgreSQL keeps a catalogue of each in the process's memory."""

    _worked_for: str | None = None
    _session: Binding | None = None
    _is_block_bound = False

    # Of the open transaction: its binding, who asked for it last, and everybody before.
    _bound: Binding | None = None
    _activation: Activation | None = None
    _bindings: list[Binding]
    _activations: set[Activation]
    _has_rebound = False

    server: Server | None = None
    """Whom it is connected to, and from whom others of this process have heard."""

    @classmethod
    def connect(  # type: ignore[override]  # psycopg's names its own, which are passed on
        cls, conninfo: str = "", *, server: Server | None = None, **kwargs: Any
    ) -> BoundConnection:
        """Connect as psycopg does; with `server`, not while that is known to be away."""
        if server is not None:
            at_server = _class_at(cls, server)  # type: ignore[arg-type]  # a class has a hash
            return at_server.connect(conninfo, **kwargs)
        if cls.server is None:
            return super().connect(conninfo, **kwargs)
        with cls.server.entering():
            return super().connect(conninfo, **kwargs)

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Generator[Any, Any, Any]:
        connecting = super()._connect_gen(conninfo)
        return cls.server.listening(connecting) if cls.server else connecting

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        if self.server is None:
            return super().wait(gen, *args, **kwargs)
        answered = self.server.answered
        try:
            result = super().wait(self.server.listening(gen), *args, **kwargs)
        except ServerAway:
            # Its answer may come yet, and would be taken for the next statement's.
            self.close()
            raise
        except errors.ProtocolViolation as error:
            self.server.refused(error, answered=answered)
            raise
        self.server.answered += 1
        return result

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.schemas_served = set()
        self._forget()
        gauges.watch(self)

    def prefix_to_send(self) -> Prefix | None:
        """
        Return what must precede the next statement, or None if the binding stands.

        Raise NoActiveTenant when nobody is active, TenantChangedInTransaction when the
        open transaction is another's. Nothing has been sent in either case.
        """
        if self.binder is None or self._is_block_bound:
            return None

        status = self.pgconn.transaction_status
        if status == INERROR:
            # The server refuses all but ROLLBACK, and would refuse a binding too.
            return None

        activation = context.require_activation()
        binding = self.binder(activation.target)
        if status == IDLE:
            return self._prefix_when_idle(activation, binding)
        stands = self._bound is binding or self._bound == binding
        if stands and not self._has_rebound:
            if activation is not self._activation:
                self._remember(activation, binding)
            return None
        if self._bound is not None and not stands:
            self._check_may_rebind(activation, self._bound, binding)
            # ROLLBACK TO may undo any later binding without our knowing, so
            # from here on every statement of the transaction carries its own.
            self._has_rebound = True
        self._remember(activation, binding)
        return Prefix(binding.sql, binding.statements, binding)

    def _prefix_when_idle(self, activation: Activation, binding: Binding) -> Prefix | None:
        if self._bound is not None:
            self._forget()
        if not self._autocommit:
            # If the server refuses it, the transaction has failed and will be forgotten.
            self._remember(activation, binding)
            return Prefix(self._begin_sql(binding), 1 + binding.statements, binding)
        if self._session is None:
            self.schemas_served.add(binding.path[0])
            return Prefix(binding.sql, binding.statements, binding)
        if self._session == binding:
            return None
        raise TenantChangedInTransaction(
            f"The session works for {self._session.target} outside any transaction, and "
            f"{binding.target} is active now. Leave outside_transaction() first."
        )

    def _begin_sql(self, binding: Binding) -> bytes:
        return self._get_tx_start_command() + b"; " + binding.sql

    def _check_may_rebind(self, activation: Activation, bound: Binding, binding: Binding) -> None:
        if self.may_rebind or activation.in_transaction or activation in self._activations:
            return
        if context.is_same(bound.target, binding.target) and bound.role == binding.role:
            return  # the same tenant's, with or without the public schema behind it
        if self.is_test_case and self.is_test_case():
            return
        # A binding is everybody's who has the schema, also whoever gave it no name.
        known = self._activation.target if self._activation else bound.target
        raise TenantChangedInTransaction(
            f"The open transaction works for {known}, and {activation.target} is "
            "active now. Finish the transaction first, or say that this is meant: "
            "context.override(..., in_transaction=True)."
        )

    def _remember(self, activation: Activation, binding: Binding) -> None:
        self.schemas_served.add(binding.path[0])
        self._bound = binding
        self._activation = activation
        if binding not in self._bindings:
            self._bindings.append(binding)
        self._activations.add(activation)
        if activation.in_transaction and activation.outer:
            self._activations.add(activation.outer)

    def _forget(self) -> None:
        self._bound = self._activation = None
        self._has_rebound = False
        self._bindings = []
        self._activations = set()

    def _start_query(self) -> Generator[Any, Any, None]:
        # With a binder, BEGIN goes with the binding: see prefix_to_send().
        if self.binder is None:
            yield from super()._start_query()

    def _begin_gen(self, binder: Binder) -> Generator[Any, Any, None]:
        """Begin a transaction in autocommit, and bind it to whoever is active."""
        activation = context.require_activation()
        binding = binder(activation.target)
        self._forget()
        began = time.perf_counter()
        self._raise_first((yield from self._send_together(self._begin_sql(binding))))
        self._note_switch(binding, began)
        self._remember(activation, binding)

    def bind_gen(self) -> Generator[Any, Any, None]:
        """Send the binding, with BEGIN if need be, for what cannot share a message with it."""
        began = time.perf_counter()
        prefix = self.prefix_to_send()
        if prefix is not None:
            self._raise_first((yield from self._send_together(prefix.sql)))
            self._note_switch(prefix.binding, began)

    def _note_switch(self, binding: Binding, began: float) -> None:
        """
        Tell who wants to know how long it took since `began`, if it was for another tenant.

        What the server does for a binding has no answer of its own: the time is that of the
        whole message, so that it is a bound from above.
        """
        if self.on_switch is not None and binding.path[0] != self._worked_for:
            self._worked_for = binding.path[0]
            self.on_switch(context.require_current(), time.perf_counter() - began)

    def give_back(self) -> None:
        """Work for nobody: in a pool it is nobody's, and whoever gets it next begins anew."""
        self.binder = self._worked_for = None

    def _commit_gen(self) -> Generator[Any, Any, None]:
        """
        Commit what was done under the binding, and nothing else.

        Raise TenantContextChanged when schema or role were changed behind our back, and
        InFailedSqlTransaction when a database error was swallowed: psycopg would answer
        COMMIT's silent ROLLBACK with success.
        """
        status = self.pgconn.transaction_status
        if self.binder is None or status == IDLE or self._num_transactions or self._tpc:
            yield from super()._commit_gen()
            self._forget()
            return
        if status == INERROR:
            yield from self._rollback_gen()
            raise errors.InFailedSqlTransaction(
                "The transaction failed before and its error was swallowed: it was rolled back. "
                "Let the error leave the atomic block, or put the statement in one of its own."
            )

        if self._bound is None:
            # Begun by hand, and nothing was done in it.
            yield from super()._commit_gen()
            return

        message = commit_sql(self._bindings) if self._has_rebound else self._bound.commit
        results = yield from self._send_together(message)
        # A deferred constraint may fail as well, and is then the second one's error.
        if results[0].error_field(SQLSTATE) == DIVISION_BY_ZERO:
            bound = self._bound.target
            yield from self._rollback_gen()
            raise TenantContextChanged(
                f"A transaction of {bound} ended in another schema or role than it was bound to "
                "(SET, RESET or DISCARD in raw SQL?): it was rolled back."
            )
        self._raise_first(results)
        self._forget()

    def _rollback_gen(self) -> Generator[Any, Any, None]:
        yield from super()._rollback_gen()
        self._forget()

    def _send_together(self, message: bytes) -> Generator[Any, Any, list[PGresult]]:
        """Send several statements in one simple-protocol message, and return their results."""
        if self._pipeline:
            raise errors.NotSupportedError(
                "A binding cannot travel in pipeline mode: open the transaction before the "
                "pipeline, with transaction.atomic() and one statement."
            )
        self._check_connection_ok()
        self.pgconn.send_query(message)
        results: list[PGresult] = yield from generators.execute(self.pgconn)
        return results

    def _raise_first(self, results: list[PGresult]) -> None:
        for result in results:
            if result.status == FATAL_ERROR:
                raise errors.error_from_result(result, encoding=self.pgconn._encoding)

    @contextmanager
    def bound_transaction(self) -> Iterator[None]:
        """
        Run the block in a transaction that is bound already.

        For executemany, COPY and stream, which use another protocol than the one in
        which a binding can share a message. Inside a transaction, only the binding is
        made sure of; outside, one is opened and ended around the block.
        """
        binder = self.binder
        if binder is None:
            yield
            return
        if not self._autocommit or self.pgconn.transaction_status != IDLE:
            self._run(self.bind_gen)
            self._is_block_bound = True
            try:
                yield
            finally:
                self._is_block_bound = False
            return

        try:
            # Its binding may be refused, when BEGIN has been done already.
            self._run(lambda: self._begin_gen(binder))
            yield
            self._run(self._commit_gen)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        if self.pgconn.transaction_status == ACTIVE:
            # A COPY or a stream was left half-way, and its rest is still to come.
            self.close()
        elif self.pgconn.status == pq.ConnStatus.OK:
            self._run(self._rollback_gen)

    @contextmanager
    def bound_session(self) -> Iterator[None]:
        """
        Bind the session itself while the block runs, for what no transaction takes.

        Only sound where no pooler stands between. Should the end of the block not
        reach the server, the connection is closed, and the session with it.
        """
        if self.binder is None:
            yield
            return
        binding = self.binder(context.require_current())
        self.schemas_served.add(binding.path[0])
        bind = schemas.bind_session_sql(binding.path, binding.role)
        self._send_now(bind)
        self._session = binding
        try:
            yield
        finally:
            self._session = None
            try:
                self._send_now(schemas.UNBIND_SESSION)
            except psycopg.Error:
                self.close()
                raise

    def is_alive(self) -> bool:
        """
        Tell whether the next statement may be sent here; nothing is sent to find out.

        A server or a pooler that goes away closes the socket, and that can be read. A
        transaction that somebody else left open, or failed, is none to go on with.
        """
        socket = poll()
        try:
            socket.register(self.pgconn.socket, POLLIN)
            while socket.poll(0):
                self.pgconn.consume_input()
        except psycopg.OperationalError:
            return False
        status = self.pgconn.transaction_status
        return status == IDLE or (status == INTRANS and not self._autocommit)

    def _send_now(self, message: bytes) -> None:
        with self.lock:
            self._raise_first(self.wait(self._send_together(message)))

    def _run(self, step: Callable[[], Generator[Any, Any, None]]) -> None:
        with self.lock:
            self.wait(step())


@lru_cache(maxsize=64)
def _class_at(connection_class: type[BoundConnection], server: Server) -> type[BoundConnection]:
    """Return a class of connections to `server`: psycopg connects by a class's own steps."""
    return type(connection_class.__name__, (connection_class,), {"server": server})


class RefusingCursor:
    """Mixed into every cursor: what would stay on a session is not sent to a shared one."""

    # What psycopg's cursor gives and this mixin uses.
    _conn: BoundConnection
    _encoding: str

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        # Here and not in execute(): executemany, stream and copy convert theirs too.
        if self._conn.binder is not None and self._conn.is_shared:
            session_state.refuse(query)
        return super()._convert_query(query, params)  # type: ignore[misc]  # mixin


class BoundCursor(RefusingCursor):
    """Mixed into the backend's client-side cursor: each statement carries its binding."""

    _results_to_skip = 0
    _prefix = _statement = b""

    def _maybe_prepare_gen(self, pgq: Any, **kwargs: Any) -> Generator[Any, Any, None]:
        began = time.perf_counter()
        prefix = self._conn.prefix_to_send()
        if prefix is None:
            yield from super()._maybe_prepare_gen(pgq, **kwargs)  # type: ignore[misc]  # mixin
            return

        if self._conn._pipeline:
            raise errors.NotSupportedError("A binding cannot travel in pipeline mode.")
        self._prefix, self._statement = prefix.sql, pgq.query
        pgq.query = self._prefix + self._statement
        self._results_to_skip = prefix.statements
        try:
            yield from super()._maybe_prepare_gen(pgq, **kwargs)  # type: ignore[misc]  # mixin
            self._conn._note_switch(prefix.binding, began)
        finally:
            # connection.queries and assertNumQueries show what the caller wrote.
            pgq.query = self._statement
            self._results_to_skip = 0
            self._prefix = self._statement = b""

    def _raise_for_result(self, result: Any) -> None:
        if self._prefix and result.status == FATAL_ERROR:
            raise positions.error_from_result(
                result,
                prefix=self._prefix,
                statement=self._statement,
                encoding=self._encoding,
            )
        super()._raise_for_result(result)  # type: ignore[misc]  # mixin

    def _set_results(self, results: list[Any]) -> None:
        # Of an empty statement there is no result; that of the binding stands for it.
        own = results[self._results_to_skip :] or results[-1:]
        super()._set_results(own)  # type: ignore[misc]  # mixin

    def executemany(self, query: Any, params_seq: Iterable[Any], **kwargs: Any) -> None:
        with self._conn.bound_transaction():
            super().executemany(query, params_seq, **kwargs)  # type: ignore[misc]  # mixin

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self._conn.bound_transaction():
            yield from super().stream(*args, **kwargs)  # type: ignore[misc]  # mixin

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with (
            self._conn.bound_transaction(),
            super().copy(*args, **kwargs) as copy,  # type: ignore[misc]  # mixin
        ):
            yield copy


class BoundServerCursor(RefusingCursor):
    """Mixed into the backend's named cursor, which lives in the transaction that declares it."""

    def __init__(self, connection: BoundConnection, *args: Any, **kwargs: Any) -> None:
        super().__init__(connection, *args, **kwargs)  # type: ignore[call-arg]  # mixin
        if connection.is_shared and self.withhold:  # type: ignore[attr-defined]  # mixin
            self._closed = True
            raise errors.NotSupportedError(
                "A cursor WITH HOLD would stay on a session that others use. Declare it "
                "without, inside transaction.atomic()."
            )

    def _start_query(self, query: Any = None) -> Generator[Any, Any, None]:
        yield from super()._start_query(query)  # type: ignore[misc]  # mixin
        yield from self._conn.bind_gen()

    def _declare_gen(self, *args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
        connection = self._conn
        binder = connection.binder
        outside = connection._autocommit and connection.pgconn.transaction_status == IDLE
        if binder is None or not outside:
            yield from super()._declare_gen(*args, **kwargs)  # type: ignore[misc]  # mixin
            return
        # WITH HOLD: it is declared in a transaction of its own, and stays.
        yield from connection._begin_gen(binder)
        try:
            yield from super()._declare_gen(*args, **kwargs)  # type: ignore[misc]  # mixin
        except psycopg.Error:
            yield from connection._rollback_gen()
            raise
        yield from connection._commit_gen()
