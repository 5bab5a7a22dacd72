"""A request's context ends with the request, however that ends, and is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection, connections
from django.test import AsyncClient
from psycopg.pq import TransactionStatus

from apps.accounts.models import User
from tenancy import context
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.isolation import views

pytestmark = pytest.mark.usefixtures("owned_keys")

THREADS = 8
REQUESTS = 400


class _AsyncBrowser(AsyncClient):
    """Django's asynchronous client, which sends a host of its own beside any other, at one host."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host.encode()

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope = super()._base_scope(**request)
        others = [header for header in scope["headers"] if header[0] != b"host"]
        return {**scope, "headers": [(b"host", self.host), *others]}


@pytest.fixture(autouse=True)
def _views(settings: Any, committed: None, elm: Organization, oak: Organization) -> None:
    settings.ROOT_URLCONF = views.__name__


@pytest.fixture
def client(elm: Organization) -> TenantClient:
    """A browser at Elm's host that is shown errors as pages."""
    return TenantClient(elm, raise_request_exception=False)


class TestContext:
    def test_is_the_hosts_during_the_request(
        self, elm_client: TenantClient, oak_client: TenantClient
    ):
        told = [client.get("/tell/").json() for client in (elm_client, oak_client, elm_client)]

        elms, oaks = ["elm", "tenant_elm", "elm"], ["oak", "tenant_oak", "oak"]
        assert told == [elms, oaks, elms]

    @pytest.mark.parametrize(
        ("view", "status"),
        [
            ("tell", 200),
            ("tell_later", 200),
            ("render_late", 200),
            ("nowhere", 404),
            ("find_nothing", 404),
            ("refuse", 403),
            ("fail", 500),
            ("fail_in_a_transaction", 500),
            ("fail_in_the_database", 500),
            ("activate_and_forget", 200),
            ("deactivate", 200),
        ],
    )
    def test_is_unset_after(self, view: str, status: int, client: TenantClient):
        response = client.get(f"/{view}/")

        assert response.status_code == status
        assert context.get_current() is None
        assert not connection.in_atomic_block

    @pytest.mark.parametrize("host", ["localhost", "nowhere.localhost", "not a host"])
    def test_is_unset_after_a_request_to_any_host(self, host: str):
        TenantClient(host=host).get("/sign-in/")

        assert context.get_current() is None

    def test_is_unset_after_the_process_was_told_to_end(self, client: TenantClient):
        with pytest.raises(SystemExit):
            client.get("/quit_process/")

        assert context.get_current() is None

    @pytest.mark.parametrize("accident", [views.fail_before, views.fail_after])
    @pytest.mark.parametrize("position", range(len(django_settings.MIDDLEWARE) + 1))
    def test_is_unset_after_an_accident_in_middleware(
        self, position: int, accident: Callable[..., Any], client: TenantClient, settings: Any
    ):
        """
        Wherever it stands among the others.
        """
        middleware = list(settings.MIDDLEWARE)
        middleware.insert(position, f"{views.__name__}.{accident.__name__}")
        settings.MIDDLEWARE = middleware

        response = client.get("/tell/")

        assert response.status_code == 500
        assert context.get_current() is None

    def test_is_there_while_a_template_is_rendered(self, client: TenantClient):
        assert client.get("/render_late/").content == b"tenant_elm"

    def test_is_the_outer_one_again_after_a_request_within_another(
        self, oak: Organization, client: TenantClient
    ):
        with context.override(oak.as_active()):
            client.get("/fail/")

            assert str(context.get_current()) == "oak"


