"""
Which ways lead to the rows of a model, and what of Elm's do they show or change at Oak?

Reading, a way returns what it saw, while Oak is active. It is tried at Elm too: a way that
does not show even Elm its own canary would find nothing anywhere. Writing, a way tries to
get a row of Elm's changed, or copied to Oak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

from asgiref.sync import async_to_sync
from django.contrib.postgres.aggregates import StringAgg
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.models.functions import Cast

from tenancy import context, router
from tenancy.errors import TenancyError
from tenancy.testing.leaks.stage import NotCovered, Stage, leaked

Model: TypeAlias = type[models.Model]
REFUSED = (TenancyError, ObjectDoesNotExist, DatabaseError)


# Reading


def _managers(model: Model, leaks: Stage) -> Any:
    return [list(getattr(model, manager.name).all()) for manager in model._meta.managers]


def _get(model: Model, leaks: Stage) -> Any:
    found = []
    for row in leaks.rows(model):
        with suppress(ObjectDoesNotExist):
            found.append(model._default_manager.get(pk=row.pk))
    return found


def _filter(model: Model, leaks: Stage) -> Any:
    return [
        list(model._default_manager.filter(**{column.name: column.value_from_object(row)}))
        for row in leaks.rows(model)
        for column in _text_columns(model)
    ]


def _aggregate(model: Model, leaks: Stage) -> Any:
    columns = [model._meta.pk, *_text_columns(model)]
    asked = {
        f"all{number}": StringAgg(Cast(column.name, models.TextField()), " ")
        for number, column in enumerate(columns)
        if column is not None
    }
    return model._default_manager.aggregate(**asked)


def _cursor(model: Model, leaks: Stage) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT it::text FROM "{model._meta.db_table}" AS it')  # noqa: S608  # a model's
        return cursor.fetchall()


def _copy(model: Model, leaks: Stage) -> Any:
    statement = f'COPY "{model._meta.db_table}" TO STDOUT'
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return [bytes(part) for part in copy]


def _raw(model: Model, leaks: Stage) -> Any:
    return list(model._default_manager.raw(f'SELECT * FROM "{model._meta.db_table}"'))  # noqa: S608


def _select_related(model: Model, leaks: Stage) -> Any:
    names = [key.name for key in _foreign_keys(model)]
    return list(model._default_manager.select_related(*names))


def _prefetch_related(model: Model, leaks: Stage) -> Any:
    names = _reverse_names(model)
    rows = list(model._default_manager.prefetch_related(*names))
    return rows, [list(getattr(row, name).all()) for row in rows for name in names]


def _reverse(model: Model, leaks: Stage) -> Any:
    """Ask the rows with Elm's keys, as they are here, for what points to them."""
    keys = [row.pk for row in leaks.rows(model)]
    rows = list(model._base_manager.filter(pk__in=keys))
    return rows, [list(getattr(row, name).all()) for row in rows for name in _reverse_names(model)]


@transaction.atomic
def _locked(model: Model, leaks: Stage) -> Any:
    return list(model._default_manager.select_for_update())


@transaction.atomic
def _savepoint(model: Model, leaks: Stage) -> Any:
    with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    return list(model._default_manager.all())


def _async(model: Model, leaks: Stage) -> Any:
    async def ask() -> list[Any]:
        return [row async for row in model._default_manager.all()]

    return async_to_sync(ask)()


def _in_thread(function: Callable[[], Any]) -> Any:
    def work() -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _carried_thread(model: Model, leaks: Stage) -> Any:
    return _in_thread(context.carry(lambda: list(model._default_manager.all())))


READING: dict[str, Callable[[Model, Stage], Any]] = {
    "list": lambda model, leaks: list(model._default_manager.all()),
    "managers": _managers,
    "get": _get,
    "filter": _filter,
    "values": lambda model, leaks: list(model._default_manager.values()),
    "values_list": lambda model, leaks: list(model._default_manager.values_list()),
    "in_bulk": lambda model, leaks: model._default_manager.in_bulk(
        [row.pk for row in leaks.rows(model)]
    ),
    "iterator": lambda model, leaks: list(model._default_manager.iterator(chunk_size=10)),
    "aggregate": _aggregate,
    "subquery": lambda model, leaks: list(
        model._default_manager.filter(pk__in=model._base_manager.values("pk"))
    ),
    "raw": _raw,
    "cursor": _cursor,
    "copy": _copy,
    "select_related": _select_related,
    "prefetch_related": _prefetch_related,
    "reverse": _reverse,
    "select_for_update": _locked,
    "savepoint": _savepoint,
    "async": _async,
    "carried thread": _carried_thread,
}


