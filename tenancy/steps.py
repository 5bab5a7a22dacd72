"""
Between which steps can an operation be killed?

    PROVISION = steps.declare("provision", "locked", "row written", "schema made")

    steps.reached("provision: locked")

An operation says what its steps are and when each is behind it. Nothing depends on it but
tests: they go through STEPS and end a process at each of them, and what runs next has to
come to the same end. A step is said after what it names was done, inside the transaction if
there is one; the last thing to say is that the transaction is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of each operation that was imported, the steps in their order, as `reached` gets them.
STEPS: dict[str, tuple[str, ...]] = {}

# One for the whole process: an operation may go on in threads of its own.
_observers: list[Callable[[str], None]] = []


def declare(operation: str, *names: str) -> tuple[str, ...]:
    """Say which steps `operation` has; return them as `reached` gets them."""
    STEPS[operation] = tuple(f"{operation}: {name}" for name in names)
    return STEPS[operation]


def reached(step: str) -> None:
    """Say that `step` is behind us. Raise ValueError when its operation did not declare it."""
    operation = step.partition(": ")[0]
    if step not in STEPS.get(operation, ()):
        raise ValueError(f"{step!r} is not declared: add it to the steps of {operation!r}.")
    for observer in _observers:
        observer(step)


@contextmanager
def observed_by(observer: Callable[[str], None]) -> Iterator[None]:
    """Call `observer` with each step that this process reaches inside the block, in any thread."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)
