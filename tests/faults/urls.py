"""A clinic's pages, and two that ask PostgreSQL for something short and for something long."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from apps.patients.models import Patient
from clinicx.urls.tenant import *  # noqa: F403  # handlers too
from clinicx.urls.tenant import urlpatterns

SLOW = "SELECT pg_sleep(0.2)"


def quick(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Patient.objects.count()), content_type="text/plain")


def slow(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    return HttpResponse("slept", content_type="text/plain")


urlpatterns = [path("quick/", quick), path("slow/", slow), *urlpatterns]
