"""
How is something asked that may never answer, without anybody waiting for it?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """
    The last answer, None before the first.

    `late` is for how many seconds a question has been open that nobody waits for any more, 0
    where the answer is as fresh as it should be.
    """

    value: T | None
    late: float


class Asked(Generic[T]):
    """
    Asks `question` when its answer is wanted, and at most once in `fresh` seconds.

    In a thread of its own, and in one at a time: however many want to know, the server has
    one question of this process, and while it hangs no second one. Whoever wants to know
    waits until `patience` seconds after the question was asked and not after they came, so
    that all of them together keep no thread for longer than that.

    `question` catches what it can fail with, and says so in its answer. What it does not
    catch leaves no answer: an old one would go on for ever.
    """

    def __init__(self, question: Callable[[], T], *, fresh: float, patience: float) -> None:
        self._question = question
        self._fresh = fresh
        self._patience = patience
        self._lock = Lock()
        self._value: T | None = None
        self._asked_at = self._answered_at = float("-inf")
        self._is_answered = Event()
        self._is_answered.set()

    def ask_if_old(self) -> None:
        """Ask, unless the answer is fresh or the question open already; wait for nothing."""
        with self._lock:
            is_open = not self._is_answered.is_set()
            if not is_open and monotonic() - self._answered_at >= self._fresh:
                self._is_answered.clear()
                self._asked_at = monotonic()
                Thread(target=self._ask, name="tenancy.health", daemon=True).start()

    def latest(self) -> Answer[T]:
        """Return the answer, asking if it is old; wait no longer than `patience`."""
        self.ask_if_old()
        with self._lock:
            deadline = self._asked_at + self._patience
        is_answered = self._is_answered.wait(max(0.0, deadline - monotonic()))
        with self._lock:
            return Answer(self._value, 0.0 if is_answered else monotonic() - self._asked_at)

    def wait(self, seconds: float) -> bool:
        """Return whether no question is open, or none any more within so many seconds."""
        return self._is_answered.wait(seconds)

    def _ask(self) -> None:
        value = None
        try:
            value = self._question()
        finally:
            with self._lock:
                self._value, self._answered_at = value, monotonic()
                self._is_answered.set()
