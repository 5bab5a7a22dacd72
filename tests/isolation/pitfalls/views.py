"""
Which views would show another clinic's rows, if the context ended with the view?
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from django.contrib.sessions.models import Session
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import path


def show_late(request: HttpRequest) -> SimpleTemplateResponse:
    """Return a queryset that the template evaluates, outside ATOMIC_REQUESTS' transaction."""
    template = engines["django"].from_string("{% for row in rows %}{{ row.pk }}{% endfor %}")
    return SimpleTemplateResponse(template, {"rows": Session.objects.all()})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Query after the view, in a transaction that a browser may break off."""

    def chunks() -> Iterator[str]:
        with transaction.atomic():
            for _ in range(3):
                yield Session.objects.get().pk

    return StreamingHttpResponse(chunks())


async def show_async(request: HttpRequest) -> JsonResponse:
    first = await Session.objects.aget()
    await asyncio.sleep(0.01)
    return JsonResponse([first.pk, *[row.pk async for row in Session.objects.all()]], safe=False)


def refuse(request: HttpRequest) -> HttpResponse:
    raise BadRequest(Session.objects.get().pk)


urlpatterns = [path(f"{view.__name__}/", view) for view in (show_late, stream, show_async, refuse)]
