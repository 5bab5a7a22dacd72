"""
Which results of queries are remembered for a tenant, and what makes them wrong?

    @cached_query(Patient)
    def count_patients() -> int:
        return Patient.objects.count()

What it returned is remembered in the cache for ten minutes, and asked for again after the
commit of a write to one of the models it was made from: docs/explanation/caching.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import update_wrapper
from hashlib import blake2b
from inspect import signature
from secrets import token_hex
from typing import Any, Generic, ParamSpec, TypeVar
from uuid import UUID

from django.core.cache import cache, caches
from django.db import connections, models
from redis.exceptions import RedisError

from tenancy import breaker, context, writes
from tenancy.cache import RedisCache
from tenancy.context import Target

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)

# A table's generation is a random word, so that one that Redis lost never comes again, and
# nothing that was remembered under it. Longer than any result is remembered.
GENERATION_SECONDS = 24 * 60 * 60
EVERYTHING = "*"

# One asks the database, and the others wait for what it finds, but not for long.
ASKING_SECONDS = 5
WAIT_SECONDS = 0.3
LOOK_EACH_SECONDS = 0.02

PLAIN = (str, int, float, bool, type(None))

# All that there are, by name, for the documentation's contract.
queries: dict[str, CachedQuery[Any, Any]] = {}

# Writes of this process of which Redis was not told, as it was away.
_untold: set[tuple[Target, str]] = set()


def cached_query(
    *made_from: type[models.Model], timeout: timedelta = TIMEOUT, version: int = 1
) -> Callable[[Callable[P, T]], CachedQuery[P, T]]:
    """
    Remember for each tenant what the decorated function returns, for each of its arguments.

    `made_from` are all models whose rows it reads. It returns plain values only: text,
    numbers, None, lists and dictionaries of those, else TypeError; raise `version` when what
    it returns looks different, as two releases may be running at once. Who asks is no part of
    the key: give it a result that is the same for everybody who may ask, and ask for their
    rights before. Inside a transaction nothing is remembered, and nothing that was is used.

    A result may be wrong until `timeout` when a process dies between its commit and telling
    so, and after SQL by hand: call `changed`. Never for what a treatment is decided by.
    """

    def decorate(function: Callable[P, T]) -> CachedQuery[P, T]:
        query = CachedQuery(function, made_from, timeout, version)
        queries[query.name] = query
        return query

    return decorate


def changed(*written: type[models.Model]) -> None:
    """Ask again for what was made from these models: SQL by hand wrote the active tenant's."""
    for model in written:
        _renew(model._meta.db_table)


def forget_all() -> None:
    """Ask the database again for all that was remembered for the active tenant."""
    _renew(EVERYTHING)


