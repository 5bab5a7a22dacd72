"""
Whose is this object, and may whoever is active use it?

An instance, a queryset and a related manager belong to the tenant for whom they were
loaded or built. Used for another they raise CrossTenantAccess before anything is sent:
an instance loaded at Elm and saved at Oak would overwrite the row that has its key there.

Nothing is asked of a project's models. What belongs to the public schema alone has no
owner, and neither has what was made with nobody active, such as a view's `queryset`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db import router
from django.db.models import Model, QuerySet
from django.db.models.fields.files import FieldFile
from django.db.models.query import RawQuerySet
from django.db.models.sql import Query, RawQuery
from django_tenants.utils import (
    get_public_schema_name,
    get_tenant_types,
    has_multi_type_tenants,
)

from tenancy import context
from tenancy.context import Target
from tenancy.errors import CrossTenantAccess


class OwnedAlias(str):
    """
    A database's alias that remembers for whom it was used.

    Django writes the alias of a query into each instance that the query loads, so this
    marks every row at no cost for each: `instance._state.db.owner`.
    """

    __slots__ = ("owner",)

    owner: Target | None

    def __new__(cls, alias: str, owner: Target | None = None) -> OwnedAlias:
        owned = super().__new__(cls, alias)
        owned.owner = owner
        return owned

    def __getnewargs__(self) -> tuple[str, Target | None]:  # type: ignore[override]  # for pickle
        return str(self), self.owner


def owner_of(thing: Model | QuerySet[Any] | RawQuerySet[Any]) -> Target | None:
    """Return for whom an instance was loaded or a queryset built; None if for nobody."""
    if isinstance(thing, Model):
        return getattr(thing._state.db, "owner", None)
    owner: Target | None = thing.query.owner  # type: ignore[union-attr]  # hung in by install()
    return owner


def check(instance: Any) -> None:
    """Raise CrossTenantAccess when `instance` is another's than the active tenant's."""
    alias = instance._state.db
    owner = alias.owner if isinstance(alias, OwnedAlias) else None
    if owner is not None and _is_foreign(owner) and is_tenants(instance._meta.app_label):
        raise _refusal(f"{instance._meta.label} {instance.pk}", owner)


def check_pair(one: Model, other: Model) -> None:
    """Raise CrossTenantAccess when one belongs to another than the other, or than is active."""
    check(one)
    check(other)
    owner, others_owner = owner_of(one), owner_of(other)
    if owner is None or others_owner is None or context.is_same(owner, others_owner):
        return
    if is_tenants(one._meta.app_label) and is_tenants(other._meta.app_label):
        raise CrossTenantAccess(
            f"{one._meta.label} {one.pk} belongs to {owner} and {other._meta.label} {other.pk} "
            f"to {others_owner}: they cannot be related."
        )


def check_query(query: Any) -> None:
    """Raise CrossTenantAccess when `query` was built for another than the active tenant."""
    owner = query.owner
    if owner is not None and _is_foreign(owner):
        raise _refusal("A query", owner)


def _is_foreign(owner: Target) -> bool:
    active = context.get_current()
    if active is owner:
        return False
    # With nobody active the connection refuses, and says it better.
    return active is not None and not context.is_same(active, owner)


def _refusal(what: str, owner: Target) -> CrossTenantAccess:
    return CrossTenantAccess(
        f"{what} belongs to {owner}, and {context.get_current()} is active. Load or build it "
        "again here; if it is an attribute of a class, import its module at start."
    )


@cache
def is_tenants(app_label: str) -> bool:
    """Tell whether each tenant's schema has the tables of the application `app_label`."""
    if app_label not in apps.app_configs:
        return False
    config = apps.get_app_config(app_label)
    path = f"{config.__module__}.{type(config).__qualname__}"
    return bool({config.name, path} & _tenants_apps())


def _tenants_apps() -> set[str]:
    """Return the applications of which some tenant has the tables."""
    if not has_multi_type_tenants():
        return set(django_settings.TENANT_APPS)
    types = get_tenant_types()
    public = get_public_schema_name()
    return {app for kind in types if kind != public for app in types[kind]["APPS"]}


def _owner_to_be(model: type[Model] | None) -> Target | None:
    active = context.get_current()
    if active is None or model is None or not is_tenants(model._meta.app_label):
        return None
    return active


# What is hung into Django's ORM. Each of these is called for every model, whatever its
# manager and whichever way its alias was chosen; a router is not asked about `using()`.


