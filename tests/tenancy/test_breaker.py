"""A Redis that does not answer is asked seldom, and used again soon after it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import cache, caches

from tenancy import breaker, context
from tenancy.context import ActiveTenant
from tests.fixtures.own_redis import OwnRedis

TIMEOUT_SECONDS = 0.5


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> float:
    """For how long nothing is asked; longer than the tests take, unless they wait for it."""
    seconds = 1.0
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", seconds)
    return seconds


@pytest.fixture
def asked(own_redis: OwnRedis, settings: Any, in_elm: Any, pause: float) -> Iterator[OwnRedis]:
    """A Redis of which a value was asked already, so that a connection is open."""
    default = settings.CACHES["default"]
    options = {**default["OPTIONS"], "SOCKET_TIMEOUT": TIMEOUT_SECONDS}
    settings.CACHES = {"default": {**default, "LOCATION": own_redis.url, "OPTIONS": options}}
    cache.set("greeting", "hello")
    yield own_redis
    caches["default"].client.get_client().connection_pool.disconnect()


def seconds_for(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


class TestAway:
    def test_is_asked_once_for_all_that_a_request_wants(self, asked: OwnRedis) -> None:
        """
        Fifty questions at a Redis that hangs would wait for fifty timeouts, one after the other.
        """
        asked.freeze()

        taken = seconds_for(lambda: [cache.get("greeting") for _ in range(50)])

        assert taken < 3 * TIMEOUT_SECONDS

    def test_is_asked_by_one_thread_while_the_others_go_on(
        self, asked: OwnRedis, pause: float, elms: ActiveTenant
    ) -> None:
        asked.freeze()
        cache.get("greeting")
        time.sleep(pause + 0.1)

        ask = context.carry(lambda _: seconds_for(lambda: cache.get("greeting")))
        with ThreadPoolExecutor(6) as threads:
            waits = sorted(threads.map(ask, range(6)))

        # Five of six: the wait of one is the promise.
        assert waits[-1] > 0.8 * TIMEOUT_SECONDS
        assert waits[-2] < 0.8 * TIMEOUT_SECONDS

    def test_is_no_error_for_whoever_asks(self, asked: OwnRedis) -> None:
        asked.kill()

        assert [cache.get("greeting", "nothing") for _ in range(3)] == ["nothing"] * 3
        assert cache.set("greeting", "hello") is None

    def test_is_said_once_and_its_return_too(
        self, asked: OwnRedis, pause: float, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            asked.kill()
            for _ in range(20):
                cache.get("greeting")
            time.sleep(pause + 0.1)
            cache.get("greeting")
            asked.start()
            time.sleep(pause + 0.1)
            for _ in range(20):
                cache.get("greeting")

        assert [record.message for record in caplog.records] == [
            "Redis is away (ConnectionError): nothing is cached, and nothing limited but by each "
            "process, until it answers.",
            "Redis answers again.",
        ]


class TestReturn:
    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_is_seen_after_the_pause(self, how: str, asked: OwnRedis, pause: float) -> None:
        take, give = {
            "killed": (asked.kill, asked.start),
            "frozen": (asked.freeze, asked.thaw),
        }[how]
        take()
        cache.get("greeting")
        give()
        time.sleep(pause + 0.1)

        cache.set("greeting", "again")

        assert cache.get("greeting") == "again"

    def test_calls_whoever_waits_for_it(
        self, asked: OwnRedis, pause: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called: list[str] = []
        monkeypatch.setattr(breaker, "_on_return", [])
        breaker.on_return(lambda: called.append("returned"))
        asked.kill()
        cache.get("greeting")
        asked.start()
        assert called == []
        time.sleep(pause + 0.1)

        cache.get("greeting")
        cache.get("greeting")

        assert called == ["returned"]
