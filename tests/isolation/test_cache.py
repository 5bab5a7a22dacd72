"""What one clinic puts into a cache, no other finds there; with nobody active there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.views.decorators.cache import cache_page
from django_redis import get_redis_connection

from apps.patients.models import Patient
from tenancy import context
from tenancy.context import Target
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization
from tenancy.testing import TenantClient

KEEPERS = ("Update", "FetchFrom")

each_cache = pytest.mark.parametrize("alias", settings.CACHES)

READ: dict[str, Callable[[BaseCache], Any]] = {
    "get": lambda cache: cache.get("key"),
    "get_many": lambda cache: cache.get_many(["key"]),
    "has_key": lambda cache: cache.has_key("key"),
    "in": lambda cache: "key" in cache,
    "get_or_set": lambda cache: cache.get_or_set("key", None),
    "keys": lambda cache: cache.keys("*"),
    "iter_keys": lambda cache: list(cache.iter_keys("*")),
    "ttl": lambda cache: cache.ttl("key"),
    "every version": lambda cache: [cache.get("key", version=each) for each in ("1", "*", None)],
}

WRITE: dict[str, Callable[[BaseCache], Any]] = {
    "set": lambda cache: cache.set("key", "oak"),
    "add": lambda cache: cache.add("key", "oak"),
    "set_many": lambda cache: cache.set_many({"key": "oak"}),
    "delete": lambda cache: cache.delete("key"),
    "delete_many": lambda cache: cache.delete_many(["key"]),
    "delete_pattern": lambda cache: cache.delete_pattern("*"),
    "clear": lambda cache: cache.clear(),
    "touch": lambda cache: cache.touch("key", 1),
    "expire": lambda cache: cache.expire("key", 1),
    "persist": lambda cache: cache.persist("key"),
    "lock": lambda cache: cache.lock("key", timeout=1).acquire(blocking=False),
}


@pytest.fixture
def at(outside: list[Organization]) -> Callable[[str], Any]:
    """A function that enters elm, oak or the platform."""
    targets: dict[str, Target] = {each.slug: each.as_active() for each in outside}
    return lambda name: context.override(targets.get(name, context.PLATFORM))


class TestCache:
    @each_cache
    @pytest.mark.parametrize("away", ["oak", "platform"])
    @pytest.mark.parametrize("way", READ)
    def test_of_elm_is_read_nowhere_else(
        self, way: str, away: str, alias: str, at: Callable[[str], Any]
    ):
        read = READ[way]
        with at(away):
            nothing = read(caches[alias])

        with at("elm"):
            caches[alias].set("key", "elm")
            found = read(caches[alias])

        with at(away):
            assert read(caches[alias]) == nothing
        assert found != nothing

    @each_cache
    @pytest.mark.parametrize("away", ["oak", "platform"])
    @pytest.mark.parametrize("way", WRITE)
    def test_of_elm_is_written_nowhere_else(
        self, way: str, away: str, alias: str, at: Callable[[str], Any]
    ):
        with at("elm"):
            caches[alias].set("key", "elm", timeout=300)

        with at(away):
            WRITE[way](caches[alias])

        with at("elm"):
            assert caches[alias].get("key") == "elm"
            assert caches[alias].ttl("key") > 200

    @each_cache
    def test_counts_for_each_clinic(self, alias: str, at: Callable[[str], Any]):
        counts = []

        for name in ("elm", "oak", "elm", "platform"):
            with at(name):
                caches[alias].add("visits", 0)
                counts.append(caches[alias].incr("visits"))

        assert counts == [1, 1, 2, 1]

    @each_cache
    def test_locks_for_each_clinic(self, alias: str, at: Callable[[str], Any]):
        with at("elm"):
            assert caches[alias].lock("door", timeout=5).acquire(blocking=False)
            assert not caches[alias].lock("door", timeout=5).acquire(blocking=False)

        with at("oak"):
            assert caches[alias].lock("door", timeout=5).acquire(blocking=False)

    def test_of_a_templates_fragment_is_the_clinics(self, at: Callable[[str], Any]):
        template = Template("{% load cache %}{% cache 60 greeting %}{{ name }}{% endcache %}")
        seen = []

        for name in ("elm", "oak", "elm"):
            with at(name):
                seen.append(template.render(Context({"name": f"{name}, {len(seen)}"})))

        assert seen == ["elm, 0", "oak, 1", "elm, 0"]

    def test_of_a_page_is_the_clinics(self, at: Callable[[str], Any]):
        """
        Also where both have the same host, and differ by a path or a header.
        """
        seen = []
        view = cache_page(60)(lambda request: HttpResponse(f"{context.get_current()}, {len(seen)}"))

        for name in ("elm", "oak", "elm"):
            with at(name):
                seen.append(view(RequestFactory().get("/")).content.decode())

        assert seen == ["elm, 0", "oak, 1", "elm, 0"]

    def test_of_a_page_is_nobodys_outside_of_the_tenants_middleware(
        self, settings: Any, outside: list[Organization]
    ):
        """
        Django's middleware that keeps pages stands before ours: nothing is kept or found.
        """
        kept, fetched = (f"django.middleware.cache.{name}CacheMiddleware" for name in KEEPERS)
        settings.MIDDLEWARE = [kept, fetched, *settings.MIDDLEWARE]

        with pytest.raises(NoActiveTenant):
            TenantClient(outside[0]).get("/sign-in/")

    @each_cache
    @pytest.mark.parametrize("way", [*READ, *WRITE])
    def test_is_nobodys_when_nobody_is_active(
        self, way: str, alias: str, outside: list[Organization]
    ):
        use = (READ | WRITE)[way]

        with pytest.raises(NoActiveTenant):
            use(caches[alias])


class TestKey:
    OWNED = re.compile(rb"clinicx:([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|platform):.+", re.S)

    @pytest.fixture
    def keys(self, at: Callable[[str], Any]) -> Callable[[], list[bytes]]:
        """A function that returns every key that Redis has now."""
        get_redis_connection("default").flushdb()
        return lambda: get_redis_connection("default").keys("*")

    def test_of_every_use_names_its_owner(
        self, keys: Callable[[], list[bytes]], at: Callable[[str], Any]
    ):
        for name in ("elm", "oak", "platform"):
            for use in (READ | WRITE).values():
                with at(name):
                    cache.set("key", name)
                    use(cache)

        assert [key for key in keys() if not self.OWNED.fullmatch(key)] == []
        assert len({key.split(b":")[1] for key in keys()}) == 3

    @pytest.mark.parametrize(
        "key", ["", "a:b", ":", "*", "platform:1:key", "é", "../key", "a" * 200]
    )
    def test_cannot_be_chosen_to_be_anothers(self, key: str, at: Callable[[str], Any]):
        for name in ("elm", "oak", "platform"):
            with at(name):
                cache.set(key, name)

        for name in ("elm", "oak", "platform"):
            with at(name):
                assert cache.get(key) == name

    def test_has_the_organizations_id_and_not_its_name(
        self, keys: Callable[[], list[bytes]], at: Callable[[str], Any], elm: Organization
    ):
        """
        A clinic that is renamed keeps its cache, and who takes its name does not get it.
        """
        with at("elm"):
            cache.set("key", "elm")

        assert keys() == [f"clinicx:{elm.id}:1:key".encode()]


class TestContentTypes:
    @pytest.fixture(autouse=True)
    def _forgotten(self) -> Iterator[None]:
        """What is remembered of numbers that are rolled back would mislead other tests."""
        ContentType.objects.clear_cache()
        yield
        ContentType.objects.clear_cache()

    def test_are_remembered_for_each_clinic(self, at: Callable[[str], Any]):
        """
        The same model has another number in each schema, and Django remembers them in one
        dictionary for the whole process.
        """
        with at("oak"):
            types = ContentType.objects.filter(app_label="patients", model="patient")
            types.update(id=424_242)

        numbers = []
        for name in ("elm", "oak", "elm", "oak"):
            with at(name):
                number = ContentType.objects.get_for_model(Patient).pk
                assert ContentType.objects.get_for_id(number).model == "patient"
            numbers.append(number)

        assert numbers[1::2] == [424_242, 424_242]
        assert 424_242 not in numbers[::2]
