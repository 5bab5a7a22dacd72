"""
Under which key does a cache keep what belongs to one tenant, and who gets at it?

`RedisCache` is the backend for CACHES. Under any other backend `make_key` alone keeps
values apart, as its KEY_FUNCTION. What is everybody's on purpose has an alias of its own,
whose KEY_FUNCTION is `make_shared_key`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django_redis import cache as django_redis_cache
from django_redis.client import ShardClient
from django_redis.client.default import DefaultClient, _main_exceptions, glob_escape
from django_redis.exceptions import ConnectionInterrupted
from django_redis.util import CacheKey

from tenancy import breaker, context, metrics
from tenancy.conf import settings
from tenancy.context import PLATFORM
from tenancy.errors import CrossTenantAccess

SHARED = "shared"
_MISSING = object()
SEAL_BYTES = 8

# Keys that Redis looks at for one SCAN, and takes out with one UNLINK: a round trip each.
BATCH = 1000


def make_key(key: str, key_prefix: str, version: int | str) -> str:
    """
    Return `<prefix>:<organization id>:<version>:<key>`, or `<prefix>:platform:...`.

    Raise NoActiveTenant where nobody is active, as a shared key is a leak that no query
    would show.
    """
    return f"{_root(key_prefix)}:{context.require_owner()}:{version}:{key}"


def make_shared_key(key: str, key_prefix: str, version: int | str) -> str:
    """Return `<prefix>:shared:<version>:<key>`, whoever is active."""
    return f"{_root(key_prefix)}:{SHARED}:{version}:{key}"


def _root(key_prefix: str) -> str:
    return key_prefix or settings.CACHE_PREFIX


def clear_all() -> None:
    """
    Empty the active tenant's cache in each of CACHES.

    Of another backend than ours a tenant's part cannot be told from the others': there its
    keys end by their timeout.
    """
    context.require_tenant()
    for alias in caches.settings:
        cache = caches[alias]
        if isinstance(cache, RedisCache) and cache.key_func is make_key:
            cache.clear()


class RedisCache(django_redis_cache.RedisCache):  # type: ignore[misc]  # no types there
    """
    django-redis's backend, of which every method reaches the active tenant's keys only.

    `clear()` empties the active tenant's cache and no other. `keys()` and its like return
    what the keys were called when they were set. A key or an iterator that was made for
    one tenant raises CrossTenantAccess or goes on with that tenant's. Each value carries a
    seal of its owner, so that one that arrives under another's key is refused. Redis that
    does not answer is asked nothing for a while (tenancy.breaker).

    `client.get_client()` and `get_redis_connection()` are Redis itself: ask
    `cache.make_key(name)` for each key that they are given.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, {"KEY_FUNCTION": make_key, **params})
        if self.key_func not in (make_key, make_shared_key):
            raise ImproperlyConfigured(
                f"{type(self).__qualname__} cannot tell whose the keys of {self.key_func!r} are. "
                "Set KEY_FUNCTION to tenancy.cache.make_key or tenancy.cache.make_shared_key."
            )
        self._client_cls: type[Any] = _owning(self._client_cls)

    @property
    def namespace(self) -> str:
        """What every key begins with that may be reached now; may raise NoActiveTenant."""
        return str(self.key_func("", self.key_prefix, "")).removesuffix(":")

    @django_redis_cache.omit_exception  # type: ignore[untyped-decorator]
    def clear_all(self) -> None:
        """
        Empty the cache of all tenants, of the platform and what they share.

        For operators: raise CrossTenantAccess unless the platform is active. Anything else
        in the same Redis remains, such as a queue, also below the same prefix.
        """
        if context.require_current() is not PLATFORM:
            raise CrossTenantAccess(
                f"{context.get_current()} is active, and clear_all() empties every tenant's cache. "
                "Use clear(), or work inside `with context.override(context.PLATFORM):`."
            )
        root = f"{_root(self.key_prefix)}:"
        self.client.unlink_matching(
            f"{glob_escape(root)}*",
            only=lambda key: _is_owner(key.removeprefix(root).split(":")[0]),
        )


