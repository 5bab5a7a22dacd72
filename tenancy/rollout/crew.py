"""
Which schema is next, which thread takes it, and when is one tried again?
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")

# How long it takes to notice that all is over, in seconds.
GLANCE = 0.2


class Crew(Generic[T]):
    """
    Threads that take one item after the other, each with connections of its own.

    `work` returns None when it is done with an item, or after how many seconds it is to be
    tried again: until then the others have their turn. One thread is the caller's own.
    """

    def __init__(
        self, jobs: int, work: Callable[[T], float | None], *, is_over: Callable[[], bool]
    ) -> None:
        self._jobs = jobs
        self._work = work
        self._is_over = is_over
        self._order = count()
        self._waiting: list[tuple[float, int, T]] = []
        self._in_hand = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def work_through(self, items: Iterable[T]) -> None:
        """
        Return when each of `items` is done, or when it is over and nothing is in hand.

        Raise what `work` raised, after the other threads have finished what they had in hand.
        """
        self._waiting = [(0.0, next(self._order), item) for item in items]
        if self._jobs == 1:
            self._take_turns()
        else:
            self._employ(min(self._jobs, len(self._waiting)))
        if self._error is not None:
            raise self._error

    def _employ(self, threads: int) -> None:
        crew = [threading.Thread(target=self._as_thread, daemon=True) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            while thread.is_alive():
                thread.join(GLANCE)  # a signal is handled in between

    def _as_thread(self) -> None:
        try:
            self._take_turns()
        finally:
            connections.close_all()

    def _take_turns(self) -> None:
        while (item := self._take()) is not None:
            try:
                pause = self._work(item)
            except BaseException as error:  # noqa: BLE001  # the caller's thread raises it
                self._put_back(item, None, error)
            else:
                self._put_back(item, pause, None)

    def _take(self) -> T | None:
        """Return the next item as soon as its turn has come, or None when there is no more."""
        with self._changed:
            while not self._is_over() and self._error is None:
                if not self._waiting:
                    if not self._in_hand:
                        return None
                    # Another thread may put back what it has in hand.
                    self._changed.wait(GLANCE)
                    continue
                patience = self._waiting[0][0] - time.monotonic()
                if patience > 0:
                    self._changed.wait(min(patience, GLANCE))
                    continue
                self._in_hand += 1
                return heapq.heappop(self._waiting)[2]
        return None

    def _put_back(self, item: T, pause: float | None, error: BaseException | None) -> None:
        with self._changed:
            self._in_hand -= 1
            self._error = self._error or error
            if pause is not None:
                turn = (time.monotonic() + pause, next(self._order), item)
                heapq.heappush(self._waiting, turn)
            self._changed.notify_all()