# What was loaded or built for Elm, used at Oak: refused, or nothing of Elm's


def _built(model: Model, leaks: Stage) -> Any:
    with leaks.at("elm"):
        rows = model._default_manager.all()
    return list(rows)


def _evaluated(model: Model, leaks: Stage) -> Any:
    with leaks.at("elm"):
        rows = model._default_manager.all()
        len(rows)
    return list(rows)


def _refreshed(model: Model, leaks: Stage) -> Any:
    row = _load(model, leaks)
    row.refresh_from_db()
    return row


def _followed(model: Model, leaks: Stage) -> Any:
    """Follow the relations of a row of Elm's; what it holds itself was taken along on purpose."""
    row = _load(model, leaks)
    return [getattr(row, key.name) for key in _foreign_keys(model)]


def _bare_thread(model: Model, leaks: Stage) -> Any:
    return _in_thread(lambda: list(model._default_manager.all()))


def _nobody(model: Model, leaks: Stage) -> Any:
    with context.override(None):
        return list(model._base_manager.all())


def _platform(model: Model, leaks: Stage) -> Any:
    with leaks.at("platform"):
        return list(model._base_manager.all())


def _every_address(model: Model, leaks: Stage) -> Any:
    return [list(model._base_manager.using(alias)) for alias in connections]


def _by_full_name(model: Model, leaks: Stage) -> Any:
    table = f'"{leaks.elm.schema_name}"."{model._meta.db_table}"'
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT it::text FROM {table} AS it")  # noqa: S608  # a model's
        return cursor.fetchall()


REFUSING: dict[str, Callable[[Model, Stage], Any]] = {
    "built before": _built,
    "evaluated before": _evaluated,
    "refresh_from_db": _refreshed,
    "follow": _followed,
    "bare thread": _bare_thread,
    "nobody": _nobody,
    "platform": _platform,
    "every address": _every_address,
    "full name": _by_full_name,
}


# Writing


def _save(row: Any) -> None:
    row.save()


def _delete(row: Any) -> None:
    row.delete()


def _bulk_create(row: Any) -> None:
    type(row)._base_manager.bulk_create([row])


def _bulk_update(row: Any) -> None:
    texts = (each for each in _text_columns(type(row)) if not each.primary_key)
    column = next(texts, _last_column(type(row)))
    type(row)._base_manager.bulk_update([row], [column.name])


# With an instance that Elm has loaded; nothing of it may be done at Oak.
SMUGGLING: dict[str, Callable[[Any], None]] = {
    "save": _save,
    "delete": _delete,
    "bulk_create": _bulk_create,
    "bulk_update": _bulk_update,
}


def _update(model: Model, leaks: Stage) -> None:
    column = _last_column(model)
    for row in leaks.rows(model):
        same = model._base_manager.filter(pk=row.pk)
        same.update(**{column.name: models.F(column.attname)})


def _delete_by_key(model: Model, leaks: Stage) -> None:
    for row in leaks.rows(model):
        with suppress(*REFUSED), transaction.atomic():
            model._base_manager.filter(pk=row.pk).delete()


def _point_at(model: Model, leaks: Stage) -> None:
    """Let a row of Oak's point at one of Elm's."""
    mine = leaks.twins["oak"].rows[model]
    for key in _foreign_keys(model):
        theirs = _load(key.related_model, leaks)
        with suppress(TenancyError):
            row = model._base_manager.get(pk=mine.pk)
            setattr(row, key.name, theirs)
            row.save()
            leaked(f"{key} of a row of Oak's could be made to point at Elm's {theirs.pk}.")