class _OwningClient(DefaultClient):  # type: ignore[misc]  # no types there
    """Mixed in before the client that a project chose: only the namespace's keys go through."""

    def __init__(self, server: str, params: dict[str, Any], backend: RedisCache) -> None:
        super().__init__(server, params, backend)
        factory: Any = self.connection_factory
        factory.pool_cls = breaker.breaking(factory.pool_cls)
        self.reverse_key: Callable[[str], str] = self._reverse_key

    def make_key(self, *args: Any, **kwargs: Any) -> CacheKey:
        return _checked(super().make_key(*args, **kwargs), self._backend.namespace)

    def make_pattern(self, *args: Any, **kwargs: Any) -> CacheKey:
        return _checked(super().make_pattern(*args, **kwargs), glob_escape(self._backend.namespace))

    def _reverse_key(self, key: str) -> str:
        _version, _, name = key.removeprefix(self._backend.namespace).partition(":")
        return name

    # Counted here and not in the cache: there an error is a miss already.

    def get(self, key: Any, default: Any = None, *args: Any, **kwargs: Any) -> Any:
        try:
            value = super().get(key, _MISSING, *args, **kwargs)
        except ConnectionInterrupted:
            metrics.cache_asked(errors=1)
            raise
        if value is _MISSING:
            metrics.cache_asked(misses=1)
            return default
        metrics.cache_asked(hits=1)
        return value

    def get_many(self, keys: Any, *args: Any, **kwargs: Any) -> Any:
        keys = list(keys)
        try:
            found = super().get_many(keys, *args, **kwargs)
        except ConnectionInterrupted:
            metrics.cache_asked(errors=len(keys))
            raise
        metrics.cache_asked(hits=len(found), misses=len(keys) - len(found))
        return found

    # What is asked for later belongs to whoever is active now.

    def iter_keys(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        return context.carry_iterator(super().iter_keys(*args, **kwargs), context.get_current())

    def sscan_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return context.carry_iterator(super().sscan_iter(*args, **kwargs), context.get_current())

    # django-redis would flush the database, and send all deletions as one message.

    def clear(self, client: Any = None) -> None:
        self.unlink_matching(f"{glob_escape(self._backend.namespace)}*", client=client)

    def delete_pattern(
        self,
        pattern: str,
        version: int | str | None = None,
        prefix: str | None = None,
        client: Any = None,
        itersize: int | None = None,
    ) -> int:
        matching = self.make_pattern(pattern, version=version, prefix=prefix)
        return self.unlink_matching(matching, client=client, itersize=itersize)

    def unlink_matching(
        self,
        pattern: str,
        *,
        client: Any = None,
        itersize: int | None = None,
        only: Callable[[str], bool] = lambda key: True,
    ) -> int:
        """Delete in batches what matches, whoever's it is; return how many keys that were."""
        client = client or self.get_client(write=True)
        count = 0
        try:
            found = (
                key
                for key in client.scan_iter(match=pattern, count=itersize or BATCH)
                if only(key.decode(errors="replace") if isinstance(key, bytes) else key)
            )
            while batch := list(islice(found, BATCH)):
                count += client.unlink(*batch)
        except _main_exceptions as error:
            raise ConnectionInterrupted(connection=client) from error
        return count

    # A connection that got out of step answers with what somebody else asked for.

    def encode(self, value: Any, *, allow_int: bool = True) -> bytes | int:
        encoded: bytes | int = super().encode(value, allow_int=allow_int)
        return encoded if isinstance(encoded, int) else self._seal() + encoded

    def decode(self, value: Any) -> Any:
        if isinstance(value, bytes) and not _is_number(value):
            seal, value = value[:SEAL_BYTES], value[SEAL_BYTES:]
            if seal != self._seal():
                self._close_idle_connections()
                raise CrossTenantAccess(
                    f"Redis returned a value that was not put there for {context.get_current()}. "
                    "Its connection may have been out of step, and is closed. If it happens again, "
                    "look for what writes to these keys without the cache."
                )
        return super().decode(value)

    def _close_idle_connections(self) -> None:
        """Close that of the last answer, too; those that others are waiting at remain."""
        for client in filter(None, self._clients):
            client.connection_pool.disconnect(inuse_connections=False)

    def _seal(self) -> bytes:
        return blake2b(self._backend.namespace.encode(), digest_size=SEAL_BYTES).digest()


def _owning(client_class: type[Any]) -> type[Any]:
    """Return `client_class`, the project's choice, letting only the namespace's keys through."""
    if issubclass(client_class, ShardClient):
        raise ImproperlyConfigured(
            "ShardClient spreads a tenant's keys over servers that cannot be emptied for it "
            "alone. Set OPTIONS['CLIENT_CLASS'] to django_redis.client.DefaultClient."
        )
    return type(f"Owning{client_class.__name__}", (_OwningClient, client_class), {})


def _checked(key: CacheKey, namespace: str) -> CacheKey:
    if not key.startswith(namespace):
        raise CrossTenantAccess(
            f"{context.get_current()} is active, and a cache key does not begin with "
            f"{namespace!r}. Give the key's own name, without `prefix`."
        )
    return key


def _is_owner(text: str) -> bool:
    """Tell whether this part of a key says whose it is: a tenant's id, the platform or all."""
    if text in (PLATFORM.value, SHARED) or text.removeprefix("-").isdigit():
        return True
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_number(value: bytes) -> bool:
    """Tell whether Redis keeps it as a number, with which it can count; such have no seal."""
    return value.removeprefix(b"-").isdigit()