class CachedQuery(Generic[P, T]):
    """A function whose results are remembered; `uncached` is the function itself."""

    def __init__(
        self,
        function: Callable[P, T],
        made_from: tuple[type[models.Model], ...],
        timeout: timedelta,
        version: int,
    ) -> None:
        update_wrapper(self, function)
        self.uncached = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.timeout = timeout
        self._version = version
        self._signature = signature(function)
        if not made_from:
            raise TypeError(f"{self.name}: name the models that it reads, @cached_query(Patient).")
        self.tables = sorted({table for model in made_from for table in _tables(model)})
        self._generations = [_generation_key(table) for table in (EVERYTHING, *self.tables)]
        writes.listen(self.tables, _renew)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        key = self._key(args, kwargs)
        if _is_in_transaction() or self._is_untold():
            return self._ask(*args, **kwargs)

        found = _quietly(lambda: cache.get_many([*self._generations, key])) or {}
        generations = self._current(found)
        if generations is None:
            return self._ask(*args, **kwargs)
        value: list[T] = self._read(found.get(key), generations)
        if value:
            return value[0]

        with _asking(key) as is_first:
            if not is_first and (value := self._wait(key, generations)):
                return value[0]
            result = self._ask(*args, **kwargs)
            text = json.dumps([generations, result])
            _quietly(lambda: cache.set(key, text, timeout=self.timeout.total_seconds()))
        return result

    def _key(self, args: Any, kwargs: Any) -> str:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # A hash, as arguments may be somebody's name, and keys are shown to operators.
        told = json.dumps([_word(each) for each in bound.arguments.items()]).encode()
        digest = blake2b(told, digest_size=16).hexdigest()
        return f"query:{self.name}:{self._version}:{digest}"

    def _current(self, found: dict[str, Any]) -> list[str] | None:
        """Return the generations, made where there is none yet; None without Redis."""
        generations = []
        for name in self._generations:
            if (generation := found.get(name)) is None:
                generation = token_hex(8)
                if not _quietly(lambda: cache.add(name, generation, GENERATION_SECONDS)):  # noqa: B023
                    generation = _quietly(lambda: cache.get(name))  # noqa: B023
            if generation is None:
                return None
            generations.append(generation)
        return generations

    def _read(self, text: str | None, generations: list[str]) -> list[Any]:
        """Return what is remembered, as a list of one, if it is of these generations."""
        if text is None:
            return []
        made_at, value = json.loads(text)
        return [value] if made_at == generations else []

    def _wait(self, key: str, generations: list[str]) -> list[Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(LOOK_EACH_SECONDS)
            if value := self._read(_quietly(lambda: cache.get(key)), generations):
                return value
        return []

    def _ask(self, *args: P.args, **kwargs: P.kwargs) -> T:
        result = self.uncached(*args, **kwargs)
        if not _is_plain(result):
            raise TypeError(
                f"{self.name}() returned {type(result).__name__} or something with it in it. "
                "Return text, numbers, None, and lists and dictionaries of them: rows of one "
                "release are not the next one's."
            )
        return result

    def _is_untold(self) -> bool:
        if not _untold:
            return False
        target = context.require_current()
        return any((target, table) in _untold for table in (EVERYTHING, *self.tables))


def _renew(table: str) -> None:
    """Begin a generation of `table` for the active tenant: what was remembered is of another."""
    name = _generation_key(table)
    is_told = _quietly(lambda: cache.set(name, token_hex(8), timeout=GENERATION_SECONDS))
    # Django's own caches return None when all is well.
    if not is_told and isinstance(caches["default"], RedisCache):
        _untold.add((context.require_current(), table))


def _tell() -> None:
    """Redis is back, and may have kept what was written over meanwhile."""
    for target, table in list(_untold):
        _untold.discard((target, table))
        with context.override(target):
            _renew(table)


breaker.on_return(_tell)


def _generation_key(table: str) -> str:
    return f"query:generation:{table}"


def _tables(model: type[models.Model]) -> Iterator[str]:
    yield model._meta.db_table
    for parent in model._meta.get_parent_list():
        yield parent._meta.db_table


def _is_in_transaction() -> bool:
    """Tell whether what is read now may be older than what others committed, or never be so."""
    return any(
        not connection.get_autocommit()
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    )


@contextmanager
def _asking(key: str) -> Iterator[bool]:
    """Tell whether nobody else asks the database for this now, as far as Redis knows."""
    name = f"{key}:asking"
    is_first = bool(_quietly(lambda: cache.add(name, 1, timeout=ASKING_SECONDS)))
    try:
        yield is_first
    finally:
        if is_first:
            _quietly(lambda: cache.delete(name))


def _quietly(ask: Callable[[], Any]) -> Any:
    """Return what the cache says, None where Redis is away."""
    try:
        return ask()
    except RedisError:
        return None


def _word(argument: Any) -> Any:
    """Return what tells an argument from any other, or raise TypeError."""
    if isinstance(argument, tuple | list):
        return [_word(each) for each in argument]
    if type(argument) in PLAIN:
        return [type(argument).__name__, argument]
    if isinstance(argument, UUID | date):
        return [type(argument).__name__, str(argument)]
    raise TypeError(
        f"{type(argument).__name__} is no argument of a cached query: give text, numbers, None, "
        "UUIDs, dates, or tuples of them, for example a row's key."
    )


def _is_plain(value: Any) -> bool:
    """Tell whether JSON gives back just this."""
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(each) for key, each in value.items())
    return type(value) in PLAIN
