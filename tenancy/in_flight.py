"""
How many requests of one tenant may be answered at once?

    TENANCY_IN_FLIGHT = {"process": 5, "tenant": 12}

Threads and connections are few, and a request holds one of each until it is answered: a
tenant whose pages take long would hold them all. "process" is what one tenant may hold of
this process, which counts by itself; "tenant" is what it may hold of all, counted in Redis by
`tenancy.limits`, in the round trip that is made there anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from secrets import choice, token_hex
from threading import Lock
from typing import Any, cast
from weakref import finalize

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string
from redis.exceptions import RedisError

from tenancy import context, metrics
from tenancy.conf import settings
from tenancy.errors import TooManyInFlight

PROCESS = "process"
TENANT = "tenant"
NAMES = {PROCESS, TENANT}

# For so long a request counts in Redis at most. A pod that was killed gives back nothing,
# and what it held is free again after this; a request that takes longer is one too many.
LEASE = timedelta(seconds=30)

# When one is refused others are about to be answered: there is room in a moment. Not in the
# same for all, as those who were refused together would come back together.
RETRY_AFTER_SECONDS = (1, 2, 3)

_held: Counter[str] = Counter()
_lock = Lock()


class Slot:
    """One request's place among those that are answered; given back once, however often asked."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._is_held = True
        self._lease: tuple[Any, str, str] | None = None

    def lease(self, redis: Any, key: str, member: str) -> None:
        """Remember what was taken in Redis for this request."""
        self._lease = redis, key, member

    def release(self) -> None:
        """Let another request have the place in this process."""
        with _lock:
            if not self._is_held:
                return
            self._is_held = False
            _held[self._owner] -= 1
            if _held[self._owner] <= 0:
                del _held[self._owner]

    def end(self) -> None:
        """Give back all that the request held; what Redis does not hear of ends with LEASE."""
        self.release()
        lease, self._lease = self._lease, None
        if lease is None:
            return
        redis, key, member = lease
        try:
            redis.zrem(key, member)
        except RedisError:
            return


def enter() -> Slot:
    """
    Take one of the active tenant's places in this process, or raise TooManyInFlight.

    Nothing is asked of Redis or of the database. The platform has as many as it wants: its
    operators come when a tenant makes noise.
    """
    owner, most = context.require_owner(), limit(PROCESS)
    with _lock:
        if most is not None and _held[owner] >= most:
            raise refusal(PROCESS, most)
        _held[owner] += 1
    return Slot(owner)


def limit(name: str) -> int | None:
    """Return how many the active tenant may have, None if any number."""
    target = context.require_current()
    if target is context.PLATFORM:
        return None
    limits = {**settings.IN_FLIGHT, **settings.TENANT_IN_FLIGHT.get(str(target), {})}
    most = limits.get(name)
    if unknown := limits.keys() - NAMES:
        raise ImproperlyConfigured(
            f"TENANCY_IN_FLIGHT knows {' and '.join(sorted(NAMES))}, and not "
            f"{', '.join(sorted(unknown))}."
        )
    if most is not None and (not isinstance(most, int) or most < 1):
        raise ImproperlyConfigured(
            f"TENANCY_IN_FLIGHT has {most!r} for {name!r}. Give a number of 1 or more, or None for "
            "no limit."
        )
    return most


def refusal(name: str, most: int) -> TooManyInFlight:
    where = "in this process" if name == PROCESS else "in all of them"
    retry_after = choice(RETRY_AFTER_SECONDS)
    return TooManyInFlight(
        f"{context.get_current()} has {most} requests in flight {where}. Try again in "
        f"{retry_after} s.",
        retry_after=retry_after,
    )


def lease_arguments(slot: Slot | None) -> tuple[list[str], list[Any], str]:
    """
    Return the key, the arguments and the member with which `tenancy.limits` takes a place.

    All of them empty where none has to be taken.
    """
    most = limit(TENANT) if slot is not None else None
    if most is None:
        return [], [], ""
    member = token_hex(8)
    milliseconds = int(LEASE.total_seconds() * 1000)
    return [cache.make_key("limit:in-flight")], [member, most, milliseconds], member


class InFlightMiddleware:
    """
    Answer 429 at once where a tenant has its share of this process's threads.

    It stands directly behind TenantMiddleware, so that who is refused costs neither a query
    nor a round trip, and behind it, after who asks is known, LimitMiddleware, which takes
    the place among all processes'. A streamed answer holds its places until it is sent.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.answer(request)
        slot = _enter(request)
        if not isinstance(slot, Slot):
            return slot
        try:
            response = self.get_response(request)
        except BaseException:
            slot.end()
            raise
        return _release_with(response, slot)

    async def answer(self, request: HttpRequest) -> Any:
        slot = _enter(request)
        if not isinstance(slot, Slot):
            return slot
        try:
            response = await self.get_response(request)
        except BaseException:
            slot.release()  # and Redis's by itself, as asking it would keep others waiting
            raise
        return _release_with(response, slot)


def slot_of(request: HttpRequest) -> Slot | None:
    """Return the request's place, None where InFlightMiddleware is not installed."""
    return getattr(request, "_tenancy_slot", None)


def _enter(request: HttpRequest) -> Slot | HttpResponseBase:
    try:
        slot = enter()
    except TooManyInFlight as error:
        metrics.refused(error)
        return cast("HttpResponseBase", import_string(settings.REFUSAL_VIEW)(request, error))
    request._tenancy_slot = slot  # type: ignore[attr-defined]  # ours
    return slot


def _release_with(response: HttpResponseBase, slot: Slot) -> HttpResponseBase:
    """Give back the thread's place now or at the stream's end, and Redis's after the answer."""
    if response.streaming:
        # Another middleware may answer something else, and drop this one unclosed.
        finalize(response, slot.release)
    else:
        slot.release()
    closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]
    closers.append(slot.end)
    return response
