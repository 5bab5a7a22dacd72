"""
Pitfalls 22 to 25 and 31: a request's code runs after its view, in other threads, in tasks.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from psycopg.pq import TransactionStatus

from tenancy import context
from tenancy.errors import NoActiveTenant
from tenancy.middleware import TenantMiddleware
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.isolation import views as accidents
from tests.isolation.pitfalls import views
from tests.isolation.pitfalls.session import list_marks
from tests.isolation.test_requests import _AsyncBrowser

ASYNC_REQUESTS = 200
BROKEN_OFF = 100


@pytest.fixture(autouse=True)
def _views(settings: Any, address: str, marks: None) -> None:
    settings.ROOT_URLCONF = views.__name__


@pytest.fixture
def clients(elm: Organization, oak: Organization) -> list[TenantClient]:
    return [TenantClient(elm), TenantClient(oak)]


class Test22AtomicRequests:
    @pytest.fixture
    def _atomic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
        connection.close()

    @pytest.mark.usefixtures("_atomic")
    def test_leave_a_lazy_queryset_to_its_clinic(self, clients: list[TenantClient]):
        """
        The template is rendered when the view's transaction has ended.
        """
        assert connection.settings_dict["ATOMIC_REQUESTS"]

        shown = [client.get("/show_late/").content for client in clients * 3]

        assert shown == [b"elm", b"oak"] * 3


class Test23Streaming:
    def test_works_for_its_clinic_in_turns_with_anothers(self, clients: list[TenantClient]):
        responses = [client.get("/stream/") for client in clients]

        # One thread has one connection, and each stream a transaction: one after the other.
        shown = [b"".join(response.streaming_content) for response in responses]

        assert shown == [b"elm" * 3, b"oak" * 3]

    def test_that_is_broken_off_leaves_no_transaction_open(self, clients: list[TenantClient]):
        for number in range(BROKEN_OFF):
            response = clients[number % 2].get("/stream/")
            next(iter(response.streaming_content))
            response.close()

            assert not connection.in_atomic_block
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE


class Test24AsyncViews:
    def test_in_one_event_loop_are_each_their_own_hosts(
        self, elm: Organization, oak: Organization, settings: Any
    ):
        """
        With no other middleware: one that is not async has requests answered in turn.
        """
        settings.MIDDLEWARE = [f"{TenantMiddleware.__module__}.{TenantMiddleware.__name__}"]

        async def ask(organization: Organization) -> tuple[str, list[str]]:
            response = await _AsyncBrowser(organization.host).get("/show_async/")
            return organization.slug, response.json()

        async def ask_all() -> list[tuple[str, list[str]]]:
            try:
                both = [elm, oak] * (ASYNC_REQUESTS // 2)
                return await asyncio.gather(*(ask(each) for each in both))
            finally:
                await sync_to_async(connections.close_all)()

        answers = asyncio.run(ask_all())

        assert len(answers) == ASYNC_REQUESTS
        assert [each for each in answers if each[1] != [each[0]] * 2] == []


class Test25Threads:
    def test_that_are_bare_are_refused(self, elm: Organization):
        refused: list[Exception] = []

        def work() -> None:
            try:
                list_marks()
            except NoActiveTenant as error:
                refused.append(error)

        with context.override(elm.as_active()):
            thread = Thread(target=work)
            thread.start()
            thread.join()

        assert len(refused) == 1

    def test_of_an_executor_keep_no_clinic_for_the_next_task(
        self, elm: Organization, oak: Organization
    ):
        """
        A worker that worked for Elm a moment ago, and for Oak, is nobody's again.
        """
        with ThreadPoolExecutor(1) as pool:
            told = []
            for clinic in (elm, oak):
                with context.override(clinic.as_active()):
                    told.append(pool.submit(context.carry(list_marks)).result())
            error = pool.submit(list_marks).exception()
            pool.submit(connections.close_all).result()

        assert told == [["elm"], ["oak"]]
        assert isinstance(error, NoActiveTenant)


class Test31MiddlewareThatRaises:
    @pytest.mark.parametrize("accident", [accidents.fail_before, accidents.fail_after])
    @pytest.mark.parametrize("position", ["outermost", "innermost"])
    def test_leaves_the_next_request_to_its_own_host(
        self,
        position: str,
        accident: Any,
        clients: list[TenantClient],
        settings: Any,
    ):
        """
        At each of the other positions: tests/isolation/test_requests.py.
        """
        path = f"{accidents.__name__}.{accident.__name__}"
        healthy = list(settings.MIDDLEWARE)
        broken = [path, *healthy] if position == "outermost" else [*healthy, path]

        for client in clients * 2:
            settings.MIDDLEWARE = broken
            # The handler keeps the middleware that it loaded first.
            failing = TenantClient(client.organization, raise_request_exception=False)
            assert failing.get("/refuse/").status_code == 500
            assert context.get_current() is None
            settings.MIDDLEWARE = healthy
            assert client.get("/show_late/").content.decode() == client.organization.slug
