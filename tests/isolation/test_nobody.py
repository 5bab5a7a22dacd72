"""With nobody active nothing is sent, whichever way a model's table is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.models import Session
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import BaseCommand, call_command
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory

from tenancy import context, router
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization
from tests.isolation.wire import tapped


def _copy_out(model: type[models.Model]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" TO STDOUT') as copy,
    ):
        list(copy)


def _copy_in(model: type[models.Model]) -> None:
    with connection.cursor() as cursor, cursor.copy(f'COPY "{model._meta.db_table}" FROM STDIN'):
        pass


def _raw_cursor(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')


def _stream(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        list(cursor.stream(f'SELECT * FROM "{model._meta.db_table}"'))


def _executemany(model: type[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(f'SELECT %s FROM "{model._meta.db_table}"', [[1], [2]])


@transaction.atomic
def _atomic(model: type[models.Model]) -> None:
    list(model._base_manager.all())


@transaction.atomic
def _savepoint(model: type[models.Model]) -> None:
    with transaction.atomic():
        list(model._base_manager.all())


@transaction.atomic
def _locked(model: type[models.Model]) -> None:
    list(model._base_manager.select_for_update())


def _command(model: type[models.Model]) -> None:
    class Count(BaseCommand):
        def handle(self, **options: Any) -> None:
            model._base_manager.count()

    call_command(Count())


def _answer(model: type[models.Model], *, ask: Callable[[models.QuerySet[Any]], Any]) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await ask(model._base_manager.all())
        return HttpResponse()

    # In the event loop the query comes back to this thread, whose connections are listened to.
    async_to_sync(view)(AsyncRequestFactory().get("/"))


async def _iterate(rows: models.QuerySet[Any]) -> None:
    async for _ in rows:
        pass


def _bare_thread(model: type[models.Model]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(model._base_manager.count).result()


def _executor(model: type[models.Model]) -> None:
    def count() -> None:
        try:
            model._base_manager.count()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(context.carry(count)).result()


WAYS: dict[str, Callable[[type[models.Model]], Any]] = {
    # Reading
    "autocommit": lambda model: list(model._base_manager.all()),
    "iterator": lambda model: list(model._base_manager.iterator()),
    "count": lambda model: model._base_manager.count(),
    "exists": lambda model: model._base_manager.exists(),
    "aggregate": lambda model: model._base_manager.aggregate(models.Count("pk")),
    "raw": lambda model: list(model._base_manager.raw(f'SELECT * FROM "{model._meta.db_table}"')),
    "explain": lambda model: model._base_manager.all().explain(),
    "refresh_from_db": lambda model: model(pk=1).refresh_from_db(),
    # Writing. Past a model's own save(), which may refuse an empty row before it asks for SQL.
    "save": lambda model: models.Model.save(model(), force_insert=True),
    "bulk_create": lambda model: model._base_manager.bulk_create([model()]),
    "update": lambda model: model._base_manager.update(
        **{model._meta.concrete_fields[-1].name: None}
    ),
    "delete": lambda model: model._base_manager.all().delete(),
    # In a transaction
    "atomic": _atomic,
    "savepoint": _savepoint,
    "select_for_update": _locked,
    # By hand
    "raw cursor": _raw_cursor,
    "executemany": _executemany,
    "stream": _stream,
    "COPY out": _copy_out,
    "COPY in": _copy_in,
    # From elsewhere
    "command": _command,
    "async view": partial(_answer, ask=_iterate),
    "async view, one row": partial(_answer, ask=lambda rows: rows.aget(pk=1)),
    "async view, sync_to_async": partial(
        _answer, ask=lambda rows: sync_to_async(rows.model._base_manager.count)()
    ),
    "bare thread": _bare_thread,
    "executor": _executor,
    # At a chosen address
    "using('default')": lambda model: list(model._base_manager.using("default")),
    "using('ddl')": lambda model: list(model._base_manager.using("ddl")),
    "using('ddl'), save": lambda model: models.Model.save(model(), using="ddl"),
    "using('ddl'), refresh_from_db": lambda model: model(pk=1).refresh_from_db(using="ddl"),
}
ADDRESSES = ("default", "ddl")


class TestNobody:
    @pytest.fixture(autouse=True)
    def _connected(self, committed: None, elm: Organization) -> None:
        with context.override(context.PLATFORM):
            for address in ADDRESSES:
                connections[address].ensure_connection()

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        "model", router.list_models(shared=True, tenants=True), ids=lambda model: model._meta.label
    )
    def test_is_active_so_nothing_is_sent(self, model: type[models.Model], way: str):
        """
        No message goes out at either address, and no other connection is opened.
        """
        with tapped(*ADDRESSES) as tap, _new_connections() as opened:
            with pytest.raises(NoActiveTenant):
                WAYS[way](model)

            assert tap.sent == []
        assert opened == []

    @pytest.mark.parametrize("way", [way for way in WAYS if way != "bare thread"])
    def test_is_not_so_when_somebody_is(self, way: str, in_elm: Organization):
        """
        The ways above do send something, if only to be told that the row is a bad one.
        """
        with tapped(*ADDRESSES) as tap, _new_connections() as opened:
            with suppress(DatabaseError, ObjectDoesNotExist):
                WAYS[way](Session)

            assert tap.sent or opened


@contextmanager
def _new_connections() -> Iterator[list[str]]:
    """Collect the addresses at which any thread opens a connection inside the block."""
    opened: list[str] = []

    def note(connection: Any, **kwargs: Any) -> None:
        opened.append(connection.alias)

    connection_created.connect(note)
    try:
        yield opened
    finally:
        connection_created.disconnect(note)
