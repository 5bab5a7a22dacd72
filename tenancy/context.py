"""
Which tenant, if any, the current thread or task is working for.

The vocabulary is Django's own (see `django.utils.timezone`): activate, deactivate,
override, get_current. Nothing here touches the database; the connection reads this
state each time a statement is about to leave.

There are three states. *Unset*: nobody said, and any SQL is refused. *Platform*:
entered on purpose, for what belongs to no tenant. *Tenant*: working for one.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextvars import ContextVar, Token
from dataclasses import dataclass
from enum import Enum
from functools import cache, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast
from uuid import UUID

from tenancy import compat
from tenancy.errors import NoActiveTenant


@dataclass(frozen=True, slots=True)
class ActiveTenant:
    """The few facts about a tenant that are needed while working for it."""

    id: UUID | int | None
    schema: str
    slug: str = ""
    name: str = ""
    type: str = ""
    """Where TENANT_TYPES tells tenants apart: which of them this is."""

    def __str__(self) -> str:
        return self.slug or self.schema

    @property
    def schema_name(self) -> str:
        """The same as `schema`, by django-tenants' name for it."""
        return self.schema


class Platform(Enum):
    """Working for no tenant, and meaning it."""

    PLATFORM = "platform"

    @property
    def schema_name(self) -> str:
        """The schema of what belongs to no tenant, by django-tenants' name for it."""
        return "public"

    def __str__(self) -> str:
        return "the platform"


PLATFORM: Final = Platform.PLATFORM
Target: TypeAlias = ActiveTenant | Platform

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Activation:
    """
    One act of saying who is active. Compared by identity: the transaction remembers
    *which* activations may bind it again, not merely for whom they were.
    """

    target: Target
    in_transaction: bool = False
    outer: Activation | None = None
    tenant: Any = None
    """The row of TENANT_MODEL for which this was said, where it was at hand."""


_activation: ContextVar[Activation | None] = ContextVar("tenancy.activation", default=None)


def get_current() -> Target | None:
    """Return the active tenant, PLATFORM, or None when nobody said."""
    activation = _activation.get()
    return activation.target if activation else None


def require_current() -> Target:
    """Return the active tenant or PLATFORM, or raise NoActiveTenant."""
    return require_activation().target


def require_activation() -> Activation:
    """Return the activation in force, or raise NoActiveTenant."""
    activation = _activation.get()
    if activation is None:
        if compat.is_on("public_by_default"):
            return _by_default(compat.is_on("switch_in_transaction"))
        raise NoActiveTenant(
            "No tenant is active. Work inside `with context.override(organization.as_active()):`, "
            "or `context.override(context.PLATFORM)` for what belongs to no tenant."
        )
    return activation


@cache
def _by_default(in_transaction: bool) -> Activation:
    # The same one each time: a transaction remembers by identity who may bind it again.
    return Activation(PLATFORM, in_transaction)


def get_activation() -> Activation | None:
    """Return the activation in force, or None when nobody said."""
    return _activation.get()


def require_tenant() -> ActiveTenant:
    """Return the active tenant, or raise NoActiveTenant, also on the platform."""
    target = require_current()
    if isinstance(target, Platform):
        raise NoActiveTenant("This is a tenant's work, and the platform is active.")
    return target


def require_owner() -> str:
    """
    Return what marks as the active tenant's all that is kept outside the database.

    That is its id, or "platform"; not the schema, which a rename changes. Raise
    NoActiveTenant where nobody is active, or a tenant whose id is not known.
    """
    target = require_current()
    if isinstance(target, Platform):
        return target.value
    if not isinstance(target.id, (UUID, int)):
        raise NoActiveTenant(
            f"What {target} keeps outside the database needs its id, a UUID or a number, and "
            f"that is {target.id!r}. Activate it with organization.as_active()."
        )
    return str(target.id)


def is_tenant_active() -> bool:
    return isinstance(get_current(), ActiveTenant)


class override:  # as in django.utils.timezone
    """
    Work for `target` inside the block, then for whoever was active before.

    Pass None to step outside every tenant. A transaction that is open already stays
    bound to its tenant, and a statement for another raises TenantChangedInTransaction,
    unless `in_transaction` says that this is meant. `tenant` is the row of TENANT_MODEL, for
    those who ask the connection for it.
    """

    __slots__ = ("_in_transaction", "_target", "_tenant", "_token")

    _token: Token[Activation | None]

    def __init__(
        self, target: Target | None, *, in_transaction: bool = False, tenant: Any = None
    ) -> None:
        self._target = target
        self._in_transaction = in_transaction
        self._tenant = tenant

    def __enter__(self) -> None:
        outer = _activation.get()
        entered = None
        if self._target is not None:
            entered = Activation(self._target, self._in_transaction, outer, self._tenant)
        self._token = _activation.set(entered)

    def __exit__(self, *exc_info: object) -> None:
        _activation.reset(self._token)


def is_same(one: Target, other: Target) -> bool:
    """Tell whether both are the platform, or tenants with the same schema."""
    if isinstance(one, ActiveTenant) and isinstance(other, ActiveTenant):
        return one.schema == other.schema
    return one is other


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """
    Return `function` working for whoever is active now, wherever it is called.

    A bare thread and an executor start with nobody active: give them
    `pool.submit(carry(work), ...)`. A generator works so at each of its steps, and leaves
    whoever asks for the next one as they were; `with override(...)` around a `yield`
    would not.
    """
    target = get_current()
    carried: Callable[..., Any]
    if isgeneratorfunction(function):

        def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            return carry_iterator(function(*args, **kwargs), target)
    elif isasyncgenfunction(function):

        def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            return carry_async_iterator(function(*args, **kwargs), target)
    elif iscoroutinefunction(function):

        async def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            with override(target):
                return await function(*args, **kwargs)
    else:

        def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            with override(target):
                return function(*args, **kwargs)

    return cast("Callable[P, T]", wraps(function)(carried))


def carry_iterator(iterable: Iterable[T], target: Target | None) -> Iterator[T]:
    """Yield from `iterable`, working for `target` during each of its steps and its end."""
    iterator = iter(iterable)
    try:
        while True:
            with override(target):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
    finally:
        if close := getattr(iterable, "close", None):
            with override(target):
                close()


async def carry_async_iterator(
    iterable: AsyncIterable[T], target: Target | None
) -> AsyncIterator[T]:
    """Yield from `iterable`, working for `target` during each of its steps and its end."""
    iterator = aiter(iterable)
    try:
        while True:
            with override(target):
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if aclose := getattr(iterable, "aclose", None):
            with override(target):
                await aclose()


def for_schema(schema: str) -> Target:
    """Return the platform for the public schema, else a tenant of whom no more is known."""
    return PLATFORM if schema == PLATFORM.schema_name else ActiveTenant(None, schema)


def activate(target: Target, *, in_transaction: bool = False, tenant: Any = None) -> None:
    """Work for `target` from now on; prefer override, which also ends."""
    _activation.set(Activation(target, in_transaction, tenant=tenant))


def deactivate() -> None:
    """Work for nobody from now on."""
    _activation.set(None)
