"""What breaks in the middle of the work of one process: sessions, commits, statements."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import (
    DatabaseError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from psycopg.pq import TransactionStatus

from tenancy import context
from tenancy.backend import server
from tenancy.backend.base import DatabaseWrapper
from tenancy.models import Organization
from tests.faults import hole
from tests.fixtures.pgbouncer import PgBouncer
from tests.isolation.wire import tapped
from tests.tenancy.test_connections import default_with, end_session, pid

__all__ = ["default_with"]

POOL = {"min_size": 4, "max_size": 4, "timeout": 10}


@pytest.fixture
def pool(
    default_with: Callable[..., DatabaseWrapper], elm: Organization
) -> Iterator[DatabaseWrapper]:
    """Four connections; Elm is active."""
    wrapper = default_with(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False, OPTIONS={"pool": dict(POOL)})
    with context.override(elm.as_active()):
        fill()
        yield wrapper


def fill() -> set[int]:
    """Return the processes behind all connections of the pool, when all are there."""
    connection.close()
    connection.pool.open()
    connection.pool.wait(timeout=10)
    return list_idle()


def list_idle() -> set[int]:
    return {each.pgconn.backend_pid for each in connection.pool._pool}


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestDeadConnection:
    """It is found before a request has it, without a word to the server."""

    def test_leads_to_all_others_that_died_with_it(self, pool: DatabaseWrapper) -> None:
        """Also to those behind one that lives, which nobody has asked for yet."""
        first, second, third, fourth = (each.pgconn.backend_pid for each in connection.pool._pool)
        for each in (first, third, fourth):
            end_session(each)

        assert pid() == second

        assert not {first, third, fourth} & list_idle()

    def test_leaves_those_that_live(self, pool: DatabaseWrapper) -> None:
        first, *others = (each.pgconn.backend_pid for each in connection.pool._pool)
        end_session(first)

        assert pid() in others
        connection.close()

        wait_until(lambda: len(list_idle()) == len(others) + 1)
        assert set(others) < list_idle()
        assert first not in list_idle()

    def test_costs_no_round_trip_where_there_is_none(self, pool: DatabaseWrapper) -> None:
        with tapped() as tap:
            for _ in range(4):
                connection.ensure_connection()
                connection.close()

        assert tap.sent == []

    @pytest.mark.parametrize("fault", ["restarted", "told to close its clients"])
    def test_of_a_pooler_is_found(
        self,
        fault: str,
        pgbouncer: PgBouncer,
        default_with: Callable[..., DatabaseWrapper],
        monkeypatch: pytest.MonkeyPatch,
        elm: Organization,
    ) -> None:
        options = {"pool": dict(POOL)}
        default_with(PORT=pgbouncer.port, CONN_MAX_AGE=0, OPTIONS=options)
        with context.override(elm.as_active()):
            fill()
            before = [*connection.pool._pool]
            if fault == "restarted":
                pgbouncer.restart()
            else:
                with pgbouncer.console() as console:
                    console.execute("SET client_idle_timeout = 1")
                    wait_until(lambda: not any(each.is_alive() for each in before))
                    console.execute("SET client_idle_timeout = 0")

            assert Group.objects.count() >= 0
            assert connection.connection not in before

    def test_of_a_kept_connection_is_found(
        self, default_with: Callable[..., DatabaseWrapper], elm: Organization
    ) -> None:
        default_with(CONN_MAX_AGE=600, CONN_HEALTH_CHECKS=True)
        with context.override(elm.as_active()):
            for _ in range(3):
                close_old_connections()
                end_session(pid())
                close_old_connections()
                assert Group.objects.count() >= 0


class TestKills:
    def test_fail_one_statement_and_not_the_next_request(
        self, pool: DatabaseWrapper, elm: Organization
    ) -> None:
        """A hundred sessions end while four threads read; whoever asks anew is answered."""
        ended, counts = Event(), {"answered": 0, "failed": 0, "failed at once again": 0}

        def read() -> None:
            has_failed = False
            with context.override(elm.as_active()):
                while not ended.is_set():
                    try:
                        Group.objects.count()
                    except OperationalError:
                        counts["failed"] += 1
                        counts["failed at once again"] += has_failed
                        has_failed = True
                    else:
                        counts["answered"] += 1
                        has_failed = False
                    finally:
                        connection.close()

        readers = [Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for _ in range(100):
            idle = list_idle() or {0}
            end_session(random.choice([*idle]))  # which one does not matter
        ended.set()
        for reader in readers:
            reader.join()

        assert counts["answered"] > 100
        assert counts["failed"] <= 100
        assert counts["failed at once again"] <= 5, counts
        assert fill()


class TestTimeout:
    """A statement that is ended leaves its connection as clean as any."""

    def test_ends_a_statement_of_the_orm(self, pool: DatabaseWrapper) -> None:
        with pytest.raises(OperationalError) as raised, transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '200ms'")
            began = time.monotonic()
            Group.objects.extra(where=["pg_sleep(30) IS NOT NULL OR true"]).exists()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(30)")

        assert isinstance(raised.value.__cause__, psycopg.errors.QueryCanceled)
        assert 0.1 < time.monotonic() - began < 5
        status = connection.connection.pgconn.transaction_status
        assert status == TransactionStatus.IDLE
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("30s",)

    def test_ends_a_transaction_that_idles(self, pool: DatabaseWrapper) -> None:
        with pytest.raises(DatabaseError), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
            time.sleep(0.5)
            Group.objects.count()
        connection.close()

        assert Group.objects.count() >= 0


class TestCommit:
    def test_that_nobody_knows_of_is_not_tried_again(
        self, default_with: Callable[..., DatabaseWrapper], elm: Organization, settings: Any
    ) -> None:
        """The server may have done it: whoever asked is told that nobody knows, and asks."""
        settings.TENANCY_DATABASE_PATIENCE = None
        with hole.before(int(connection.settings_dict["PORT"])) as network:
            default_with(PORT=network.port, CONN_MAX_AGE=600)
            names = [f"ambiguous {number}" for number in range(10)]
            with context.override(elm.as_active()):
                for name in names:
                    with pytest.raises(DatabaseError), transaction.atomic():
                        Group.objects.create(name=name)
                        network.cut_after_next()
                    connection.close()
                written = Group.objects.filter(name__in=names)
                found = sorted(written.values_list("name", flat=True))
                written.delete()
            connection.close()

        assert found == sorted(names)


class TestServer:
    def test_is_not_taken_for_away_while_it_works(
        self, default_with: Callable[..., DatabaseWrapper], elm: Organization, settings: Any
    ) -> None:
        """It lets in whoever asks, however long it works on what it was asked."""
        settings.TENANCY_DATABASE_PATIENCE = timedelta(seconds=0.7)
        with hole.before(int(connection.settings_dict["PORT"])) as network:
            default_with(PORT=network.port, CONN_MAX_AGE=600)
            with context.override(elm.as_active()), connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(2.5)")
            is_away = server.at(connection.get_connection_params()).is_away
            connection.close()

        assert not is_away


class TestCancel:
    CLIENTS = 20

    def test_hits_only_the_statement_that_it_is_for(self, pgbouncer: PgBouncer) -> None:
        """Through the pooler, where a session is another client's a moment later."""
        url = pgbouncer.url("app")
        ended = Event()
        counts = {"cancelled": 0, "answered": 0}
        victims: list[BaseException] = []

        def work(number: int) -> None:
            chance = random.Random(number)  # the same in each run
            cancels = number % 2 == 0
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as client:
                while not ended.is_set():
                    is_cancelled = cancels and chance.random() < 0.5
                    if is_cancelled:
                        pause = chance.random() * 0.15
                        other = Thread(target=lambda p=pause: (time.sleep(p), client.cancel_safe()))
                        other.start()
                    try:
                        client.execute("SELECT pg_sleep(0.02)")
                        counts["answered"] += 1
                    except psycopg.errors.QueryCanceled as error:
                        counts["cancelled"] += 1
                        if not is_cancelled:
                            victims.append(error)
                    finally:
                        if is_cancelled:
                            other.join()
                    # A cancellation that came too late for its own statement.
                    if is_cancelled:
                        _swallow(client)

        with ThreadPoolExecutor(self.CLIENTS) as clients:
            done = [clients.submit(work, number) for number in range(self.CLIENTS)]
            time.sleep(4)
            ended.set()
            for each in done:
                each.result()

        assert victims == []
        assert counts["cancelled"] > 10
        assert counts["answered"] > 50


def _swallow(client: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        client.execute("SELECT 1")


def test_no_thread_asks_for_whom_nobody_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that once failed to connect somewhere does not go on knocking there."""
    monkeypatch.setattr(server, "WANTED_SECONDS", 0)
    lost = server.Server({"host": "127.0.0.1", "port": 1, "user": "x", "dbname": "x"})

    lost.lose("said by a test")

    wait_until(lambda: not lost.is_away and not lost._is_asked)
