"""
Which ways lead to the database, and what does each read or write there?

Reading, each returns the keys of all sessions that it sees; writing, each leaves a
session whose key is NEW and nothing else that is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.models import Session
from django.core.management import BaseCommand, call_command
from django.db import connection, connections, transaction
from django.db.models import Count, Exists, OuterRef
from django.db.models.signals import post_init, post_save
from django.template import engines

from tenancy import context

Keys = list[str]

TABLE = Session._meta.db_table
SELECT = f"SELECT session_key FROM {TABLE}"
INSERT = f"INSERT INTO {TABLE} (session_key, session_data, expire_date) VALUES (%s, '', now())"
NEW = "new"
LATER = datetime(2030, 1, 1, tzinfo=UTC)


# Reading


def list_keys() -> Keys:
    return list(Session.objects.values_list("pk", flat=True))


def _raw_cursor() -> Keys:
    with connection.cursor() as cursor:
        cursor.execute(SELECT)
        return [key for (key,) in cursor.fetchall()]


def _executemany() -> Keys:
    found = f"{SELECT} WHERE session_key <> %s"
    with connection.cursor() as cursor:
        # The driver's, which returns rows; Django's wrapper has no argument for it.
        cursor.cursor.executemany(found, [["one"], ["two"]], returning=True)
        first = [key for (key,) in cursor.fetchall()]
        assert cursor.nextset()
        assert [key for (key,) in cursor.fetchall()] == first
    return first


def _stream() -> Keys:
    with connection.cursor() as cursor:
        return [key for (key,) in cursor.stream(SELECT)]


def _copy_out() -> Keys:
    with connection.cursor() as cursor, cursor.copy(f"COPY ({SELECT}) TO STDOUT") as copy:
        return [key for (key,) in copy.rows()]


def _callproc() -> Keys:
    with connection.cursor() as cursor:
        cursor.callproc("current_schema")
        ((schema,),) = cursor.fetchall()
    return [schema.removeprefix("tenant_")]


@transaction.atomic
def _named_cursor() -> Keys:
    with connection.chunked_cursor() as cursor:
        cursor.execute(SELECT)
        return [key for (key,) in cursor]


@transaction.atomic
def _locked() -> Keys:
    return [row.pk for row in Session.objects.select_for_update()]


@transaction.atomic(durable=True)
def _durable() -> Keys:
    return list_keys()


@transaction.atomic
def _nested() -> Keys:
    with transaction.atomic(), transaction.atomic(savepoint=False):
        return list_keys()


@transaction.atomic
def _savepoint_by_hand() -> Keys:
    savepoint = transaction.savepoint()
    Session.objects.all().delete()
    transaction.savepoint_rollback(savepoint)
    return list_keys()


def _without_autocommit() -> Keys:
    transaction.set_autocommit(False)
    try:
        keys = list_keys()
        transaction.rollback()
        return [*keys, *(set(list_keys()) - set(keys))]
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def _on_commit() -> Keys:
    keys: Keys = []
    with transaction.atomic():
        transaction.on_commit(lambda: keys.extend(list_keys()))
    return keys


def _subquery() -> Keys:
    same = Session.objects.filter(pk=OuterRef("pk"))
    found = Session.objects.filter(Exists(same))
    return list(found.union(Session.objects.all()).values_list("pk", flat=True))


def _aggregate() -> Keys:
    counted = Session.objects.values("pk").annotate(count=Count("*")).order_by("pk")
    return [row["pk"] for row in counted for _ in range(row["count"])]


def _refresh() -> Keys:
    rows = [Session(pk=key) for key in list_keys()]
    for row in rows:
        row.refresh_from_db()
    return [row.pk for row in rows if row.expire_date]


def _async_orm() -> Keys:
    async def ask() -> Keys:
        keys = [row.pk async for row in Session.objects.all()]
        assert [(await Session.objects.aget(pk=key)).pk for key in keys] == keys
        assert await Session.objects.acount() == len(keys)
        return keys

    return async_to_sync(ask)()


def _async_iterator() -> Keys:
    async def ask() -> Keys:
        return [row.pk async for row in Session.objects.aiterator(chunk_size=1)]

    return async_to_sync(ask)()


def _in_a_loop_of_its_own() -> Keys:
    async def ask() -> Keys:
        try:
            return [row.pk async for row in Session.objects.all()]
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(ask())


def _sync_to_async() -> Keys:
    return async_to_sync(sync_to_async(list_keys))()


def _in_a_thread(*, of: Callable[[], Keys] = list_keys) -> Keys:
    try:
        return of()
    finally:
        connections.close_all()


def _to_thread() -> Keys:
    return asyncio.run(asyncio.to_thread(_in_a_thread))


def _executor() -> Keys:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.carry(_in_a_thread)).result()


def _generator() -> Keys:
    @context.carry
    def steps() -> Iterator[str]:
        for row in Session.objects.iterator(chunk_size=1):
            assert _raw_cursor()
            yield row.pk

    rows = steps()
    with context.override(None):
        return list(rows)


def _async_generator() -> Keys:
    @context.carry
    async def steps() -> AsyncIterator[str]:
        async for row in Session.objects.all():
            yield row.pk

    async def collect() -> Keys:
        rows = steps()
        with context.override(None):
            return [key async for key in rows]

    return async_to_sync(collect)()


def _signal() -> Keys:
    keys: Keys = []

    def receive(**kwargs: object) -> None:
        keys.extend(list_keys())

    post_init.connect(receive, sender=Session)
    try:
        Session()
    finally:
        post_init.disconnect(receive, sender=Session)
    return keys


def _command() -> Keys:
    class List(BaseCommand):
        def handle(self, **options: object) -> str:
            return " ".join(list_keys())

    return str(call_command(List())).split()


def _template() -> Keys:
    template = engines["django"].from_string("{% for row in rows %}{{ row.pk }} {% endfor %}")
    return template.render({"rows": Session.objects.all}).split()


READS: dict[str, Callable[[], Keys]] = {
    "queryset": lambda: [row.pk for row in Session.objects.all()],
    "values": list_keys,
    "get": lambda: [Session.objects.get().pk],
    "first": lambda: [Session.objects.first().pk],
    "in_bulk": lambda: list(Session.objects.in_bulk()),
    "iterator": lambda: [row.pk for row in Session.objects.iterator(chunk_size=1)],
    "raw": lambda: [row.pk for row in Session.objects.raw(f"SELECT * FROM {TABLE}")],
    "refresh_from_db": _refresh,
    "subquery and union": _subquery,
    "aggregate": _aggregate,
    "raw cursor": _raw_cursor,
    "executemany": _executemany,
    "stream": _stream,
    "copy": _copy_out,
    "callproc": _callproc,
    "named cursor": _named_cursor,
    "select_for_update": _locked,
    "durable": _durable,
    "nested atomic": _nested,
    "savepoint": _savepoint_by_hand,
    "set_autocommit": _without_autocommit,
    "on_commit": _on_commit,
    "async orm": _async_orm,
    "aiterator": _async_iterator,
    "asyncio.run": _in_a_loop_of_its_own,
    "sync_to_async": _sync_to_async,
    "asyncio.to_thread": _to_thread,
    "executor": _executor,
    "generator": _generator,
    "async generator": _async_generator,
    "signal": _signal,
    "command": _command,
    "template": _template,
}


# Writing


def _new(key: str = NEW) -> Session:
    return Session(pk=key, expire_date=LATER)


def _insert() -> None:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [NEW])


def _insert_many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, [[NEW]])


def _copy_in() -> None:
    copy_in = f"COPY {TABLE} (session_key, session_data, expire_date) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
        copy.write_row((NEW, "", LATER))


def _insert_streaming() -> None:
    with connection.cursor() as cursor:
        assert list(cursor.stream(f"{INSERT} RETURNING session_key", [NEW])) == [(NEW,)]


def _update() -> None:
    Session.objects.bulk_create([_new("old")])
    assert Session.objects.filter(pk="old").update(session_key=NEW) == 1


def _bulk_update() -> None:
    (row,) = Session.objects.bulk_create([_new()])
    row.session_data = "changed"
    assert Session.objects.bulk_update([row], ["session_data"]) == 1
    assert Session.objects.get(pk=NEW).session_data == "changed"


def _upsert() -> None:
    for _ in range(2):
        Session.objects.bulk_create(
            [_new()],
            update_conflicts=True,
            unique_fields=["session_key"],
            update_fields=["expire_date"],
        )


def _delete() -> None:
    Session.objects.bulk_create([_new(), _new("old")])
    assert Session.objects.filter(pk="old").delete()[0] == 1


@transaction.atomic
def _after_a_rolled_back_savepoint() -> None:
    savepoint = transaction.savepoint()
    _new("old").save()
    transaction.savepoint_rollback(savepoint)
    _new().save()


def _acreate() -> None:
    async def create() -> None:
        await Session.objects.acreate(pk=NEW, expire_date=LATER)

    async_to_sync(create)()


def _in_signal() -> None:
    def receive(instance: Session, **kwargs: object) -> None:
        if instance.pk == "old":
            _new().save()
            instance.delete()

    post_save.connect(receive, sender=Session)
    try:
        _new("old").save()
    finally:
        post_save.disconnect(receive, sender=Session)


def _after_commit() -> None:
    with transaction.atomic():
        transaction.on_commit(_insert)


WRITES: dict[str, Callable[[], object]] = {
    "save": lambda: _new().save(),
    "create": lambda: Session.objects.create(pk=NEW, expire_date=LATER),
    "get_or_create": lambda: Session.objects.get_or_create(pk=NEW, defaults={"expire_date": LATER}),
    "update_or_create": lambda: Session.objects.update_or_create(
        pk=NEW, defaults={"expire_date": LATER}
    ),
    "bulk_create": lambda: Session.objects.bulk_create([_new()]),
    "bulk_create, upserting": _upsert,
    "bulk_update": _bulk_update,
    "update": _update,
    "delete": _delete,
    "raw cursor": _insert,
    "executemany": _insert_many,
    "copy": _copy_in,
    "stream": _insert_streaming,
    "atomic": transaction.atomic(_insert),
    "durable": transaction.atomic(durable=True)(_insert),
    "savepoint": _after_a_rolled_back_savepoint,
    "acreate": _acreate,
    "executor": lambda: _in_executor(_insert),
    "signal": _in_signal,
    "on_commit": _after_commit,
}


def _in_executor(work: Callable[[], None]) -> None:
    def in_a_thread() -> None:
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(context.carry(in_a_thread)).result()
