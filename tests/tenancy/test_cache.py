"""Each way to a cache reaches the keys of whoever is active, and no other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.cache import cache, caches
from django.core.exceptions import ImproperlyConfigured
from django_redis import get_redis_connection
from django_redis.client.default import glob_escape
from django_redis.util import CacheKey
from redis.connection import AbstractConnection
from redis.lock import Lock

from tenancy import cache as tenancy_cache
from tenancy import context
from tenancy.cache import RedisCache
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import CrossTenantAccess, NoActiveTenant
from tenancy.models import Organization
from tests.fixtures import redis_keys

# How a method says that it wants a key, a pattern or several, and what it is given.
KEYS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("key", "source", "dest", "destination", "pattern", "search"), lambda key: key),
    "keys": lambda key: [key, f"{key}2"],
    "data": lambda key: {key: 1},
}
OTHER_ARGUMENTS: dict[str, Any] = {
    **{"value": "v", "values": ["v"], "default": "v", "member": "v", "members": ["v"]},
    **{"field": "v", "mapping": {"v": 1}, "timeout": 60, "when": 4_000_000_000, "amount": 1},
    **{"min": 0, "max": 9, "start": 0, "end": 9, "num": 9},
}
# These ask for no key: there is nothing that they could get wrong, or they are tried below.
WITHOUT_KEYS = {"close", "aclose", "clear", "aclear", "clear_all", "get_backend_timeout"}
WITHOUT_REDIS = {"make_key", "validate_key", "make_and_validate_key"}


def _methods() -> list[str]:
    methods = inspect.getmembers(RedisCache, inspect.isfunction)
    public = {name for name, _ in methods if not name.startswith("_")}
    return sorted(public - WITHOUT_KEYS)


METHODS = _methods()
each_method = pytest.mark.parametrize("name", sorted(set(METHODS) - WITHOUT_REDIS))


def call(cache: Any, name: str, key: str) -> Any:
    """Call a method of the cache with `key` for whatever keys it asks for."""
    method = getattr(cache, name)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in _parameters(name):
        if parameter.name in KEYS:
            argument = KEYS[parameter.name](key)
        elif parameter.name in OTHER_ARGUMENTS:
            argument = OTHER_ARGUMENTS[parameter.name]
        elif parameter.default is not parameter.empty:
            continue
        else:
            raise AssertionError(f"{name}() asks for {parameter.name!r}: say above what that is.")
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += argument
        elif parameter.default is parameter.empty:
            positional.append(argument)
        else:
            named[parameter.name] = argument
    if inspect.iscoroutinefunction(method):
        method = async_to_sync(method)
    return method(*positional, **named)


def _parameters(name: str) -> list[inspect.Parameter]:
    # The backend's own methods take anything; those of its client say what.
    method = getattr(django_client(), name, None) or getattr(RedisCache, name)
    return list(inspect.signature(method).parameters.values())[1:]


def django_client() -> type[Any]:
    """Return the client's class as django-redis has it."""
    return tenancy_cache.DefaultClient


def use(cache: Any, name: str, key: str) -> None:
    """Call a method of the cache, and do with what it returns whatever sends something."""
    try:
        answer = call(cache, name, key)
        if isinstance(answer, Lock):
            answer.acquire(blocking=False)
            answer.release()
        elif isinstance(answer, Iterator):
            list(answer)
    except ValueError as error:
        if "not found" not in str(error):  # what looked for the key did what it is tried for
            raise


@pytest.fixture
def shared(settings: Any) -> Any:
    """A cache in the same Redis for what is everybody's on purpose."""
    default = settings.CACHES["default"]
    settings.CACHES = {
        "default": default,
        "shared": {**default, "KEY_FUNCTION": "tenancy.cache.make_shared_key"},
    }
    return caches["shared"]


