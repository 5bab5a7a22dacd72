"""
In which ways can a statement ask where it runs?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import CharField, Func

WHERE = "SELECT current_schema()::text, current_user::text"

Place = tuple[str, str]
"""The schema and the role."""


def raw() -> Place:
    with connection.cursor() as cursor:
        cursor.execute(WHERE)
        return tuple(cursor.fetchone())


def _places() -> Any:
    return ContentType.objects.order_by("pk").values_list(
        Func(function="current_schema", output_field=CharField()),
        Func(template="current_user::text", output_field=CharField()),
    )


def orm() -> Place:
    return tuple(_places()[0])


def iterator() -> Place:
    return tuple(next(iter(list(_places()[:2].iterator(1)))))


def copy() -> Place:
    # Django's wrapper does not reach into the block that psycopg's copy() opens.
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({WHERE}) TO STDOUT") as rows,
    ):
        rows.set_types(["text", "text"])
        return tuple(next(iter(list(rows.rows()))))


def stream() -> Place:
    with connection.wrap_database_errors, connection.cursor() as cursor:
        return tuple(next(iter(list(cursor.stream(WHERE)))))


READS = (raw, orm, iterator, copy, stream)


def in_event_loop(work: Callable[[], Place]) -> Place:
    """Work from a coroutine, in the thread that waits for it."""

    async def coroutine() -> Place:
        return await sync_to_async(work)()

    return async_to_sync(coroutine)()
