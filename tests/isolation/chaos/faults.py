"""
What is done to the server and the pooler while clients work?

Every 0.2 to 0.6 seconds one of the pool's backends is terminated, or its statement
cancelled, or the pooler told to connect anew.
"""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from subprocess import Popen

from tenancy.testing.leaks.catalogue import Server
from tests.fixtures.pgbouncer import PgBouncer

PAUSE_SECONDS = (0.2, 0.6)
TERMINATE = "SELECT pg_terminate_backend(%s)"
CANCEL = "SELECT pg_cancel_backend(%s)"


class Faults:
    """`counts` is what happened; nothing is counted that found nobody."""

    def __init__(self, pooler: PgBouncer, superuser: Server) -> None:
        self.pooler = pooler
        self.superuser = superuser
        self.random = Random(0)  # for choosing, no secret
        self.counts: Counter[str] = Counter()

    def strike_while(self, process: Popen[bytes], *, at_most_seconds: float) -> None:
        """Strike until `process` ends; one that does not end in time is killed."""
        deadline = time.monotonic() + at_most_seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(self.random.uniform(*PAUSE_SECONDS))
            [fault] = self.random.choices([self.terminate, self.cancel, self.reconnect], [7, 2, 1])
            fault()

    def terminate(self) -> None:
        self._signal(TERMINATE, "backends terminated")

    def cancel(self) -> None:
        self._signal(CANCEL, "backends' statements cancelled")

    def reconnect(self) -> None:
        with self.pooler.console() as console:
            console.execute("RECONNECT")
        self.counts["pooler reconnected"] += 1

    def _signal(self, statement: str, name: str) -> None:
        backends = self.pooler.list_servers()
        if backends:
            row = self.superuser.execute(statement, [self.random.choice(backends)]).fetchone()
            self.counts[name] += row == (True,)
