"""
Pages about notes. Each makes one mistake when it is PLANTED, and is right otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import lru_cache

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from tenancy import context, tenants
from tenancy.models import Organization
from ward.models import Note

logger = logging.getLogger(__name__)


def plain(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(get_object_or_404(Note, pk=pk).text)


_remembered: dict[int, str] = {}


def memo(request: HttpRequest, pk: int) -> HttpResponse:
    """The mistake: a dictionary of the module, by a key that every tenant has."""
    text = _remembered.get(pk) or get_object_or_404(Note, pk=pk).text
    if "memo" in settings.PLANTED:
        _remembered[pk] = text
    return HttpResponse(text)


@lru_cache
def _text_of(pk: int) -> str:
    return str(Note.objects.get(pk=pk).text)


def cached(request: HttpRequest, pk: int) -> HttpResponse:
    """The mistake: a cache of the process, by a key that every tenant has."""
    note = get_object_or_404(Note, pk=pk)
    return HttpResponse(_text_of(pk) if "lru_cache" in settings.PLANTED else note.text)


class Wall:
    """The mistake: rows that are read once, for whoever came first."""

    notes = Note.objects.all()


def wall(request: HttpRequest) -> HttpResponse:
    notes = Wall.notes if "class" in settings.PLANTED else Wall.notes.all()
    return HttpResponse("\n".join(note.text for note in notes))


def logged(request: HttpRequest, pk: int) -> HttpResponse:
    """The mistake: what a note says goes where anybody reads it."""
    note = get_object_or_404(Note, pk=pk)
    logger.warning("A note was read: %s", note.text if "log" in settings.PLANTED else note.pk)
    return HttpResponse(status=204)


def everybody(request: HttpRequest) -> HttpResponse:
    """The mistake: the owner's address, for all tenants in turn."""
    texts = list(Note.objects.values_list("text", flat=True))
    if "platform" in settings.PLANTED:
        with context.override(context.PLATFORM):
            organizations = list(Organization.objects.all())
        for organization in organizations:
            with context.override(tenants.as_active(organization)):
                texts += Note.objects.using("ddl").values_list("text", flat=True)
    return HttpResponse("\n".join(texts))


def anywhere(request: HttpRequest, pk: int) -> HttpResponse:
    """The mistake: what is not found here is looked for elsewhere."""
    note = Note.objects.filter(pk=pk).first()
    if note is None and "anywhere" in settings.PLANTED:
        with connections["ddl"].cursor() as cursor:
            cursor.execute("SELECT text FROM tenant_elm.ward_note WHERE id = %s", [pk])
            return HttpResponse(str(cursor.fetchone()))
    return HttpResponse(note.text if note else "", status=200 if note else 404)


_first: list[Context] = []


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    """The mistake: a thread that keeps the context in which it was first used."""

    def read() -> list[str]:
        try:
            return list(Note.objects.values_list("text", flat=True))
        finally:
            connections.close_all()

    def run(work: Callable[[], list[str]]) -> list[str]:
        if not _first:
            _first.append(copy_context())
        return _first[0].run(work)

    work = (lambda: run(read)) if "thread" in settings.PLANTED else context.carry(read)
    if "thread" in settings.PLANTED and not _first:
        _first.append(copy_context())

    def chunks() -> Iterator[str]:
        with ThreadPoolExecutor(1) as pool:
            yield from pool.submit(work).result()

    return StreamingHttpResponse(chunks())


def renamed(request: HttpRequest, pk: int) -> HttpResponse:
    """The mistake: another's row is written to."""
    if request.method == "POST" and "write" in settings.PLANTED:
        with connections["ddl"].cursor() as cursor:
            cursor.execute("UPDATE tenant_elm.ward_note SET text = 'x' WHERE id = %s", [pk])
    return HttpResponse(status=204)
