"""A tenant has its share of the threads, and of all processes', and nobody else's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore
from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import RequestFactory
from django_redis import get_redis_connection

from tenancy import context, in_flight
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.errors import RateLimited, TooManyInFlight
from tenancy.in_flight import InFlightMiddleware, Slot
from tenancy.limits import take
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures import redis_keys


@pytest.fixture(autouse=True)
def _limits(settings: Any) -> Iterator[None]:
    settings.TENANCY_IN_FLIGHT = {"process": 3, "tenant": 5}
    settings.TENANCY_RATES = {"tenant": "100/hour", "client": "100/hour"}
    yield
    assert not in_flight._held, "a place was not given back"


class SlowView:
    """A view in which requests stay until they are let go."""

    def __init__(self) -> None:
        self.entered, self.may_leave = Semaphore(0), Event()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        self.entered.release()
        self.may_leave.wait(30)
        return HttpResponse()


def ask(middleware: Any, target: Target) -> HttpResponseBase:
    with context.override(target):
        response: HttpResponseBase = middleware(RequestFactory().get("/"))
        return response


@pytest.fixture
def busy(elms: ActiveTenant) -> Iterator[Any]:
    """The middleware, in which Elm holds as many places as it may have."""
    view = SlowView()
    middleware = InFlightMiddleware(view)
    with ThreadPoolExecutor(3) as threads:
        held = [threads.submit(ask, middleware, elms) for _ in range(3)]
        for _ in held:
            assert view.entered.acquire(timeout=30)
        try:
            middleware.get_response = lambda request: HttpResponse()
            yield middleware
        finally:
            view.may_leave.set()
        assert [each.result().status_code for each in held] == [200] * 3
    assert ask(middleware, elms).status_code == 200


class TestProcess:
    def test_refuses_one_more_and_says_when_to_come_back(
        self, busy: Any, elms: ActiveTenant
    ) -> None:
        refused = ask(busy, elms)

        assert refused.status_code == 429
        assert refused["Retry-After"] in ("1", "2", "3")

    def test_refuses_nobody_else(self, busy: Any, oaks: ActiveTenant) -> None:
        assert ask(busy, oaks).status_code == 200

    def test_refuses_no_operator(self, settings: Any) -> None:
        settings.TENANCY_IN_FLIGHT = {"process": 1}
        with context.override(PLATFORM):
            slots = [in_flight.enter() for _ in range(5)]
        for slot in slots:
            slot.end()

    def test_asks_nobody(
        self, busy: Any, in_elm: Organization, elms: ActiveTenant, django_assert_num_queries: Any
    ) -> None:
        """
        A refusal costs no query and no round trip: there may be thousands of them.
        """
        with redis_keys.watched() as commands, django_assert_num_queries(0):
            ask(busy, elms)

        assert commands == []

    def test_lets_a_tenant_have_more_where_that_is_said(
        self, busy: Any, settings: Any, elms: ActiveTenant
    ) -> None:
        settings.TENANCY_TENANT_IN_FLIGHT = {"elm": {"process": 4}}

        assert ask(busy, elms).status_code == 200

    def test_works_without_redis(self, busy: Any, settings: Any, elms: ActiveTenant) -> None:
        default = settings.CACHES["default"]
        settings.CACHES = {"default": {**default, "LOCATION": "redis://127.0.0.1:1/0"}}

        assert ask(busy, elms).status_code == 429

    @pytest.mark.parametrize("limits", [{"process": 0}, {"process": "3"}, {"threads": 3}])
    def test_refuses_a_limit_that_is_none(
        self, limits: dict[str, Any], settings: Any, elms: ActiveTenant
    ) -> None:
        settings.TENANCY_IN_FLIGHT = limits
        with (
            context.override(elms),
            pytest.raises(ImproperlyConfigured, match="TENANCY_IN_FLIGHT"),
        ):
            in_flight.enter()


class TestPlace:
    """The fixture above looks whether each of them was given back."""

    def test_is_given_back_when_the_view_fails(self, elms: ActiveTenant) -> None:
        def view(request: HttpRequest) -> HttpResponseBase:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ask(InFlightMiddleware(view), elms)

    def test_is_held_until_a_stream_ends(self, in_elm: Organization, elms: ActiveTenant) -> None:
        response = ask(InFlightMiddleware(lambda request: StreamingHttpResponse(["a", "b"])), elms)
        held = in_flight._held.total()
        response.close()

        assert held == 1

    def test_is_given_back_when_a_stream_is_dropped(self, elms: ActiveTenant) -> None:
        """
        Another middleware answers something else, and forgets what the view answered.
        """
        response = ask(InFlightMiddleware(lambda request: StreamingHttpResponse(["a"])), elms)
        del response
        gc.collect()

    def test_is_given_back_by_async_views(self, elms: ActiveTenant) -> None:
        async def view(request: HttpRequest) -> HttpResponse:
            assert in_flight._held.total() == 1
            return HttpResponse()

        async def ask_later() -> HttpResponse:
            answer: HttpResponse = await InFlightMiddleware(view)(RequestFactory().get("/"))
            return answer

        with context.override(elms):
            assert asyncio.run(ask_later()).status_code == 200


class TestTenant:
    @pytest.fixture
    def enter(self) -> Iterator[Callable[[], Slot]]:
        """A function that takes a place in Redis, as another process would."""
        slots: list[Slot] = []

        def enter() -> Slot:
            slot = Slot(context.require_owner())
            in_flight._held[context.require_owner()] += 1
            slots.append(slot)
            take({"tenant": ""}, slot=slot)
            return slot

        yield enter
        for slot in slots:
            slot.end()

    def test_has_so_many_in_all_processes(
        self, enter: Callable[[], Slot], elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms):
            for _ in range(5):
                enter()
            with pytest.raises(TooManyInFlight, match="elm has 5 requests in flight in all"):
                enter()
        with context.override(oaks):
            enter()

    def test_may_go_on_when_one_is_answered(
        self, enter: Callable[[], Slot], elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            slots = [enter() for _ in range(5)]
            slots[2].end()
            slots[2].end()

            enter()
            with pytest.raises(TooManyInFlight):
                enter()

    def test_is_not_charged_for_what_was_refused(
        self, enter: Callable[[], Slot], elms: ActiveTenant, settings: Any
    ) -> None:
        settings.TENANCY_RATES = {"tenant": "6/hour"}
        with context.override(elms):
            slots = [enter() for _ in range(5)]
            for _ in range(20):
                with pytest.raises(TooManyInFlight):
                    enter()
            slots[0].end()

            enter()
            slots[1].end()
            with pytest.raises(RateLimited):
                enter()

    def test_takes_no_place_where_its_rate_is_used_up(
        self, enter: Callable[[], Slot], elms: ActiveTenant, settings: Any
    ) -> None:
        settings.TENANCY_RATES = {"tenant": "2/hour"}
        with context.override(elms):
            for _ in range(2):
                enter()
            for _ in range(20):
                with pytest.raises(RateLimited):
                    enter()

            assert get_redis_connection().zcard(cache.make_key("limit:in-flight")) == 2

    def test_has_the_places_of_a_killed_pod_again_when_their_leases_end(
        self, enter: Callable[[], Slot], elms: ActiveTenant
    ) -> None:
        """
        The leases, of which Redis is told that they have ended, and nobody waits for it.
        """
        with context.override(elms):
            for _ in range(5):
                enter()
            redis, key = get_redis_connection(), cache.make_key("limit:in-flight")
            assert 25 <= cache.ttl("limit:in-flight") <= 30
            redis.zadd(key, dict.fromkeys(redis.zrange(key, 0, -1), 1))

            for _ in range(5):
                enter()

    def test_is_taken_in_the_round_trip_of_the_rates(
        self, enter: Callable[[], Slot], elms: ActiveTenant
    ) -> None:
        with context.override(elms):
            enter()
            with redis_keys.watched() as commands:
                enter()

        assert [command[0] for command in commands].count(b"evalsha") == 1
        within = {b"time", b"get", b"set", b"zremrangebyscore", b"zcard", b"zadd", b"pexpire"}
        assert {command[0] for command in commands} <= {b"evalsha", *within}
        assert redis_keys.list_strangers(commands) == []


class TestRequests:
    def test_leave_nothing_behind(
        self, elm_client: TenantClient, sign_in: Callable[..., Any], in_elm: Organization
    ) -> None:
        sign_in(elm_client, "doctor")
        with redis_keys.watched() as commands:
            answers = [elm_client.get("/patients/").status_code for _ in range(8)]

        assert answers == [200] * 8
        words = [command[0] for command in commands]
        assert (words.count(b"zadd"), words.count(b"zrem")) == (8, 8)
        assert not get_redis_connection().exists(cache.make_key("limit:in-flight"))
