"""What the database does to a request is a 503 that says when to come back; a mistake is a 500."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import OperationalError, close_old_connections, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from clinicx.local import ports
from tenancy import context, outages, tenants
from tenancy.backend.base import DatabaseWrapper
from tenancy.middleware import TenantMiddleware
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.tenancy import outage_views
from tests.tenancy.test_connections import default_with

__all__ = ["default_with"]


@pytest.fixture(autouse=True)
def _views(settings: Any, committed: None, elm: Organization) -> Iterator[None]:
    settings.ROOT_URLCONF = outage_views.__name__
    settings.PUBLIC_SCHEMA_URLCONF = outage_views.__name__
    yield
    # Connections that were ended are for nobody's next test.
    connections.close_all()
    with context.override(elm.as_active()):
        Session.objects.all().delete()


class Browser(TenantClient):
    """Is shown errors as pages, and each of its requests begins as a server's does."""

    def request(self, **request: Any) -> Any:
        close_old_connections()
        return super().request(**request)


@pytest.fixture
def client(elm: Organization) -> Browser:
    """A browser at Elm's host."""
    return Browser(elm, raise_request_exception=False)


@pytest.fixture
def unreachable(default_with: Callable[..., DatabaseWrapper]) -> None:
    """Nobody listens at the application's address."""
    default_with(PORT=ports.pick(preferred=0))


def is_honest(response: HttpResponse) -> bool:
    told = response.content.decode()
    assert "Traceback" not in told
    assert "psycopg" not in told
    assert "127.0.0.1" not in told
    return (response.status_code, response.get("Retry-After")) == (503, "5")


@pytest.mark.parametrize("view", outage_views.FAILING)
class TestFailure:
    def test_is_a_page_that_says_when_to_come_back(
        self, client: Browser, view: Callable[..., Any]
    ) -> None:
        page = client.get(f"/{view.__name__}/")

        assert is_honest(page)
        assert b"Our database does not answer" in page.content

    def test_is_a_problem_in_the_api(self, client: Browser, view: Callable[..., Any]) -> None:
        problem = client.get(f"/api/{view.__name__}/")

        assert is_honest(problem)
        assert problem["Content-Type"] == "application/problem+json"
        assert "database does not answer" in problem.json()["detail"]

    def test_is_no_traceback_where_django_shows_them(
        self, client: Browser, settings: Any, view: Callable[..., Any]
    ) -> None:
        settings.DEBUG = True

        assert is_honest(client.get(f"/{view.__name__}/"))

    def test_is_over_with_the_next_request(self, client: Browser, view: Callable[..., Any]) -> None:
        client.get(f"/{view.__name__}/")

        assert client.get("/count/").status_code == 200

    def test_is_no_traceback_in_the_log(
        self, client: Browser, caplog: pytest.LogCaptureFixture, view: Callable[..., Any]
    ) -> None:
        with caplog.at_level(logging.INFO):
            client.get(f"/{view.__name__}/")

        assert [each for each in caplog.records if each.exc_info] == []


class TestMistake:
    def test_stays_a_500(self, client: Browser, caplog: pytest.LogCaptureFixture) -> None:
        assert client.get("/make_a_mistake/").status_code == 500
        assert [each.name for each in caplog.records if each.exc_info] == ["django.request"]

    def test_of_the_database_may_be_coped_with(self, client: Browser) -> None:
        assert client.get("/cope/").status_code == 200


class TestUnreachable:
    @pytest.mark.parametrize("path", ["/count/", "/api/count/"])
    def test_is_said_where_the_host_is_known(
        self, client: Browser, elm: Organization, unreachable: None, path: str
    ) -> None:
        assert is_honest(client.get(path))

    @pytest.mark.parametrize("host", ["elm.localhost", "nobody.localhost"])
    def test_is_said_where_nobody_knows_the_host(
        self, client: Browser, unreachable: None, settings: Any, host: str
    ) -> None:
        """Whether somebody answers there, only the database could say."""
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
        tenants.forget_all()

        assert is_honest(client.get("/count/", headers={"host": host}))

    def test_is_said_by_asynchronous_servers(self, elm: Organization, unreachable: None) -> None:
        async def fail(request: HttpRequest) -> HttpResponse:
            """Answer as Django does when a middleware fails."""
            with suppress(OperationalError):
                await sync_to_async(Group.objects.count)()
            return HttpResponse(status=500)

        async def ask() -> HttpResponse:
            request = RequestFactory().get("/count/", headers={"host": elm.host})
            # The thread that works for event loops was another test's, and is the next one's.
            await sync_to_async(forget_connection)()
            try:
                return await TenantMiddleware(fail)(request)
            finally:
                await sync_to_async(forget_connection)()

        assert is_honest(asyncio.run(ask()))


def forget_connection() -> None:
    """Let this thread's next connection be as the settings have it now."""
    connections["default"].close()
    del connections["default"]


class TestBusyPool:
    def test_is_said_when_it_has_none_to_give_in_time(
        self, client: Browser, default_with: Callable[..., DatabaseWrapper]
    ) -> None:
        pool = {"min_size": 1, "max_size": 1, "timeout": 0.2}
        default_with(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False, OPTIONS={"pool": pool})
        responses: list[HttpResponse] = []

        def ask() -> None:
            responses.append(client.get("/count/"))
            connections.close_all()

        with context.override(context.PLATFORM):
            connection.ensure_connection()
            thread = Thread(target=ask)
            thread.start()
            thread.join()

        assert is_honest(responses[0])


class TestCount:
    def test_is_one_line_for_many_requests(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(outages.time, "monotonic", lambda: now[0])
        counter = outages._Counter()

        for _ in range(20):
            counter.count("it rains")
            now[0] += 0.75

        assert [each.getMessage() for each in caplog.records] == [
            "Answered with 503, since it rains: 1 requests",
            "Answered with 503, since it rains: 14 requests",
        ]