WRITING: dict[str, Callable[[Model, Stage], None]] = {
    "update": _update,
    "delete by key": _delete_by_key,
    "point at": _point_at,
}
# For models that point at others.
FOLLOWING = ("select_related", "follow", "point at")
# For models that others point at, or that have many of others.
GATHERING = ("prefetch_related", "reverse")


def list_ways(model: Model) -> list[str]:
    """Return the ways that there are with this model."""
    ways = [*READING, *REFUSING, *SMUGGLING, *WRITING]
    if not _foreign_keys(model):
        ways = [way for way in ways if way not in FOLLOWING]
    if not _reverse_names(model):
        ways = [way for way in ways if way not in GATHERING]
    return ways


def check(model: Model, way: str, leaks: Stage) -> None:
    """Try one way with one model."""
    leaks.require(model)
    with _what_the_model_minds(model, way):
        if way in READING:
            _check_reading(model, way, leaks)
        elif way in REFUSING:
            _check_refusing(model, way, leaks)
        elif way in SMUGGLING:
            _check_smuggling(model, way, leaks)
        else:
            _check_writing(model, way, leaks)


def _check_reading(model: Model, way: str, leaks: Stage) -> None:
    with leaks.at("elm"):
        is_blind = not leaks.find(READING[way](model, leaks), model)
    with leaks.at("oak"):
        seen = READING[way](model, leaks)
    _refuse(seen, model, way, leaks)
    if is_blind and _text_columns(model):
        raise NotCovered("Elm does not see its own canary this way either.")


def _check_refusing(model: Model, way: str, leaks: Stage) -> None:
    seen: object = ()
    with suppress(*REFUSED), leaks.at("oak"):
        seen = REFUSING[way](model, leaks)
    _refuse(seen, model, way, leaks)


def _check_smuggling(model: Model, way: str, leaks: Stage) -> None:
    """Try it with a row whose twin at Oak would be overwritten, and with one that has none."""
    with leaks.undone("oak"), leaks.unchanged(model), leaks.unchanged(model, at="oak"):
        for row in leaks.rows(model):
            loaded = _load(model, leaks, row.pk)
            with suppress(*REFUSED), transaction.atomic():
                SMUGGLING[way](loaded)


def _check_writing(model: Model, way: str, leaks: Stage) -> None:
    with leaks.undone("oak"), leaks.unchanged(model):
        with suppress(*REFUSED), transaction.atomic():
            WRITING[way](model, leaks)
        _refuse(list(model._base_manager.all()), model, way, leaks)


def _refuse(seen: object, model: Model, way: str, leaks: Stage) -> None:
    if marks := leaks.find(seen, model):
        leaked(f"{model._meta.label}, {way}: {', '.join(marks)}, which is Elm's, was seen at Oak.")


@contextmanager
def _what_the_model_minds(model: Model, way: str) -> Iterator[None]:
    """What a model's own code refuses, or cannot do, is not covered."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, *REFUSED) as error:
        raise NotCovered(f"{model._meta.label}, {way}: {type(error).__name__}: {error}") from error


def _load(model: Model, leaks: Stage, key: Any = None) -> Any:
    """Return a row as Elm loads it, whoever is active now: the one that has no twin."""
    key = key or leaks.rows(model)[-1].pk
    with context.override(leaks.target("elm"), in_transaction=True):
        return model._base_manager.get(pk=key)


def _foreign_keys(model: Model) -> list[models.ForeignKey[Any, Any]]:
    return [
        each
        for each in model._meta.concrete_fields
        if isinstance(each, models.ForeignKey) and router.is_tenants(each.related_model)
    ]


def _text_columns(model: Model) -> list[models.Field[Any, Any]]:
    return [
        each
        for each in model._meta.concrete_fields
        if isinstance(each, models.CharField | models.TextField) and not each.choices
    ]


def _last_column(model: Model) -> models.Field[Any, Any]:
    return next(
        each
        for each in reversed(model._meta.concrete_fields)
        if not each.primary_key and not each.generated
    )


def _reverse_names(model: Model) -> list[str]:
    many = [each.name for each in model._meta.many_to_many]
    return many + [
        str(each.get_accessor_name())
        for each in model._meta.related_objects
        if each.multiple and each.get_accessor_name() and router.is_tenants(each.related_model)
    ]
