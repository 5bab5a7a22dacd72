"""
A pool of connections that nobody waits for in vain.

psycopg's, but for what becomes of it when the server goes away: its waiters are told, its
connections are looked at without a query, and it does not wait ever longer between attempts
to connect, since `server` knows when there is somebody to connect to.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from tenancy.backend.driver import BoundConnection
from tenancy.backend.server import Server, ServerAway


class BoundPool(ConnectionPool[BoundConnection]):
    """Gives connections to one server, and to nobody while that is away."""

    def __init__(self, *args: Any, server: Server, kwargs: dict[str, Any], **options: Any) -> None:
        # To give up at once is to try twice. What is missing is made when somebody wants it.
        options.setdefault("reconnect_timeout", 0)
        super().__init__(*args, kwargs={**kwargs, "server": server}, **options)
        self._server = server
        server.pools.add(self)

    def getconn(self, timeout: float | None = None) -> BoundConnection:
        """Return a connection that is there; raise ServerAway rather than wait for none."""
        connection = self._get_any(timeout)
        if connection.is_alive():
            return connection
        # Where one has died, others have.
        self._discard(connection)
        self.check()
        while not (connection := self._get_any(timeout)).is_alive():
            self._discard(connection)
        return connection

    def _get_any(self, timeout: float | None) -> BoundConnection:
        if not self._pool:
            self._server.check()
        return super().getconn(timeout)

    def _discard(self, connection: BoundConnection) -> None:
        connection.close()
        self.putconn(connection)

    @staticmethod
    def check_connection(conn: BoundConnection) -> None:
        """Raise OperationalError if it is not alive; psycopg's own would send a query."""
        if not conn.is_alive():
            conn.close()
            raise psycopg.OperationalError("The connection is no longer there.")

    def let_go(self, *, everything: bool) -> None:
        """Keep no connection that is dead, or none at all, and nobody waiting."""
        if everything:
            with self._lock:
                idle, self._pool = list(self._pool), deque()
                self._nconns -= len(idle)
            for connection in idle:
                self._close_connection(connection)
        self._tell_waiting()

    def grow(self) -> None:
        """Have the connections again that it lost."""
        with self._lock:
            if self._nconns < self._min_size:
                self._maybe_grow_pool()

    def reconnect_failed(self) -> None:
        # Where others are lent, one of them may be given back: then it is worth waiting.
        if self._server.is_away or not self._nconns:
            self._tell_waiting()
        super().reconnect_failed()

    def _tell_waiting(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for each in waiting:
            each.fail(ServerAway("Nobody can connect to PostgreSQL."))
