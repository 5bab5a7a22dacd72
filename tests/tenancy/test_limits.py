"""A tenant has what it may ask for, and uses up nobody else's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django_redis import get_redis_connection
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tenancy import context, limits
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import NoActiveTenant, RateLimited
from tenancy.limits import LimitMiddleware, Rate, Throttle, take
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures import redis_keys


@pytest.fixture(autouse=True)
def _rates(settings: Any) -> None:
    settings.TENANCY_RATES = {"tenant": "10/hour", "client": "4/hour", "free": None}


def count_taken(budgets: dict[str, str], *, attempts: int = 30) -> int:
    taken = 0
    for _ in range(attempts):
        try:
            take(budgets)
        except RateLimited:
            continue
        taken += 1
    return taken


class TestRate:
    def test_is_a_number_and_a_time(self) -> None:
        assert Rate.parse("600/minute") == Rate(600, timedelta(minutes=1))

    @pytest.mark.parametrize(
        "text", ["", "10", "10/", "/minute", "0/minute", "-1/minute", "1.5/hour", "10/fortnight"]
    )
    def test_is_refused_where_it_is_not_understood(self, text: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="600/minute"):
            Rate.parse(text)


class TestTake:
    def test_takes_what_is_there(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            assert count_taken({"tenant": ""}) == 10

    def test_takes_nothing_of_others(self, elms: ActiveTenant, oaks: ActiveTenant) -> None:
        """
        Elm asks for ten times what it may have, and Oak has all of its own.
        """
        for target in (elms, oaks, PLATFORM):
            with context.override(target):
                assert count_taken({"tenant": ""}, attempts=100) == 10

    def test_takes_nothing_of_a_neighbours(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            assert count_taken({"client": "one"}) == 4
            assert count_taken({"client": "two"}) == 4

    def test_takes_from_all_or_from_none(self, elms: ActiveTenant) -> None:
        """
        Who has used up their own, and goes on asking, uses up nothing of the tenant's.
        """
        with context.override(elms):
            assert count_taken({"tenant": "", "client": "one"}, attempts=100) == 4
            assert count_taken({"tenant": ""}) == 6

    def test_takes_each_once_however_many_ask(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            work = context.carry(lambda _: count_taken({"tenant": ""}, attempts=20))
            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(work, range(8))) == 10

    def test_says_when_there_is_more(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            count_taken({"tenant": ""}, attempts=10)

            with pytest.raises(RateLimited, match="elm has used up its rate") as refusal:
                take({"tenant": ""})

        assert 355 <= refusal.value.retry_after <= 360

    def test_has_more_when_time_has_passed(self, elms: ActiveTenant, settings: Any) -> None:
        """
        A tenth of the hour, of which the bucket in Redis is told and nobody waits for.
        """
        with context.override(elms):
            count_taken({"tenant": ""}, attempts=10)
            key = cache.make_key("limit:tenant:")
            redis = get_redis_connection()
            redis.set(key, int(redis.get(key)) - 2 * 360 * 1_000_000)

            assert count_taken({"tenant": ""}) == 2

    def test_leaves_no_key_when_the_bucket_is_full_again(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            take({"tenant": ""})
            assert 355 <= cache.ttl("limit:tenant:") <= 360

    def test_is_one_round_trip_below_the_tenants_prefix(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            take({"tenant": "", "client": "one"})
            with redis_keys.watched() as commands:
                take({"tenant": "", "client": "a:b* \n"})

        # What the script asks for it asks within Redis.
        assert [command[0] for command in commands].count(b"evalsha") == 1
        assert {command[0] for command in commands} <= {b"evalsha", b"time", b"get", b"set"}
        assert redis_keys.list_strangers(commands) == []

    def test_refuses_nobody(self) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            take({"tenant": ""})

    def test_refuses_a_rate_that_is_not_there(self, elms: ActiveTenant) -> None:
        with (
            context.override(elms),
            pytest.raises(ImproperlyConfigured, match="TENANCY_RATES has no 'letters'"),
        ):
            take({"letters": ""})

    def test_takes_nothing_where_none_is_meant(self, elms: ActiveTenant) -> None:
        with redis_keys.watched() as commands, context.override(elms):
            assert count_taken({"free": ""}) == 30

        assert redis_keys.list_keys(commands) == []

    def test_takes_from_the_tenants_own_rate(
        self, settings: Any, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        settings.TENANCY_TENANT_RATES = {"elm": {"tenant": "20/hour"}}

        taken = []
        for target in (elms, oaks):
            with context.override(target):
                taken.append(count_taken({"tenant": ""}))

        assert taken == [20, 10]

    def test_limits_nothing_without_redis(
        self, settings: Any, elms: ActiveTenant, caplog: pytest.LogCaptureFixture
    ) -> None:
        default = settings.CACHES["default"]
        settings.CACHES = {"default": {**default, "LOCATION": "redis://127.0.0.1:1/0"}}

        with context.override(elms), caplog.at_level(logging.WARNING):
            assert count_taken({"tenant": ""}, attempts=12) == 12

        # Once, and not once for each request.
        assert sum("Redis is away" in record.message for record in caplog.records) <= 1


class TestDecorator:
    def request(self, method: str = "get", address: str = "10.0.0.1") -> HttpRequest:
        request = getattr(RequestFactory(), method)("/", REMOTE_ADDR=address)
        request.user = AnonymousUser()
        return request

    def test_answers_429_and_when_to_come_back(self, elms: ActiveTenant) -> None:
        asked = []

        @limits.limit("client")
        def view(request: HttpRequest, number: int) -> HttpResponse:
            asked.append(number)
            return HttpResponse()

        with context.override(elms):
            responses = [view(self.request(), number) for number in range(6)]
            neighbours = view(self.request(address="10.0.0.2"), 9)

        assert [response.status_code for response in responses] == [200] * 4 + [429] * 2
        assert 895 <= int(responses[-1]["Retry-After"]) <= 900
        assert neighbours.status_code == 200
        assert asked == [0, 1, 2, 3, 9]

    def test_counts_its_methods_only(self, elms: ActiveTenant) -> None:
        view = limits.limit("client", methods=("POST",))(lambda request: HttpResponse())

        with context.override(elms):
            pages = [view(self.request()).status_code for _ in range(6)]
            forms = [view(self.request("post")).status_code for _ in range(6)]

        assert pages == [200] * 6
        assert forms == [200] * 4 + [429] * 2

    def test_counts_what_it_is_told_to(self, elms: ActiveTenant) -> None:
        view = limits.limit("client", by=lambda request: request.GET["q"])(
            lambda request: HttpResponse()
        )

        with context.override(elms):
            answers = [
                view(RequestFactory().get("/", {"q": word})).status_code for word in "aaaaabbbb"
            ]

        assert answers == [200] * 4 + [429] + [200] * 4

    def test_is_for_async_views_too(self, elms: ActiveTenant) -> None:
        @limits.limit("client")
        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse()

        async def ask() -> list[int]:
            return [(await view(self.request())).status_code for _ in range(6)]

        with context.override(elms):
            assert asyncio.run(ask()) == [200] * 4 + [429] * 2


class TestThrottle:
    class View(APIView):
        authentication_classes = ()
        permission_classes = ()
        throttle_classes = (Throttle,)

        def get(self, request: Any) -> Response:
            return Response()

    def test_answers_429_and_when_to_come_back(
        self, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        view = self.View.as_view()

        with context.override(elms):
            elms_answers = [view(APIRequestFactory().get("/")) for _ in range(6)]
        with context.override(oaks):
            oaks_answers = [view(APIRequestFactory().get("/")) for _ in range(4)]

        assert [answer.status_code for answer in elms_answers] == [200] * 4 + [429] * 2
        assert 895 <= int(elms_answers[-1]["Retry-After"]) <= 900
        assert [answer.status_code for answer in oaks_answers] == [200] * 4


class TestMiddleware:
    @pytest.fixture
    def ask(self, in_elm: Organization, oak: Organization) -> Callable[..., Any]:
        """A function that asks for a page at a clinic, as somebody or as nobody."""
        return lambda organization, path="/sign-in/", **headers: TenantClient(organization).get(
            path, **headers
        )

    def test_limits_a_client(self, ask: Callable[..., Any], elm: Organization) -> None:
        answers = [ask(elm).status_code for _ in range(6)]

        assert answers == [200] * 4 + [429] * 2
        assert ask(elm, REMOTE_ADDR="10.0.0.2").status_code == 200

    def test_limits_a_tenant_and_no_other(
        self, ask: Callable[..., Any], elm: Organization, oak: Organization
    ) -> None:
        answers = [ask(elm, REMOTE_ADDR=f"10.0.0.{number}").status_code for number in range(12)]

        assert answers == [200] * 10 + [429] * 2
        assert [ask(oak).status_code for _ in range(4)] == [200] * 4

    def test_knows_who_is_signed_in(
        self, elm_client: TenantClient, sign_in: Callable[..., Any], in_elm: Organization
    ) -> None:
        """
        Two at one desk, or behind one address, are two.
        """
        other = TenantClient(in_elm)
        sign_in(elm_client, "doctor")
        sign_in(other, "nurse")

        answers = [client.get("/patients/").status_code for client in (elm_client, other) * 4]

        assert answers == [200] * 8
        assert elm_client.get("/patients/").status_code == 429

    def test_answers_people_a_page_and_programs_a_problem(
        self, ask: Callable[..., Any], elm: Organization
    ) -> None:
        for _ in range(4):
            ask(elm)

        page, problem = ask(elm), ask(elm, "/api/v1/patients/")

        assert "Too much at once" in page.content.decode()
        assert problem["Content-Type"] == "application/problem+json"
        assert (problem.status_code, problem.json()["status"]) == (429, 429)
        assert int(page["Retry-After"]) == pytest.approx(int(problem["Retry-After"]), abs=5)

    def test_refuses_to_stand_before_the_tenants(
        self, ask: Callable[..., Any], elm: Organization, settings: Any
    ) -> None:
        settings.MIDDLEWARE = ["tenancy.limits.LimitMiddleware", *settings.MIDDLEWARE]

        with context.override(None), pytest.raises(NoActiveTenant):
            ask(elm)

    def test_is_asynchronous_where_the_others_are(self, elms: ActiveTenant) -> None:
        async def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse()

        middleware = LimitMiddleware(view)

        async def ask() -> list[int]:
            requests = [RequestFactory().get("/") for _ in range(6)]
            return [(await middleware(request)).status_code for request in requests]

        assert iscoroutinefunction(middleware)
        with context.override(elms):
            assert asyncio.run(ask()) == [200] * 4 + [429] * 2


class TestSignIn:
    def test_is_limited_for_each_clinic(
        self, settings: Any, in_elm: Organization, oak: Organization
    ) -> None:
        settings.TENANCY_RATES = {"tenant": None, "client": None, "sign-in": "3/hour"}
        words = {"username": "doctor", "password": "wrong"}

        def try_at(organization: Organization, times: int) -> list[int]:
            client = TenantClient(organization)
            return [client.post("/sign-in/", words).status_code for _ in range(times)]

        assert try_at(in_elm, 4) == [200] * 3 + [429]
        assert TenantClient(in_elm).get("/sign-in/").status_code == 200
        assert try_at(oak, 3) == [200] * 3