class TestMakeKey:
    def test_names_the_organization(self, elm: Organization) -> None:
        with context.override(elm.as_active()):
            assert tenancy_cache.make_key("greeting", "clinicx", 1) == (
                f"clinicx:{elm.id}:1:greeting"
            )

    def test_names_the_platform(self) -> None:
        with context.override(PLATFORM):
            assert tenancy_cache.make_key("greeting", "", 1) == "clinicx:platform:1:greeting"

    def test_refuses_nobody(self) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            tenancy_cache.make_key("greeting", "clinicx", 1)

    @pytest.mark.parametrize("identity", [None, "platform", "a:b", "*"])
    def test_refuses_an_id_that_another_could_have_made_up(self, identity: Any) -> None:
        with (
            context.override(ActiveTenant(id=identity, schema="tenant_elm")),
            pytest.raises(NoActiveTenant, match="as_active"),
        ):
            tenancy_cache.make_key("greeting", "clinicx", 1)

    def test_of_what_is_shared_names_nobody(self, elms: ActiveTenant) -> None:
        for target in (elms, PLATFORM, None):
            with context.override(target):
                key = tenancy_cache.make_shared_key("greeting", "", 1)
                assert key == "clinicx:shared:1:greeting"


class TestEachMethod:
    """Those of django-redis's own class: what a new version adds is tried, or fails here."""

    def test_is_one_of_those_below(self) -> None:
        unclear = [
            name for name in METHODS if not any(each.name in KEYS for each in _parameters(name))
        ]

        assert len(METHODS) > 70
        assert unclear == []

    @each_method
    @pytest.mark.parametrize("key", ["key", "*", "a:b", "x*:[a-z]?\\"])
    def test_names_keys_of_the_active_tenants_only(
        self, name: str, key: str, elms: ActiveTenant
    ) -> None:
        namespace = f"clinicx:{elms.id}:".encode()

        with redis_keys.watched() as commands, context.override(elms):
            use(cache, name, key)

        keys = redis_keys.list_keys(commands)
        assert keys
        assert [each for each in keys if not each.startswith(namespace)] == []

    @each_method
    def test_of_the_shared_cache_names_shared_keys_only(
        self, name: str, shared: Any, elms: ActiveTenant
    ) -> None:
        with redis_keys.watched() as commands, context.override(elms):
            use(shared, name, "key")

        keys = redis_keys.list_keys(commands)
        assert keys
        assert [each for each in keys if not each.startswith(b"clinicx:shared:")] == []

    @each_method
    def test_refuses_nobody(self, name: str) -> None:
        with (
            redis_keys.watched() as commands,
            context.override(None),
            pytest.raises(NoActiveTenant),
        ):
            use(cache, name, "key")

        assert redis_keys.list_keys(commands) == []

    @each_method
    def test_refuses_a_key_that_was_made_for_another(
        self, name: str, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms):
            key = cache.client.make_key("key")
        assert isinstance(key, CacheKey)

        with (
            redis_keys.watched() as commands,
            context.override(oaks),
            pytest.raises(CrossTenantAccess, match="oak is active"),
        ):
            use(cache, name, key)

        assert redis_keys.list_keys(commands) == []

    @pytest.mark.parametrize("name", ["delete", "delete_pattern"])
    def test_refuses_anothers_prefix(
        self, name: str, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms), pytest.raises(CrossTenantAccess):
            getattr(cache, name)("*", prefix=f"clinicx:{oaks.id}")

    @pytest.mark.parametrize("name", METHODS)
    def test_that_returns_an_iterator_goes_on_with_the_same_tenants(
        self, name: str, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms):
            answer = None if name in WITHOUT_REDIS else _iterator(name)
        if answer is None:
            return

        with redis_keys.watched() as commands, context.override(oaks):
            list(answer)

        keys = redis_keys.list_keys(commands)
        assert keys
        assert [each for each in keys if not each.startswith(f"clinicx:{elms.id}:".encode())] == []


def _iterator(name: str) -> Iterator[Any] | None:
    try:
        answer = call(cache, name, "key")
    except ValueError:
        return None
    finally:
        cache.clear()
    return answer if isinstance(answer, Iterator) else None


