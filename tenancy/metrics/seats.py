"""
Which tenants have a name of their own in the metrics, and which share "other"?

A pod names so many tenants and no more, for as long as it lives: whoever has a seat keeps it,
so that no counter ever moves from one name to another or jumps backwards. Three quarters of
the seats are for whoever comes first; where there are fewer tenants than that, all are named.
The rest are for tenants that prove to be busy, with a share of the requests that is far above
an even one, and who happened to come late.

The processes of a pod share their seats in a file: workers that are replaced now and then
would name others each time, and the pod's names would grow without bound.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

from tenancy.metrics.names import OTHER

# Of the seats, those that wait for the busy.
KEPT = 4
# A tenant is busy that has at least 1 / (BUSY * seats) of a process' requests, of so many.
BUSY = 4
FEWEST = 20
# For how long a process does not look which seats the others gave away.
LOOK_SECONDS = 5.0


class Seats:
    """`limit` seats; shared with whoever has the same `file`, else this process' own."""

    def __init__(self, limit: int, file: Path | None = None) -> None:
        self._limit = limit
        self._open = limit - limit // KEPT
        self._file = file
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}
        self._total = 0
        self._looked_at = 0.0

    def name_of(self, tenant: str) -> str:
        """Count a request of `tenant`, and return the name under which it is measured."""
        self._total += 1
        if tenant in self._taken:
            return tenant
        if len(self._taken) >= self._limit:
            return OTHER
        return self._ask_for_seat(tenant)

    def peek(self, tenant: str) -> str:
        """Return the name of `tenant`, who takes a seat if one is open, and count nothing."""
        if tenant not in self._taken and len(self._taken) < self._open:
            self._take(tenant)
        return tenant if tenant in self._taken else OTHER

    def _ask_for_seat(self, tenant: str) -> str:
        # Two threads may lose a count here; busy tenants have many.
        count = self._counts[tenant] = self._counts.get(tenant, 0) + 1
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            self._look()
        if self._is_busy(count):
            self._take(tenant)
        return self.peek(tenant)

    def _is_busy(self, count: int) -> bool:
        return count >= FEWEST and count * BUSY * self._limit >= self._total

    def _look(self) -> None:
        if self._file is not None and self._file.exists():
            self._taken |= set(self._file.read_text().split())

    def _take(self, tenant: str) -> None:
        if self._file is None:
            self._taken.add(tenant)
            return
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when it is closed
            file.seek(0)
            taken = set(file.read().split())
            count = self._counts.get(tenant, 0)
            is_free = len(taken) < self._open or self._is_busy(count)
            if tenant not in taken and is_free and len(taken) < self._limit:
                file.write(f"{tenant}\n")
                taken.add(tenant)
            self._taken |= taken
        if len(self._taken) >= self._limit:
            self._counts.clear()