class TestStream:
    def test_works_for_the_clinic_until_it_is_sent(self, client: TenantClient):
        response = client.get("/stream/")

        assert b"".join(response.streaming_content) == b"tenant_elm " * 3
        assert context.get_current() is None

    def test_leaves_others_alone_between_its_steps(
        self, elm_client: TenantClient, oak_client: TenantClient
    ):
        """
        Two are sent in turns by one thread, as a server may do.
        """
        elms, oaks = (
            client.get("/stream_and_tidy/").streaming_content for client in (elm_client, oak_client)
        )

        told = []
        for _ in range(2):
            told += [next(elms), str(context.get_current()), next(oaks)]

        assert told == [b"one ", "None", b"one ", b"two ", "None", b"two "]
        assert [*elms, *oaks] == []

    def test_of_an_async_view_works_for_the_clinic(self, elm: Organization):
        async def ask() -> bytes:
            try:
                response = await _AsyncBrowser(elm.host).get("/stream_later/")
                return b"".join([chunk async for chunk in response.streaming_content])
            finally:
                await sync_to_async(connections.close_all)()

        assert asyncio.run(ask()) == b"tenant_elm " * 3

    def test_that_is_broken_off_leaves_no_transaction_open(self, client: TenantClient):
        """
        A browser that goes away makes the server close the response half-way.
        """
        for _ in range(100):
            response = client.get("/stream/")
            next(iter(response.streaming_content))
            response.close()

            assert context.get_current() is None
            assert not connection.in_atomic_block
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE

    def test_that_is_broken_off_ends_for_the_clinic(self, client: TenantClient):
        response = client.get("/stream_and_tidy/")
        next(iter(response.streaming_content))

        response.close()

        assert views.TIDIED == ["tenant_elm"]


class TestThread:
    def test_starts_with_nobody_active(self, client: TenantClient):
        assert client.get("/start_a_thread/").json() == ["None"]

    def test_may_not_query(self, elm: Organization):
        refused: list[Exception] = []

        def query() -> None:
            try:
                User.objects.count()
            except NoActiveTenant as error:
                refused.append(error)

        with context.override(elm.as_active()):
            thread = Thread(target=query)
            thread.start()
            thread.join()

        assert len(refused) == 1

    def test_of_a_pool_may_not_query(self, elm: Organization):
        with context.override(elm.as_active()), ThreadPoolExecutor() as pool:
            asked = pool.submit(User.objects.count)

        assert isinstance(asked.exception(), NoActiveTenant)

    def test_may_not_use_the_cache(self, elm: Organization):
        with context.override(elm.as_active()), ThreadPoolExecutor() as pool:
            asked = pool.submit(cache.get, "key")

        assert isinstance(asked.exception(), NoActiveTenant)

    def test_that_is_given_the_context_works_for_the_clinic(self, elm: Organization):
        def ask() -> str:
            try:
                return views.current_schema()
            finally:
                connections.close_all()

        with context.override(elm.as_active()), ThreadPoolExecutor() as pool:
            copied = pool.submit(copy_context().run, ask).result()
            carried = list(pool.map(context.carry(lambda _: ask()), range(4)))

        assert [copied, *carried] == ["tenant_elm"] * 5


class TestManyAtOnce:
    def test_are_each_their_own_hosts(self, elm: Organization, oak: Organization):
        def work(number: int) -> list[tuple[str, list[str]]]:
            clients = [TenantClient(elm), TenantClient(oak)]
            told = []
            try:
                for each in range(REQUESTS // THREADS):
                    client = clients[(number + each) % 2]
                    told.append((client.organization.slug, client.get("/tell/").json()))
            finally:
                connections.close_all()
            return told

        with ThreadPoolExecutor(THREADS) as pool:
            answers = [answer for told in pool.map(work, range(THREADS)) for answer in told]

        assert len(answers) == REQUESTS
        assert [
            each for each in answers if each[1] != [each[0], f"tenant_{each[0]}", each[0]]
        ] == []

    def test_are_each_their_own_hosts_in_one_event_loop(self, elm: Organization, oak: Organization):
        async def ask(organization: Organization) -> tuple[str, list[str]]:
            response = await _AsyncBrowser(organization.host).get("/tell_later/")
            return organization.slug, response.json()

        async def ask_all() -> list[tuple[str, list[str]]]:
            try:
                return await asyncio.gather(*(ask(each) for each in [elm, oak] * 50))
            finally:
                await sync_to_async(connections.close_all)()

        answers = asyncio.run(ask_all())

        assert [
            each for each in answers if each[1] != [each[0], f"tenant_{each[0]}", each[0]]
        ] == []
