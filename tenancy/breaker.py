"""
Is Redis worth asking now?

Redis that is down refuses at once, and Redis that hangs, or a network that swallows what it
is sent, lets each question wait for SOCKET_TIMEOUT. A request asks several times. So a
process that got no answer asks nothing for a while, and then one of its threads asks first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any

from redis import exceptions

logger = logging.getLogger(__name__)

# For so long nothing is asked. A cache that is back is used after this time at the latest.
PAUSE_SECONDS = 2.0

# What to do in this process when an answer comes after a silence.
_on_return: list[Callable[[], None]] = []


class RedisAway(exceptions.ConnectionError):
    """Redis gave no answer a moment ago, and was not asked again; nothing was sent."""


class Breaker:
    """Whether one Redis answers, as far as this process knows; for all of its threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        # Until when nothing is asked; None while Redis answers.
        self._silent_until: float | None = None

    def check(self) -> None:
        """Raise RedisAway while there is no use in asking; one thread at a time may try."""
        if self._silent_until is None:
            return
        with self._lock:
            if self._silent_until is None:
                return
            if monotonic() < self._silent_until:
                raise RedisAway("Redis did not answer a moment ago.")
            # Whoever comes while this one asks need not wait as long as it does.
            self._silent_until = monotonic() + PAUSE_SECONDS

    def failed(self, error: Exception) -> None:
        """Ask nothing for a while."""
        with self._lock:
            is_new = self._silent_until is None
            self._silent_until = monotonic() + PAUSE_SECONDS
        if is_new:
            logger.warning(
                "Redis is away (%s): nothing is cached, and nothing limited but by each process, "
                "until it answers.",
                type(error).__name__,
            )

    def answered(self) -> None:
        """Go on asking."""
        if self._silent_until is None:
            return
        with self._lock:
            was_silent, self._silent_until = self._silent_until is not None, None
        if was_silent:
            logger.warning("Redis answers again.")
            for function in _on_return:
                function()


def on_return(function: Callable[[], None]) -> None:
    """Have `function` called, in some thread, when Redis answers after a silence."""
    if function not in _on_return:
        _on_return.append(function)


class _BreakingPool:
    """Mixed in before a pool's class: it gives out no connection while Redis is away."""

    connection_class: type[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.breaker = Breaker()
        self.connection_class = _telling(self.connection_class, self.breaker)

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        self.breaker.check()
        return super().get_connection(*args, **kwargs)  # type: ignore[misc]  # mixin


class _TellingConnection:
    """Mixed in before a connection's class: it tells whether it got an answer."""

    breaker: Breaker

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]  # mixin
        except exceptions.AuthenticationError:
            raise  # it answers, and knows us not: no use in keeping quiet about that
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            self.breaker.failed(error)
            raise

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            response = super().read_response(*args, **kwargs)  # type: ignore[misc]  # mixin
        # One that was closed may have been closed by itself: the next is made, and tells.
        except exceptions.TimeoutError as error:
            self.breaker.failed(error)
            raise
        except exceptions.ResponseError:
            self.breaker.answered()
            raise
        self.breaker.answered()
        return response


@lru_cache(maxsize=8)
def breaking(pool_class: type[Any]) -> type[Any]:
    """Return `pool_class` with a breaker of its own for each pool."""
    return type(f"Breaking{pool_class.__name__}", (_BreakingPool, pool_class), {})


def _telling(connection_class: type[Any], breaker: Breaker) -> type[Any]:
    name = f"Telling{connection_class.__name__}"
    return type(name, (_TellingConnection, connection_class), {"breaker": breaker})
