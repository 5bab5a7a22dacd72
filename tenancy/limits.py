"""
How much may a tenant ask for, before it takes from what the others need?

    TENANCY_RATES = {"tenant": "6000/minute", "client": "600/minute"}

A rate is a bucket: so much may come at once, and it is full again after the time. The
buckets are in Redis, under the keys of the active tenant, so that all processes take from
the same ones and nobody from another's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string
from redis.exceptions import RedisError

from tenancy import context, in_flight, metrics
from tenancy.conf import settings
from tenancy.errors import RateLimited, TooManyInFlight
from tenancy.in_flight import Slot

TENANT = "tenant"
CLIENT = "client"

UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}

# The generic cell rate algorithm: a bucket is one number, the microsecond at which it will
# be full again. The clock is Redis's, as those of the processes differ. From each bucket is
# taken or from none: whoever has used up their own must not go on to use up the tenant's.
#
# The requests in flight are a sorted set, each by when its lease ends. It is the last key,
# where there is one more than there are buckets. Full, it says -1, and nothing is taken.
TAKE = """
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local buckets = tonumber(ARGV[1])
    local leases = KEYS[buckets + 1]
    local member, most, lease = ARGV[2 * buckets + 2], ARGV[2 * buckets + 3], ARGV[2 * buckets + 4]
    if leases then
        redis.call('ZREMRANGEBYSCORE', leases, '-inf', string.format('%.0f', now))
        if redis.call('ZCARD', leases) >= tonumber(most) then
            return -1
        end
    end
    local wait, full_at = 0, {}
    for i = 1, buckets do
        local key = KEYS[i]
        local cost, period = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
        full_at[i] = math.max(tonumber(redis.call('GET', key) or now), now) + cost
        wait = math.max(wait, full_at[i] - period - now)
    end
    if wait > 0 then
        return math.ceil(wait)
    end
    for i = 1, buckets do
        local milliseconds = math.ceil((full_at[i] - now) / 1000)
        redis.call('SET', KEYS[i], string.format('%.0f', full_at[i]), 'PX', milliseconds)
    end
    if leases then
        redis.call('ZADD', leases, string.format('%.0f', now + lease * 1000), member)
        redis.call('PEXPIRE', leases, lease)
    end
    return 0
"""
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rate:
    """So many requests at once, and again after so long."""

    limit: int
    period: timedelta

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate that is written as "600/minute", or raise ImproperlyConfigured."""
        limit, _, unit = text.partition("/")
        if not limit.isdecimal() or int(limit) < 1 or unit not in UNITS:
            raise ImproperlyConfigured(
                f"The rate {text!r} is not understood. Write a number and one of "
                f"{', '.join(UNITS)}, for example '600/minute'."
            )
        return cls(int(limit), UNITS[unit])


def take(budgets: Mapping[str, str], *, slot: Slot | None = None) -> None:
    """
    Take one request from each of the active tenant's budgets, or from none.

    They are rates of TENANCY_RATES by name, each with whose it is within the tenant, or ""
    for all of it. With `slot` the request takes a place among those in flight, too. Raise
    RateLimited if a budget is used up, TooManyInFlight if there is no place. Without Redis
    nothing is limited, and tenancy.breaker says so. It is one round trip.
    """
    rates = {name: _rate(name) for name in budgets}
    limited = {name: rate for name, rate in rates.items() if rate}
    buckets = [cache.make_key(f"limit:{name}:{budgets[name]}") for name in limited]
    leases, lease, member = in_flight.lease_arguments(slot)
    if not buckets + leases:
        return
    arguments = [
        number
        for rate in limited.values()
        for number in (rate.period // MICROSECOND // rate.limit, rate.period // MICROSECOND)
    ]
    try:
        redis: Any = cast("Any", cache).client.get_client(write=True)
        wait = redis.register_script(TAKE)(
            keys=buckets + leases, args=[len(buckets), *arguments, *lease]
        )
    except RedisError:
        metrics.limits_skipped()
        return  # tenancy.breaker has said so, once
    if wait < 0:
        raise in_flight.refusal(in_flight.TENANT, lease[1])
    if wait:
        retry_after = math.ceil(wait / 1_000_000)
        raise RateLimited(
            f"{context.get_current()} has used up its rate for {' or '.join(limited)}. "
            f"Try again in {retry_after} s.",
            retry_after=retry_after,
        )
    if slot is not None and leases:
        slot.lease(redis, leases[0], member)


def _rate(name: str) -> Rate | None:
    """Return the active tenant's rate, None if it is meant to have none."""
    rates = {**settings.RATES, **settings.TENANT_RATES.get(str(context.require_current()), {})}
    if name not in rates:
        raise ImproperlyConfigured(
            f"TENANCY_RATES has no {name!r}. Add {name!r}: '600/minute', or None for no limit."
        )
    text = rates[name]
    return Rate.parse(text) if text else None


def client_of(request: HttpRequest) -> str:
    """Return who asks: the user who is signed in, else the address."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"


class LimitMiddleware:
    """
    Take each request from the rates "tenant" and "client"; answer 429 if one is used up.

    With InFlightMiddleware before it, 429 too where all processes together answer as many of
    the tenant's as TENANCY_IN_FLIGHT lets them. It stands after TenantMiddleware, and after
    AuthenticationMiddleware if people who are signed in are to be told from their neighbours.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._answer = _limited(
            get_response,
            lambda request: {TENANT: "", CLIENT: client_of(request)},
            slot_of=in_flight.slot_of,
        )
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._answer(request)


def limit(
    name: str,
    *,
    by: Callable[[HttpRequest], str] = client_of,
    methods: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Take each request to the decorated view, or those with `methods`, from the rate `name`."""

    def budgets(request: HttpRequest) -> dict[str, str]:
        return {name: by(request)} if not methods or request.method in methods else {}

    return lambda view: wraps(view)(_limited(view, budgets))


class Throttle:
    """For REST framework's throttle_classes: the rate "client", or that of a subclass."""

    rate = CLIENT

    def allow_request(self, request: Any, view: Any) -> bool:
        try:
            take({self.rate: client_of(request)})
        except RateLimited as error:
            metrics.refused(error)
            self._retry_after = error.retry_after
            return False
        return True

    def wait(self) -> int:
        return self._retry_after


def _limited(
    view: Callable[..., Any],
    budgets: Callable[[HttpRequest], Mapping[str, str]],
    *,
    slot_of: Callable[[HttpRequest], Slot | None] = lambda request: None,
) -> Callable[..., Any]:
    """Return `view`, not asked where a budget is used up."""

    def refuse(request: HttpRequest) -> HttpResponseBase | None:
        try:
            take(budgets(request), slot=slot_of(request))
        except (RateLimited, TooManyInFlight) as error:
            metrics.refused(error)
            return cast("HttpResponseBase", import_string(settings.REFUSAL_VIEW)(request, error))
        return None

    if iscoroutinefunction(view):

        async def answer_later(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            refusal = await sync_to_async(refuse)(request)
            return refusal or await view(request, *args, **kwargs)

        return markcoroutinefunction(answer_later)

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return refuse(request) or view(request, *args, **kwargs)

    return answer