class TestKeys:
    def test_are_returned_as_they_were_set(self, elms: ActiveTenant) -> None:
        names = ["key", "a:b", "1:key", "*", "é"]

        with context.override(elms):
            cache.set_many(dict.fromkeys(names, 1))
            assert sorted(cache.keys("*")) == sorted(names)
            assert sorted(cache.iter_keys("*")) == sorted(names)

    def test_of_a_pattern_are_the_active_tenants(
        self, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        for target in (elms, oaks, PLATFORM):
            with context.override(target):
                cache.set_many({"one": 1, "two": 1})

        with context.override(elms):
            assert cache.delete_pattern("*") == 2

        for target in (oaks, PLATFORM):
            with context.override(target):
                assert len(cache.keys("*")) == 2

    @pytest.mark.parametrize("version", ["*", "1:x", "[0-9]", f"{PLATFORM.value}:1"])
    def test_of_a_version_with_wildcards_are_the_active_tenants(
        self, version: Any, elms: ActiveTenant
    ) -> None:
        with context.override(PLATFORM):
            cache.set("key", "the platform's")

        with context.override(elms):
            cache.delete_pattern("*", version=version)
            assert cache.get("key", version=version) is None

        with context.override(PLATFORM):
            assert cache.get("key") == "the platform's"


# What others keep in the same Redis, one of them below the same prefix.
QUEUES = (b"celery", b"clinicx:celery:celery")


class TestClear:
    @pytest.fixture
    def filled(
        self, shared: Any, elms: ActiveTenant, oaks: ActiveTenant
    ) -> Iterator[dict[str, Any]]:
        """Targets whose caches each hold two keys, of two versions."""
        targets = {"elm": elms, "oak": oaks, "platform": PLATFORM}
        get_redis_connection().flushdb()
        for target in targets.values():
            with context.override(target):
                cache.set("key", 1)
                cache.set("key", 1, version=2)
        shared.set("key", 1)
        for queue in QUEUES:
            get_redis_connection().set(queue, "tasks")
        yield targets
        get_redis_connection().delete(*QUEUES)

    def remaining(self) -> set[bytes]:
        return {
            key.split(b":")[1] if b":" in key else key for key in get_redis_connection().keys("*")
        }

    @pytest.mark.parametrize("who", ["elm", "platform"])
    def test_empties_the_active_ones_cache(self, who: str, filled: dict[str, Any]) -> None:
        everybody = self.remaining()

        with context.override(filled[who]):
            cache.clear()

        (gone,) = everybody - self.remaining()
        assert gone.decode() == str(getattr(filled[who], "id", "platform"))

    def test_of_the_shared_cache_empties_that(self, filled: dict[str, Any]) -> None:
        everybody = self.remaining()

        with context.override(filled["elm"]):
            caches["shared"].clear()

        assert everybody - self.remaining() == {b"shared"}

    def test_takes_a_round_trip_for_a_thousand_keys(self, elms: ActiveTenant) -> None:
        """
        One that looks at them, and one that takes them out; neither stops Redis for all.
        """
        with context.override(elms):
            cache.set_many({str(number): number for number in range(2500)})
            with redis_keys.watched() as commands:
                cache.clear()
            assert cache.keys("*") == []

        names = [command[0] for command in commands]
        assert set(names) == {b"scan", b"unlink"}
        assert names.count(b"unlink") == 3
        assert names.count(b"scan") <= 4

    def test_all_empties_everybodys_cache_and_leaves_what_is_others(
        self, filled: dict[str, Any]
    ) -> None:
        with context.override(PLATFORM):
            cache.clear_all()

        assert set(get_redis_connection().keys("*")) == set(QUEUES)

    def test_all_is_for_the_platform(self, filled: dict[str, Any]) -> None:
        everybody = self.remaining()

        with context.override(filled["elm"]), pytest.raises(CrossTenantAccess, match="elm is act"):
            cache.clear_all()
        with context.override(None), pytest.raises(NoActiveTenant):
            cache.clear_all()

        assert self.remaining() == everybody


class TestValue:
    """What Redis answers is believed only if it was put there for whoever is active."""

    @pytest.mark.parametrize("value", ["elm", True, None, 1.5, [1], {"a": 1}, "x" * 5000])
    def test_of_another_is_refused(
        self, value: Any, elms: ActiveTenant, oaks: ActiveTenant
    ) -> None:
        with context.override(elms):
            cache.set("key", value)
            assert cache.get("key") == value
            elms_key = cache.make_key("key")
        with context.override(oaks):
            get_redis_connection().copy(elms_key, cache.make_key("key"))

            with pytest.raises(CrossTenantAccess, match="not put there for oak"):
                cache.get("key")

    def test_of_nobody_is_refused(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            get_redis_connection().set(cache.make_key("key"), b"\x80\x05N.")

            with pytest.raises(CrossTenantAccess):
                cache.get("key")

    def test_for_another_question_is_refused_and_its_connection_closed(
        self, elms: ActiveTenant, oaks: ActiveTenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Somebody of Elm's asked, and was gone before the answer was there.
        """
        monkeypatch.setattr(AbstractConnection, "can_read", lambda *args, **kwargs: False)
        with context.override(elms):
            cache.set("key", "elm")
            pool = get_redis_connection().connection_pool
            connection = pool.get_connection()
            connection.send_command("GET", cache.make_key("key"))
            pool.release(connection)

        with context.override(oaks):
            with pytest.raises(CrossTenantAccess):
                cache.get("key")
            cache.set("key", "oak")
            assert cache.get("key") == "oak"

    @pytest.mark.parametrize("number", [0, -7, 2**52])
    def test_that_is_a_number_can_be_counted(self, number: int, elms: ActiveTenant) -> None:
        with context.override(elms):
            cache.set("key", number)

            assert cache.incr("key") == number + 1
            assert cache.get("key") == number + 1

    @pytest.mark.parametrize("compressor", ["zlib", "identity"])
    @pytest.mark.parametrize("client", ["default.DefaultClient", "herd.HerdClient"])
    def test_is_the_same_again_with_each_client(
        self, client: str, compressor: str, settings: Any, elms: ActiveTenant
    ) -> None:
        default = settings.CACHES["default"]
        options = {
            "CLIENT_CLASS": f"django_redis.client.{client}",
            "COMPRESSOR": f"django_redis.compressors.{compressor}.{compressor.title()}Compressor",
        }
        settings.CACHES = {
            "default": {**default, "OPTIONS": {**default["OPTIONS"], **options}},
        }

        with context.override(elms):
            cache.set("key", "x" * 200)
            assert cache.get("key") == "x" * 200
            assert cache.get_many(["key"]) == {"key": "x" * 200}
            assert cache.keys("*") == ["key"]


class TestSettings:
    def test_may_name_no_other_key_function(self, settings: Any) -> None:
        default = settings.CACHES["default"]
        settings.CACHES = {
            "default": {**default, "KEY_FUNCTION": "django.core.cache.backends.base.get_key_func"}
        }

        with pytest.raises(ImproperlyConfigured, match=r"tenancy\.cache\.make_key"):
            caches["default"]

    def test_may_not_spread_a_tenants_keys(self, settings: Any) -> None:
        default = settings.CACHES["default"]
        client = "django_redis.client.ShardClient"
        settings.CACHES = {
            "default": {**default, "OPTIONS": {**default["OPTIONS"], "CLIENT_CLASS": client}}
        }

        with pytest.raises(ImproperlyConfigured, match="DefaultClient"):
            caches["default"]

    def test_may_have_a_prefix_with_wildcards(self, settings: Any, elms: ActiveTenant) -> None:
        default = settings.CACHES["default"]
        settings.CACHES = {"default": {**default, "KEY_PREFIX": "c*[x]?"}}

        with context.override(elms):
            get_redis_connection().set(f"clinicx:{elms.id}:1:key", "of another prefix")
            cache.set("a:b", 1)
            assert cache.keys("*") == ["a:b"]
            cache.clear()

        assert get_redis_connection().keys(f"{glob_escape('c*[x]?')}*") == []
        assert len(get_redis_connection().keys(f"clinicx:{elms.id}:*")) == 1

    def test_of_clinicx_keep_a_value_for_ten_minutes(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            cache.set("key", 1)

            assert 590 < cache.ttl("key") <= 600
        assert django_settings.TENANCY_CACHE_PREFIX == "clinicx"
