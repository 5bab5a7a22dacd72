"""A clinic's pages, and some that tests need: slow ones, and such that fail in every way."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from clinicx.urls.tenant import *  # noqa: F403  # handlers too
from clinicx.urls.tenant import urlpatterns as pages
from tests.serving import failing


def who(request: HttpRequest) -> HttpResponse:
    """Answer whose schema PostgreSQL works in."""
    return HttpResponse(_schema())


def slow(request: HttpRequest) -> HttpResponse:
    """The same, in the middle of a transaction that takes a while."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [float(request.GET["seconds"])])
        return HttpResponse(_schema())


@csrf_exempt
def write(request: HttpRequest) -> HttpResponse:
    """Write a row and take a moment before it is committed."""
    with transaction.atomic():
        Group.objects.create(name=request.GET["name"])
        time.sleep(0.02)
    return HttpResponse(_schema())


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Ask PostgreSQL again for each part that is sent."""

    def parts() -> Iterator[str]:
        for _ in range(5):
            yield f"{_schema()} "
            time.sleep(0.1)

    return StreamingHttpResponse(parts())


def cached(request: HttpRequest) -> HttpResponse:
    """Put what is given into the clinic's cache; answer what is there."""
    if "value" in request.GET:
        cache.set("probe", request.GET["value"])
    return HttpResponse(str(cache.get("probe")))


def _schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])


urlpatterns = [
    *pages,
    path("probe/who/", who, name="who"),
    path("probe/slow/", slow, name="slow"),
    path("probe/write/", write, name="write"),
    path("probe/cache/", cached, name="cache"),
    path("probe/fail/streaming/", failing.fail_streaming, name="fail-streaming"),
    path("probe/fail/<slug:way>/", failing.fail, name="fail"),
    path("probe/queue/<slug:way>/", failing.queue, name="queue"),
    path("probe/leak/", failing.leak, name="leak"),
    path("probe/stream/", stream, name="stream"),
]
