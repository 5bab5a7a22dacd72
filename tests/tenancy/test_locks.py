"""A lock excludes its own tenant's other transactions, and nobody else's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from django.db import connection, connections, transaction

from tenancy import context, locks
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.errors import NoActiveTenant, UnableToLock
from tenancy.models import Organization
from tests.fixtures import servers
from tests.isolation.wire import tapped

NAME = "invoice-number"
SOON = timedelta(milliseconds=50)
PATIENCE_SECONDS = 10

ELMS_KEY = 1325526888623450309
PLATFORMS_KEY = -1908420982195374382

WAITING = """
    SELECT count(*)
      FROM pg_catalog.pg_locks
     WHERE locktype = 'advisory'
       AND NOT granted
       AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


@pytest.fixture
def at_elm(address: str, elm: Organization) -> Iterator[Target]:
    """Elm is active, with real commits, at either address."""
    with context.override(elm.as_active()):
        connection.ensure_connection()
        yield elm.as_active()


@pytest.fixture
def other() -> Iterator[Callable[..., Future[object]]]:
    """A function that calls another for a target, in another client's own transaction."""
    with ThreadPoolExecutor(1) as pool:

        def call(target: Target, work: Callable[[], object], using: str = "default") -> object:
            with context.override(target), transaction.atomic(using=using):
                return work()

        yield lambda *args, **options: pool.submit(call, *args, **options)
        pool.submit(connections.close_all).result()


def _is_free(other: Callable[..., Future[object]], target: Target, name: str = NAME) -> bool:
    return bool(other(target, lambda: locks.try_acquire(name)).result())


def _patience() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (value,) = cursor.fetchone()
    return str(value)


