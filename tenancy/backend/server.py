"""
Is the server of an address there, as far as this process knows?

Everybody in the process who connects, or waits for an answer, tells it here and learns from
the others: while a server is known to be away nobody waits for it, and one thread asks whether
it is back. Nothing is sent to find out while it answers.

A server that refuses is away at once. One that only says nothing may be busy with what it was
asked, so that it is asked who lets us in: a server that is there answers that in milliseconds,
whatever its sessions do, and a pooler by itself.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import psycopg
from psycopg import errors, generators, pq

from tenancy.conf import settings

if TYPE_CHECKING:
    from tenancy.backend.pool import BoundPool

logger = logging.getLogger("tenancy.outages")

READY_R = 1  # psycopg.waiting.Ready.R
# In psycopg, what waits is told each tenth of a second that nothing has come.
TICK = timedelta(seconds=0.1)
# The share of the patience after which a server that says nothing is asked.
ASKED_AFTER = 0.4

# Of who asks whether it is back. The first times soon, then seldom: a server that starts has
# enough to do, and everybody asks.
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
CONNECT_TIMEOUT_SECONDS = 2
ANSWER_TIMEOUT_SECONDS = 5
# With nobody left who wants to know, nobody asks.
WANTED_SECONDS = 60

# A server that says no is there, unless it says one of these; FATAL is in every language.
REFUSAL = "FATAL"
AWAY = (
    "the database system is",  # starting up, shutting down, in recovery
    "terminating connection",
    "server login has been failing",  # PgBouncer's, from here on
    "cannot connect to server",
    "server conn crashed",
    "query_wait_timeout",
    "client_login_timeout",
)


class ServerAway(psycopg.OperationalError):
    """The server is known to be away; whoever says so has not waited for it."""


class Server:
    """Who answers at one address: PostgreSQL, or a pooler before it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.is_away = False
        self.pools: WeakSet[BoundPool] = WeakSet()
        self._name = f"{params.get('host', '')}:{params.get('port', '')}"
        ours = ("cursor_factory", "context", "prepare_threshold", "autocommit")
        self._params = {name: value for name, value in params.items() if name not in ours}
        self._lock = Lock()
        self._is_asked = False
        self.answered = 0
        """How many statements it has answered."""
        self._heard = 0
        patience = settings.DATABASE_PATIENCE
        # In turns of waiting.
        self._gives_up_after = max(round(patience / TICK), 2) if patience else None
        self._lost_at = self._wanted_at = 0.0
        self._turned_away = 0

    def check(self) -> None:
        """Raise ServerAway while it is known to be away."""
        if self.is_away:
            self._wanted_at = time.monotonic()
            self._turned_away += 1
            raise ServerAway(f"{self._name} does not answer, and is asked whether it is back.")

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Connect in the block: not at all while it is away; what comes of it is everybody's."""
        self.check()
        try:
            yield
        except psycopg.OperationalError as error:
            if _is_away(error):
                self.lose(_first_line(error))
            raise

    def refused(self, error: psycopg.Error, *, answered: int) -> None:
        """Know a pooler that had nobody to ask for seconds, when `answered` were answered."""
        if answered == self.answered and _is_away(error):
            self.lose(_first_line(error))

    def listening(self, waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """
        Return a generator that goes on with `waiting`, one of psycopg's, while that is of use.

        With TENANCY_DATABASE_PATIENCE it raises ServerAway where it is of none: once neither
        this nor any other connection of the process has heard a word for a while, the server
        is asked to let somebody in, and if it does not answer that either, it is away. Silence
        is counted in turns of waiting and not on the clock: a process that stood still for a
        moment has heard nothing for that long.
        """
        if self._gives_up_after is None:
            return waiting
        return self._listen(waiting, self._gives_up_after)

    def _listen(
        self, waiting: Generator[Any, Any, Any], gives_up_after: int
    ) -> Generator[Any, Any, Any]:
        asks_after = max(round(gives_up_after * ASKED_AFTER), 1)
        answer_within = gives_up_after - asks_after
        heard, silent = self._heard, 0
        try:
            wanted = next(waiting)
            while True:
                ready = yield wanted
                if ready:
                    if ready & READY_R:
                        self._heard += 1
                elif heard != self._heard:
                    heard = self._heard
                    # It works on what it was asked: ask again after twice the time.
                    asks_after *= 2 if silent >= asks_after else 1
                    silent = 0
                else:
                    silent += 1
                    self._wait_in_silence(silent, asks_after, answer_within)
                wanted = waiting.send(ready)
        except StopIteration as end:
            return end.value

    def _wait_in_silence(self, silent: int, asks_after: int, answer_within: int) -> None:
        if self.is_away and silent >= answer_within:
            self.check()
        if silent == asks_after:
            self._ask()
        elif silent >= asks_after + answer_within:
            self.lose("nothing is heard from it", is_silent=True)
            self.check()

    def lose(self, why: str, *, is_silent: bool = False) -> None:
        """
        Let everybody know that it is away, until it answers again.

        Of one that says nothing no connection is of use, of another those that are open may be.
        """
        with self._lock:
            was_away, self.is_away = self.is_away, True
            if not was_away:
                self._lost_at = self._wanted_at = time.monotonic()
                self._turned_away = 0
        if not was_away:
            logger.error("PostgreSQL is away at %s: %s", self._name, why)
        for pool in list(self.pools):
            pool.let_go(everything=is_silent)
        self._ask()

    def _ask(self) -> None:
        """Have a thread ask until it answers, unless one does."""
        with self._lock:
            if self._is_asked:
                return
            self._is_asked = True
        Thread(target=self._ask_until_it_answers, name="server-asked", daemon=True).start()

    def _ask_until_it_answers(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                self._knock()
            except psycopg.OperationalError as error:
                if _is_away(error):
                    self.lose(_first_line(error))
                else:
                    self._find()
            else:
                self._find()
            if self._is_settled():
                return
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)

    def _is_settled(self) -> bool:
        with self._lock:
            if self.is_away and time.monotonic() - self._wanted_at > WANTED_SECONDS:
                self.is_away = False  # whoever comes next finds out
            if not self.is_away:
                self._is_asked = False
            return not self.is_away

    def _knock(self) -> None:
        """
        Be let in. Of one that is away want more: a pooler lets in without PostgreSQL.
        """
        params = {**self._params, "connect_timeout": CONNECT_TIMEOUT_SECONDS}
        with psycopg.connect(**params, autocommit=True) as connection:
            if not self.is_away:
                self._heard += 1
                return
            connection.pgconn.send_query(b"SELECT 1")
            answer = generators.execute(connection.pgconn)
            (result,) = connection.wait(answer, timeout=ANSWER_TIMEOUT_SECONDS)
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result)

    def _find(self) -> None:
        """Let everybody know that it is there."""
        self._heard += 1
        with self._lock:
            was_away, self.is_away = self.is_away, False
        if was_away:
            logger.warning(
                "PostgreSQL is back at %s after %.1f seconds; %d times somebody was turned away",
                self._name,
                time.monotonic() - self._lost_at,
                self._turned_away,
            )
            for pool in list(self.pools):
                pool.grow()


def at(params: Mapping[str, Any]) -> Server:
    """Return the one at the address that psycopg's `params` name, the same for everybody."""
    key = tuple(str(params.get(name, "")) for name in ("host", "port", "dbname", "user"))
    server = _servers.get(key)
    if server is None:
        server = _servers.setdefault(key, Server(params))
    return server


_servers: dict[tuple[str, ...], Server] = {}
# A child has none of the threads that ask.
os.register_at_fork(after_in_child=_servers.clear)


def _is_away(error: psycopg.Error) -> bool:
    """Tell whether nobody is there, and not somebody who lets us not in."""
    told = str(error)
    return REFUSAL not in told or any(words in told for words in AWAY)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
