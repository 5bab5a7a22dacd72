"""
What happened that an operator wants counted? A verb for each thing, for the rest of tenancy.

Each returns at once and does nothing where TENANCY_METRICS is False, which it is unless a
project sets it: prometheus_client is needed then. What is counted goes to prometheus_client's
default registry; `tenancy.metrics.exposition` serves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

from tenancy import context
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.metrics import names
from tenancy.metrics.instruments import child, directory
from tenancy.metrics.seats import Seats

# PostgreSQL's classes (appendix A); another is told as OTHER, so that the set is bounded.
SQLSTATE_CLASSES = frozenset(
    """
    00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F
    40 42 44 53 54 55 57 58 72 F0 HV P0 XX
    """.split()  # noqa: SIM905  # a list of them would be a page
)

# To add and to remove are each one step of the interpreter, so threads need no lock.
_in_flight: set[object] = set()
_endpoints: set[str] = set()

# What has happened and is not counted yet. To find a series and write it into a file is most of
# what counting takes, and done for many at once it takes a fraction, and is in nobody's way.
# Should nobody add it up, the oldest is forgotten.
_waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque(maxlen=100_000)


def is_on() -> bool:
    return bool(settings.METRICS)


@cache
def seats() -> Seats:
    """Return who has a name of their own, in all processes of this pod."""
    shared = directory()
    return Seats(settings.METRICS_TENANTS, shared / "seats" if shared else None)


def name_of(target: Target | None) -> str:
    """Return the label of whoever is active; never more names than there are seats."""
    match target:
        case ActiveTenant():
            return seats().peek(str(target))
        case None:
            return names.UNKNOWN
    return names.PLATFORM


# Requests


def request_began() -> object:
    """Return what stands for the request until `request_ended`."""
    request = object()
    _in_flight.add(request)
    return request


def request_ended(request: object) -> None:
    _in_flight.discard(request)


def count_in_flight() -> int:
    return len(_in_flight)


def request_answered(tenant: str, endpoint: str, status: int, seconds: float) -> None:
    """Count an answer to `tenant`: a slug, PLATFORM or UNKNOWN."""
    _later(_count_request, tenant, endpoint, status, seconds)


def _later(count: Callable[..., None], *arguments: Any) -> None:
    """Count in a moment, in the sampler's thread; at once in a process that has none."""
    if directory() is None:
        count(*arguments)
    else:
        _waiting.append((count, arguments))


def add_up() -> None:
    """Count what has happened since the last time."""
    while True:
        try:
            count, arguments = _waiting.popleft()
        except IndexError:  # the thread and the end of the process may both be here
            return
        count(*arguments)


def _count_request(tenant: str, endpoint: str, status: int, seconds: float) -> None:
    if tenant not in (names.PLATFORM, names.UNKNOWN):
        tenant = seats().name_of(tenant)
    count, count_status, observe = _of_request(tenant, _bounded(endpoint), status // 100)
    count()
    count_status()
    observe(seconds)


# As many as there are series: what a request takes is mostly to find them.
@cache
def _of_request(tenant: str, endpoint: str, hundreds: int) -> tuple[Callable[..., None], ...]:
    return (
        child(names.REQUESTS, tenant, settings.METRICS_POD).inc,
        child(names.RESPONSES, tenant, f"{hundreds}xx").inc,
        child(names.RESPONSE_TIME, tenant, endpoint).observe,
    )


def _bounded(endpoint: str) -> str:
    if endpoint not in _endpoints:
        if len(_endpoints) >= settings.METRICS_ENDPOINTS:
            return names.OTHER
        _endpoints.add(endpoint)
    return endpoint


def refused(error: Exception, target: Target | None = None) -> None:
    """Count a request that is turned away with `error`."""
    if is_on():
        target = target or context.get_current()
        child(names.REFUSALS, name_of(target), type(error).__name__).inc()


# The database


def switched(target: Target, seconds: float) -> None:
    """Note how long a connection took to answer its first message for `target`."""
    _later(_count_switch, target, seconds)


def _count_switch(target: Target, seconds: float) -> None:
    child(names.SWITCH, name_of(target)).observe(seconds)


def database_failed(error: Exception) -> None:
    """Count what PostgreSQL refused, or the way to it."""
    if is_on():
        child(names.DATABASE_ERRORS, _class_of(error)).inc()


def _class_of(error: Exception) -> str:
    """Return the first two characters of an error's SQLSTATE, or a word where it has none."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is None:
        return "pool" if type(error).__name__ == "PoolTimeout" else "connection"
    return sqlstate[:2] if sqlstate[:2] in SQLSTATE_CLASSES else names.OTHER


# Redis


def cache_asked(*, hits: int = 0, misses: int = 0, errors: int = 0) -> None:
    if not is_on():
        return
    for result, number in (("hit", hits), ("miss", misses), ("error", errors)):
        if number:
            child(names.CACHE_GETS, result).inc(number)


def limits_skipped() -> None:
    if is_on():
        child(names.UNLIMITED).inc()


# Background tasks


def task_ended(task: str, state: str, seconds: float | None) -> None:
    """Count a task of whoever is active, which ended in `state`, a word of Celery's."""
    if not is_on():
        return
    target = context.get_current()
    if isinstance(target, ActiveTenant):
        seats().name_of(str(target))
    child(names.TASKS, name_of(target), task, state.lower()).inc()
    if seconds is not None:
        child(names.TASK_TIME, task).observe(seconds)
