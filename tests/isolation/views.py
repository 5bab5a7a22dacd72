"""
What might a view do that lets the context of its request get out?
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import include, path

from apps.accounts.models import User
from tenancy import context

View = Callable[[HttpRequest], HttpResponse]


# What the end of a stream found.
TIDIED: list[str] = []


class Accident(Exception):
    """What goes wrong on purpose."""


def name_of_current() -> str:
    return str(context.get_current())


def current_schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        (schema,) = cursor.fetchone()
    return str(schema)


def tell(request: HttpRequest) -> HttpResponse:
    """Say for whom the request works, as Python, PostgreSQL and the cache have it."""
    greeting = cache.get_or_set("greeting", name_of_current)
    return JsonResponse([name_of_current(), current_schema(), greeting], safe=False)


async def tell_later(request: HttpRequest) -> HttpResponse:
    first = name_of_current()
    await asyncio.sleep(0.01)
    schema = await sync_to_async(current_schema)()
    return JsonResponse([first, schema, name_of_current()], safe=False)


def fail(request: HttpRequest) -> HttpResponse:
    raise Accident


def find_nothing(request: HttpRequest) -> HttpResponse:
    raise Http404


def refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def quit_process(request: HttpRequest) -> HttpResponse:
    raise SystemExit


def activate_and_forget(request: HttpRequest) -> HttpResponse:
    context.activate(context.PLATFORM)
    return HttpResponse()


def deactivate(request: HttpRequest) -> HttpResponse:
    context.deactivate()
    return HttpResponse()


@transaction.atomic
def fail_in_a_transaction(request: HttpRequest) -> HttpResponse:
    User.objects.count()
    raise Accident


@transaction.atomic
def fail_in_the_database(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    return HttpResponse()


def render_late(request: HttpRequest) -> HttpResponse:
    """Query in the template, which is rendered when the view has returned."""
    template = engines["django"].from_string("{{ schema }}")
    return SimpleTemplateResponse(template, {"schema": current_schema})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Query when the middleware has returned, in a transaction that may be broken off."""

    def chunks() -> Iterator[str]:
        with transaction.atomic():
            for _ in range(3):
                yield f"{current_schema()} "

    return StreamingHttpResponse(chunks())


async def stream_later(request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[str]:
        for _ in range(3):
            yield f"{await sync_to_async(current_schema)()} "

    return StreamingHttpResponse(chunks())


def stream_and_tidy(request: HttpRequest) -> StreamingHttpResponse:
    """Query also when the stream ends, however it ends."""
    TIDIED.clear()

    def chunks() -> Iterator[str]:
        try:
            yield "one "
            yield "two "
        finally:
            TIDIED.append(current_schema())

    return StreamingHttpResponse(chunks())


def start_a_thread(request: HttpRequest) -> HttpResponse:
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(name_of_current()))
    thread.start()
    thread.join()
    return JsonResponse(told, safe=False)


VIEWS = (
    tell,
    tell_later,
    fail,
    find_nothing,
    refuse,
    quit_process,
    activate_and_forget,
    deactivate,
    fail_in_a_transaction,
    fail_in_the_database,
    render_late,
    stream,
    stream_later,
    stream_and_tidy,
    start_a_thread,
)

# With the real ones, to which the error pages link.
urlpatterns = [
    *(path(f"{view.__name__}/", view) for view in VIEWS),
    path("", include("clinicx.urls.tenant")),
]


# Middleware that has an accident.


def fail_before(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        raise Accident

    return middleware


def fail_after(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        get_response(request)
        raise Accident

    return middleware
