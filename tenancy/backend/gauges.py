"""
How many connections does this process have, how many of them are lent, and who waits for one?
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from tenancy.conf import settings
from tenancy.metrics import names
from tenancy.metrics.instruments import child

# What a pool counts, in its own words, and what we call it; its milliseconds become seconds.
COUNTED = {
    "requests_num": (names.POOL_CHECKOUTS, 1.0),
    "requests_queued": (names.POOL_QUEUED, 1.0),
    "requests_wait_ms": (names.POOL_WAIT_SECONDS, 0.001),
    "requests_errors": (names.POOL_TIMEOUTS, 1.0),
    "connections_num": (names.POOL_OPENED, 1.0),
    "connections_errors": (names.POOL_OPEN_ERRORS, 1.0),
}
STANDING = {
    "pool_size": names.POOL_SIZE,
    "pool_max": names.POOL_LIMIT,
    "pool_available": names.POOL_IDLE,
    "requests_waiting": names.POOL_WAITING,
}

_opened: WeakSet[Any] = WeakSet()
_lock = Lock()
# What each pool had counted when it was asked last.
_told: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()


def watch(connection: Any) -> None:
    """Count a driver's connection among those that are lent, while it has a binder."""
    with _lock:
        _opened.add(connection)


def count_lent() -> int:
    with _lock:
        connections = list(_opened)
    return sum(each.binder is not None and not each.closed for each in connections)


def sample(pools: Iterable[Any]) -> None:
    """Write down what the pools say, and how many connections are lent, pooled or not."""
    stats = [_tell(pool) for pool in pools]
    for word, metric in STANDING.items():
        child(metric).set(sum(each.get(word, 0) for each in stats))
    child(names.CONNECTIONS_ACTIVE, settings.METRICS_POD).set(count_lent())


def _tell(pool: Any) -> dict[str, int]:
    """Add what `pool` has counted since it was asked last; return all that it says."""
    stats: dict[str, int] = pool.get_stats()
    before = _told.setdefault(pool, {})
    for word, (metric, unit) in COUNTED.items():
        child(metric).inc(max(stats.get(word, 0) - before.get(word, 0), 0) * unit)
    before.update(stats)
    return stats
