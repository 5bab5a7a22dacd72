"""The base domain."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from board.models import Entry


def entries(request: HttpRequest) -> HttpResponse:
    return HttpResponse("\n".join(Entry.objects.values_list("text", flat=True)))


urlpatterns = [path("", entries, name="entries")]
