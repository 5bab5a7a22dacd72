"""What was remembered is what the database would say, for the tenant who asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache, caches
from django.db import connection, connections, transaction

from apps.scheduling.models import Practitioner, PractitionerIdentifier
from tenancy import breaker, context, query_cache
from tenancy.context import ActiveTenant
from tenancy.models import Organization
from tenancy.query_cache import CachedQuery, cached_query
from tests.fixtures import redis_keys
from tests.fixtures.own_redis import OwnRedis


def named(family: str) -> Practitioner:
    return Practitioner.objects.create(family=family)


@pytest.fixture
def at_elm(committed: None, elm: Organization, elms: ActiveTenant) -> Iterator[None]:
    """Elm is active, with real commits; its practitioners are deleted afterwards."""
    with context.override(elms):
        try:
            yield
        finally:
            PractitionerIdentifier.objects.all().delete()
            Practitioner.objects.all().delete()


@pytest.fixture
def asked() -> list[str]:
    """How often the database was asked, by what."""
    return []


@pytest.fixture
def families(asked: list[str]) -> Iterator[CachedQuery[..., list[str]]]:
    """A query whose results are remembered."""

    @cached_query(Practitioner)
    def families(prefix: str = "", *, limit: int = 100) -> list[str]:
        asked.append(prefix)
        found = Practitioner.objects.filter(family__startswith=prefix).order_by("family")[:limit]
        return [each.family for each in found]

    yield families
    del query_cache.queries[families.name]


class TestResult:
    def test_is_asked_for_once(self, at_elm: None, families: Any, asked: list[str]) -> None:
        named("Abe")

        assert [families() for _ in range(3)] == [["Abe"]] * 3
        assert len(asked) == 1

    def test_costs_one_round_trip(self, at_elm: None, families: Any) -> None:
        families()
        with redis_keys.watched() as commands:
            families()

        assert [command[0] for command in commands] == [b"mget"]
        assert redis_keys.list_strangers(commands) == []

    def test_is_each_tenants_own(
        self, at_elm: None, families: Any, oaks: ActiveTenant, oak: Organization
    ) -> None:
        named("Abe")
        families()

        with context.override(oaks):
            assert families() == []

    def test_is_of_its_arguments(self, at_elm: None, families: Any, asked: list[str]) -> None:
        named("Abe")
        named("Ben")

        assert (families("A"), families("B"), families(limit=1)) == (["Abe"], ["Ben"], ["Abe"])
        assert families(prefix="A", limit=100) == ["Abe"]
        assert len(asked) == 3

    def test_tells_no_argument_in_its_key(self, at_elm: None, families: Any) -> None:
        with redis_keys.watched() as commands:
            families("Echevarría")

        assert not [word for command in commands for word in command if b"Echevarr" in word]

    def test_ends_after_ten_minutes(self, at_elm: None, families: Any) -> None:
        families()

        (key,) = cache.keys(f"query:{families.name}:*")
        assert 590 <= cache.ttl(key) <= 600

    @pytest.mark.parametrize(
        "returned", [{1: "a"}, ("a",), date(2026, 1, 1), {"rows": [Practitioner()]}, {"a"}]
    )
    def test_that_is_not_plain_is_refused(self, returned: Any, at_elm: None) -> None:
        @cached_query(Practitioner)
        def odd() -> Any:
            return returned

        with pytest.raises(TypeError, match="odd"):
            odd()
        del query_cache.queries[odd.name]

    @pytest.mark.parametrize("plain", [None, 0, "", [], {"a": [1, 2.5, True, None, "é"]}])
    def test_comes_back_as_it_was(self, plain: Any, at_elm: None) -> None:
        asked = []

        @cached_query(Practitioner)
        def same() -> Any:
            asked.append(1)
            return plain

        assert [same(), same()] == [plain, plain]
        assert len(asked) == 1
        del query_cache.queries[same.name]

    def test_of_an_instance_is_refused(self, at_elm: None, families: Any) -> None:
        with pytest.raises(TypeError, match="Practitioner is no argument"):
            families(named("Abe"))


WRITES: dict[str, Callable[[Practitioner], object]] = {
    "create": lambda abe: named("Ada"),
    "save": lambda abe: [setattr(abe, "family", "Ada"), abe.save()],
    "delete": lambda abe: abe.delete(),
    "bulk_create": lambda abe: Practitioner.objects.bulk_create([Practitioner(family="Ada")]),
    "bulk_update": lambda abe: [
        setattr(abe, "family", "Ada"),
        Practitioner.objects.bulk_update([abe], ["family"]),
    ],
    "update": lambda abe: Practitioner.objects.update(family="Ada"),
    "queryset.delete": lambda abe: Practitioner.objects.all().delete(),
    "raw delete": lambda abe: Practitioner.objects.all()._raw_delete("default"),
    "get_or_create": lambda abe: Practitioner.objects.get_or_create(family="Ada"),
    "update_or_create": lambda abe: Practitioner.objects.update_or_create(
        pk=abe.pk, defaults={"family": "Ada"}
    ),
}


class TestWrite:
    @pytest.mark.parametrize("way", WRITES)
    def test_makes_it_ask_again(self, way: str, at_elm: None, families: Any) -> None:
        abe = named("Abe")
        before = families()

        WRITES[way](abe)

        assert families() != before
        assert families() == families.uncached()

    def test_by_a_cascade_does(self, at_elm: None) -> None:
        @cached_query(PractitionerIdentifier)
        def numbers() -> int:
            return PractitionerIdentifier.objects.count()

        abe = named("Abe")
        abe.identifiers.create(value="1")
        before = numbers()

        abe.delete()

        assert (before, numbers()) == (1, 0)
        del query_cache.queries[numbers.name]

    def test_at_another_tenant_does_not(
        self, at_elm: None, families: Any, asked: list[str], oaks: ActiveTenant, oak: Organization
    ) -> None:
        families()
        with context.override(oaks), transaction.atomic():
            named("Ben")
            transaction.set_rollback(True)
        with context.override(oaks):
            named("Ben")
            Practitioner.objects.all().delete()

        families()

        assert len(asked) == 1

    def test_that_is_rolled_back_does_not(
        self, at_elm: None, families: Any, asked: list[str]
    ) -> None:
        families()
        with transaction.atomic():
            named("Abe")
            transaction.set_rollback(True)

        assert families() == []
        assert len(asked) == 1

    def test_after_a_savepoint_that_was_rolled_back_does(self, at_elm: None, families: Any) -> None:
        """
        What the savepoint would have told goes with it, and must not stand for the second.
        """
        families()
        with transaction.atomic():
            with transaction.atomic():
                named("Abe")
                transaction.set_rollback(True)
            named("Ben")

        assert families() == ["Ben"]

    def test_is_told_once_for_a_transaction(self, at_elm: None, families: Any) -> None:
        with redis_keys.watched() as commands, transaction.atomic():
            for number in range(50):
                named(f"Abe {number}")

        assert [command[0] for command in commands].count(b"set") == 1

    def test_of_two_tables_is_told_of_both(self, at_elm: None, families: Any) -> None:
        @cached_query(PractitionerIdentifier)
        def numbers() -> int:
            return PractitionerIdentifier.objects.count()

        before = families(), numbers()
        with transaction.atomic():
            named("Abe").identifiers.create(value="1")

        assert (before, families(), numbers()) == (([], 0), ["Abe"], 1)
        del query_cache.queries[numbers.name]

    def test_by_hand_is_told_by_hand(self, at_elm: None, families: Any) -> None:
        named("Abe")
        families()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE scheduling_practitioner SET family = 'Ada'")
        before = families()

        query_cache.changed(Practitioner)

        assert (before, families()) == (["Abe"], ["Ada"])

    def test_of_everything_can_be_told(self, at_elm: None, families: Any, asked: list[str]) -> None:
        families()
        query_cache.forget_all()
        families()

        assert len(asked) == 2


class TestTransaction:
    def test_reads_its_own_writes_and_remembers_none(self, at_elm: None, families: Any) -> None:
        families()
        with transaction.atomic():
            named("Abe")
            inside = families()
            transaction.set_rollback(True)

        assert (inside, families()) == (["Abe"], [])

    def test_remembers_nothing_that_may_be_old(self, at_elm: None, families: Any) -> None:
        """
        It may have begun before somebody else's commit, of which everybody was told already.
        """
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            Practitioner.objects.count()
            in_another_thread(lambda: named("Abe"))
            old = families()

        assert (old, families()) == ([], ["Abe"])


def in_another_thread(work: Callable[[], Any]) -> Any:
    def carried() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(context.carry(carried)).result()


class TestRace:
    def test_of_a_reader_that_was_slow_leaves_nothing_old(self, at_elm: None) -> None:
        """
        It asked before a commit, and remembers what it found after it.
        """

        @cached_query(Practitioner)
        def count() -> int:
            number = Practitioner.objects.count()
            if threading.current_thread() is not threading.main_thread():
                read.set()
                assert may_go_on.wait(30)
            return number

        read, may_go_on = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as threads:

            def slow() -> int:
                try:
                    return count()
                finally:
                    connections.close_all()

            reader = threads.submit(context.carry(slow))
            assert read.wait(30)
            named("Abe")
            may_go_on.set()
            assert reader.result() == 0

        assert count() == 1
        del query_cache.queries[count.name]

    def test_of_many_asks_the_database_once(self, at_elm: None) -> None:
        asked = []

        @cached_query(Practitioner)
        def slow() -> int:
            asked.append(1)
            time.sleep(0.1)
            return 7

        def ask(number: int) -> int:
            try:
                return slow()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(context.carry(ask), range(8))) == [7] * 8
        assert len(asked) == 1
        del query_cache.queries[slow.name]


class TestWithoutRedis:
    @pytest.fixture
    def own(
        self, own_redis: OwnRedis, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[OwnRedis]:
        monkeypatch.setattr(breaker, "PAUSE_SECONDS", 1.0)
        default = settings.CACHES["default"]
        options = {**default["OPTIONS"], "SOCKET_TIMEOUT": 0.3}
        settings.CACHES = {"default": {**default, "LOCATION": own_redis.url, "OPTIONS": options}}
        yield own_redis
        caches["default"].client.get_client().connection_pool.disconnect()

    def test_asks_the_database(
        self, own: OwnRedis, at_elm: None, families: Any, asked: list[str]
    ) -> None:
        own.kill()

        assert [families(), families()] == [[], []]
        assert len(asked) == 2

    def test_tells_of_a_write_when_it_is_back(
        self, own: OwnRedis, at_elm: None, families: Any
    ) -> None:
        """
        It slept, and kept what was written over meanwhile.
        """
        families()
        own.freeze()
        cache.get("anything")
        named("Abe")  # of which nothing is sent
        meanwhile = families()
        own.thaw()
        time.sleep(1.1)
        cache.get("anything")

        assert (meanwhile, families()) == (["Abe"], ["Abe"])
        assert not query_cache._untold


def test_needs_to_know_what_it_reads() -> None:
    with pytest.raises(TypeError, match="name the models"):
        cached_query()(lambda: 1)


def test_knows_uuids_and_dates_apart_from_text() -> None:
    identity = uuid4()

    assert query_cache._word(identity) != query_cache._word(str(identity))
    assert query_cache._word(True) != query_cache._word(1)
