"""
How does work for one tenant stay apart from another's that is done at the same time?

By a thread for each tenant, and not one of a pool: a connection, what third-party code keeps
for a thread, and context variables (who is active, the language, the time zone) all begin
anew with it, and end with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any, Generic, TypeAlias, TypeVar

from django.db import DatabaseError, connections

from tenancy import context, tenants
from tenancy.context import ActiveTenant, Platform, Target
from tenancy.fleet.selection import select
from tenancy.tenants import Tenant

# PostgreSQL works while a thread waits for it; more of them wait for the interpreter's lock.
JOBS = 4

T = TypeVar("T")
Outcome: TypeAlias = "tuple[T | None, BaseException | None]"


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What became of the work for one tenant."""

    tenant: Target
    value: T | None
    """What the function returned, None where it raised; of a command, its Output."""

    error: BaseException | None
    """What it raised; a SystemExit with a status other than 0 is one too."""

    seconds: float

    @property
    def is_failure(self) -> bool:
        return self.error is not None

    @property
    def why(self) -> str:
        """The error as a sentence, without what PostgreSQL quotes of a row; else ""."""
        return "" if self.error is None else _explain(self.error)


def each(
    function: Callable[[], T],
    targets: Iterable[Target | Tenant] | None = None,
    *,
    jobs: int = JOBS,
    stop: Event | None = None,
) -> Iterator[Result[T]]:
    """
    Call `function` once for each tenant, with it active, and yield results as they come.

    `targets` are rows of TENANT_MODEL, or what `select` returns; without them it is all that
    have a schema. At most `jobs` are worked for at once, and not many more results are kept
    than that, whatever the fleet's size. What is raised is in the result, and stops nobody.
    Once `stop` is set, or whoever iterates has left, no other tenant is begun, and those in
    flight are finished.

    The function runs in threads: it sees nothing of a transaction that the caller has open,
    and returns values rather than querysets, which nobody could evaluate any more.
    """

    def attempt() -> Outcome[T]:
        return function(), None

    return run(attempt, targets, jobs=jobs, stop=stop)


def run(
    attempt: Callable[[], Outcome[T]],
    targets: Iterable[Target | Tenant] | None,
    *,
    jobs: int,
    stop: Event | None,
) -> Iterator[Result[T]]:
    """As `each`, for an `attempt` that returns a value, an error or both, and may raise too."""
    if jobs < 1:
        raise ValueError(f"jobs = {jobs}: at least one tenant has to be worked for at a time.")
    waiting = iter(select() if targets is None else _read(targets))
    done: SimpleQueue[Result[T]] = SimpleQueue()
    threads: dict[Target, Thread] = {}

    def begin() -> None:
        while len(threads) < jobs and not (stop and stop.is_set()):
            if (target := next(waiting, None)) is None:
                return
            # What the caller set for itself, such as a language, holds; what is set there ends.
            work = copy_context().run
            thread = Thread(
                target=work,
                args=(_work, attempt, target, done),
                name=f"for {target}",
                daemon=True,
            )
            threads[target] = thread
            thread.start()

    try:
        begin()
        while threads:
            result = done.get()
            threads.pop(result.tenant).join()
            # First: this one may be the reason to begin no other.
            yield result
            begin()
    except KeyboardInterrupt:
        if stop and stop.is_set():
            threads.clear()  # it was pressed before, and whoever did has waited enough
        raise
    finally:
        for thread in threads.values():
            thread.join()


def _read(targets: Iterable[Target | Tenant]) -> list[Target]:
    """Return `targets` once each, as they are activated."""
    with context.override(context.PLATFORM, in_transaction=True):
        found = [
            each if isinstance(each, ActiveTenant | Platform) else tenants.as_active(each)
            for each in targets
        ]
    return list(dict.fromkeys(found))


def _work(attempt: Callable[[], Outcome[T]], target: Target, done: SimpleQueue[Result[T]]) -> None:
    began = monotonic()
    value, error = None, None
    try:
        with context.override(target):
            value, error = attempt()
    # SystemExit too: whoever waits for the result would wait for ever.
    except BaseException as raised:  # noqa: BLE001  # told, with its tenant
        error = raised
    finally:
        connections.close_all()
        done.put(Result(target, value, error, monotonic() - began))


def _explain(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"It ended with status {error.code}."
    if isinstance(error, DatabaseError):
        return _primary(error)
    kind = type(error)
    is_sentence = kind.__module__.startswith("tenancy.") or kind.__name__ == "CommandError"
    return str(error) if is_sentence else f"{kind.__name__}: {error}"


def _primary(error: Any) -> str:
    """Return PostgreSQL's message alone: what it says in detail quotes values of rows."""
    cause = error.__cause__
    diagnosis = getattr(cause, "diag", None)
    message = getattr(diagnosis, "message_primary", None)
    if not message:
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {message} ({cause.sqlstate})"