class TestAcquire:
    def test_excludes_another_transaction_until_its_own_ends(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        with transaction.atomic():
            locks.acquire(NAME)
            during = _is_free(other, at_elm)
        after = _is_free(other, at_elm)

        assert (during, after) == (False, True)

    def test_ends_with_a_transaction_that_fails(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            locks.acquire(NAME)
            _ = 1 / 0

        assert _is_free(other, at_elm)

    def test_excludes_no_other_tenant_and_no_other_name(
        self, at_elm: Target, oak: Organization, other: Callable[..., Future[object]]
    ) -> None:
        with transaction.atomic():
            locks.acquire(NAME)

            assert _is_free(other, oak.as_active())
            assert _is_free(other, PLATFORM)
            assert _is_free(other, at_elm, "another")

    def test_of_the_platform_excludes_the_platform(
        self, address: str, other: Callable[..., Future[object]], elm: Organization
    ) -> None:
        with context.override(PLATFORM), transaction.atomic():
            locks.acquire(NAME)

            assert not _is_free(other, PLATFORM)
            assert _is_free(other, elm.as_active())

    def test_is_the_same_at_the_owners_address(
        self, committed: None, elm: Organization, other: Callable[..., Future[object]]
    ) -> None:
        def at_owners_address() -> bool:
            return locks.try_acquire(NAME, using="ddl")

        with context.override(elm.as_active()), transaction.atomic():
            locks.acquire(NAME)

            assert not other(elm.as_active(), at_owners_address, using="ddl").result()

    def test_waits_until_the_other_is_done(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        with transaction.atomic():
            locks.acquire(NAME)
            waiting = other(at_elm, lambda: locks.acquire(NAME))
            self._wait_for_one_in_the_queue()
            assert not waiting.done()

        assert waiting.result(PATIENCE_SECONDS) is None

    def _wait_for_one_in_the_queue(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        address = os.environ["DATABASE_SUPERUSER_URL"]
        with psycopg.connect(address, dbname=servers.database_name(), autocommit=True) as server:
            while server.execute(WAITING).fetchone() != (1,):
                assert time.monotonic() < deadline, "nobody waits for the lock"
                time.sleep(0.02)

    def test_gives_up_in_time_and_lets_the_transaction_go_on(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        def try_for_a_while() -> tuple[str, bool]:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '7s'")
            with pytest.raises(UnableToLock, match=r"'invoice-number' of elm .* 50ms"):
                locks.acquire(NAME, timeout=SOON)
            return _patience(), locks.try_acquire("another")

        with transaction.atomic():
            locks.acquire(NAME)

            assert other(at_elm, try_for_a_while).result() == ("7s", True)

    def test_without_a_timeout_waits_for_as_long_as_the_server_lets_it(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        def wait() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
            locks.acquire(NAME, timeout=None)

        with transaction.atomic():
            locks.acquire(NAME)

            with pytest.raises(UnableToLock):
                other(at_elm, wait).result()

    def test_leaves_the_servers_own_timeout_as_it_was(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        def wait() -> str:
            locks.acquire(NAME, timeout=timedelta(seconds=PATIENCE_SECONDS + 1))
            return _patience()

        with transaction.atomic():
            locks.acquire(NAME)
            waiting = other(at_elm, wait)
            self._wait_for_one_in_the_queue()

        assert waiting.result(PATIENCE_SECONDS) == _patience()

    def test_may_be_said_twice(self, at_elm: Target) -> None:
        with transaction.atomic():
            locks.acquire(NAME, timeout=SOON)
            locks.acquire(NAME, timeout=SOON)

            assert locks.try_acquire(NAME)

    def test_is_given_back_by_a_savepoint_that_is_rolled_back(
        self, at_elm: Target, other: Callable[..., Future[object]]
    ) -> None:
        with transaction.atomic():
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                locks.acquire(NAME)
                _ = 1 / 0

            assert _is_free(other, at_elm)

    def test_costs_one_round_trip_that_begins_the_transaction_too(self, at_elm: Target) -> None:
        with tapped() as tap, transaction.atomic():
            locks.acquire("of-the-patient-4711")

        assert [each.kind for each in tap.sent] == ["Query", "Query"]  # and COMMIT
        assert "pg_try_advisory_xact_lock" in tap.sent[0].text
        assert "4711" not in str(tap.sent)


class TestRefusal:
    each_way = pytest.mark.parametrize("lock", [locks.acquire, locks.try_acquire])

    @each_way
    def test_outside_a_transaction(self, lock: Callable[[str], object], at_elm: Target) -> None:
        with (
            tapped() as tap,
            pytest.raises(transaction.TransactionManagementError, match=r"transaction\.atomic"),
        ):
            lock(NAME)

        assert tap.sent == []

    @each_way
    def test_with_nobody_active(self, lock: Callable[[str], object], at_elm: Target) -> None:
        with context.override(None), pytest.raises(NoActiveTenant), transaction.atomic():
            lock(NAME)

    @each_way
    def test_of_a_tenant_without_an_id(self, lock: Callable[[str], object], at_elm: Target) -> None:
        nameless = ActiveTenant(id=None, schema="tenant_elm")

        with (
            context.override(nameless),
            transaction.atomic(),
            pytest.raises(NoActiveTenant, match="as_active"),
        ):
            lock(NAME)

    @pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
    def test_of_a_timeout_that_would_mean_for_ever(
        self, timeout: timedelta, at_elm: Target
    ) -> None:
        with transaction.atomic(), pytest.raises(ValueError, match="try_acquire"):
            locks.acquire(NAME, timeout=timeout)


class TestKey:
    def test_is_the_same_in_every_process_and_release(self) -> None:
        """
        During a rollout the old and the new release exclude each other.
        """
        elm = ActiveTenant(id=UUID(int=1), schema="tenant_elm")

        with context.override(elm):
            assert locks.key_for(NAME) == ELMS_KEY
        with context.override(PLATFORM):
            assert locks.key_for(NAME) == PLATFORMS_KEY

    def test_outlives_a_rename(self) -> None:
        keys = set()
        for schema in ("tenant_elm", "tenant_elm_street"):
            with context.override(ActiveTenant(id=UUID(int=1), schema=schema)):
                keys.add(locks.key_for(NAME))

        assert len(keys) == 1

    def test_is_anothers_for_another_tenant_or_name(self) -> None:
        keys = set()
        for number in range(100):
            with context.override(ActiveTenant(id=number, schema="tenant")):
                keys |= {locks.key_for(f"{name}") for name in range(100)}

        assert len(keys) == 100 * 100