def install() -> None:
    """Let Django's instances and querysets remember their owner in this process, once."""
    if is_installed():
        return
    query: Any
    for query in (Query, RawQuery):
        query.owner = None
    _wrap(Query, "__init__", _remembering_builder)
    _wrap(Query, "check_query_object_type", _checking_compared)
    _wrap(RawQuery, "clone", _keeping_owner)
    _wrap(RawQuerySet, "__init__", _remembering_raw_builder)
    for method in ("_fetch_all", "__getitem__", "count", "exists", "contains"):
        _wrap(QuerySet, method, _checking_rows_in_memory)
    _wrap(QuerySet, "bulk_update", _checking_updated)
    queryset: Any = QuerySet
    queryset.db = property(_owned(queryset.db.fget))
    queryset = RawQuerySet
    queryset.db = property(_owned_raw(queryset.db.fget))
    _wrap(Model, "save_base", _saving)
    _wrap(Model, "delete", _checking)
    _wrap(Model, "refresh_from_db", _checking)
    field_file: Any = FieldFile
    field_file.storage = property(_storage_of, _remember_storage)


def _storage_of(file: Any) -> Any:
    """Return where the file of a row is, which is asked for at each use of it."""
    check(file.instance)
    return file.__dict__["storage"]


def _remember_storage(file: Any, storage: Any) -> None:
    file.__dict__["storage"] = storage


def is_installed() -> bool:
    """Tell whether the application was started, which hangs this in."""
    return hasattr(Query, "owner")


def _wrap(cls: type, name: str, wrapper: Callable[[Any], Callable[..., Any]]) -> None:
    original = getattr(cls, name)
    setattr(cls, name, wraps(original)(wrapper(original)))


def _remembering_builder(original: Any) -> Callable[..., None]:
    def init(query: Any, model: Any, *args: Any, **kwargs: Any) -> None:
        original(query, model, *args, **kwargs)
        query.owner = _owner_to_be(model)

    return init


def _remembering_raw_builder(original: Any) -> Callable[..., None]:
    def init(queryset: Any, *args: Any, **kwargs: Any) -> None:
        original(queryset, *args, **kwargs)
        query = queryset.query
        query.owner = query.owner or _owner_to_be(queryset.model)

    return init


def _keeping_owner(original: Any) -> Callable[..., Any]:
    def clone(query: Any, *args: Any, **kwargs: Any) -> Any:
        copy = original(query, *args, **kwargs)
        copy.owner = query.owner
        return copy

    return clone


def _checking_compared(original: Any) -> Callable[..., None]:
    def check_query_object_type(query: Any, value: Any, *args: Any) -> None:
        if isinstance(value, Model):
            check(value)
        original(query, value, *args)

    return check_query_object_type


def _checking_rows_in_memory(original: Any) -> Callable[..., Any]:
    """Check a queryset whose rows were loaded; one that nobody built belongs to its first user."""

    def method(queryset: Any, *args: Any, **kwargs: Any) -> Any:
        if queryset._result_cache is not None:
            check_query(queryset._query)
            return original(queryset, *args, **kwargs)
        answer = original(queryset, *args, **kwargs)
        if queryset._result_cache is not None and queryset._query.owner is None:
            queryset._query.owner = _owner_to_be(queryset.model)
        return answer

    return method


def _checking_updated(original: Any) -> Callable[..., Any]:
    def bulk_update(queryset: Any, objs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        objs = tuple(objs)
        for instance in objs:
            check(instance)
        return original(queryset, objs, *args, **kwargs)

    return bulk_update


def _owned(original: Callable[[Any], str]) -> Callable[[Any], str]:
    def db(queryset: Any) -> str:
        if (instance := queryset._hints.get("instance")) is not None:
            check(instance)
        return _own(original(queryset), queryset.model)

    return db


def _owned_raw(original: Callable[[Any], str]) -> Callable[[Any], str]:
    owned = _owned(original)

    def db(queryset: Any) -> str:
        # Raw SQL meets no compiler. Asked for also before the queryset has its query.
        if (query := queryset.__dict__.get("query")) is not None:
            check_query(query)
        return owned(queryset)

    return db


def _own(alias: str, model: type[Model]) -> str:
    """Return `alias` for the active tenant; one that another tenant's object had is refused."""
    if not is_tenants(model._meta.app_label):
        return str(alias)
    if isinstance(alias, OwnedAlias) and alias.owner is not None and _is_foreign(alias.owner):
        raise _refusal(f"What was asked for a {model._meta.label}", alias.owner)
    return OwnedAlias(alias, context.get_current())


def _saving(original: Any) -> Callable[..., None]:
    def save_base(
        instance: Any,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Any = None,
    ) -> None:
        check(instance)
        for related in instance._state.fields_cache.values():
            if isinstance(related, Model):
                check(related)
        using = using or router.db_for_write(type(instance), instance=instance)
        using = _own(using, type(instance))
        original(instance, raw, force_insert, force_update, using, update_fields)

    return save_base


def _checking(original: Any) -> Callable[..., Any]:
    def method(instance: Any, *args: Any, **kwargs: Any) -> Any:
        check(instance)
        return original(instance, *args, **kwargs)

    return method
