"""Views that meet a database which fails, each in its own way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psycopg
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path

from tests.tenancy.test_connections import end_session


def sleep_too_long(request: HttpRequest) -> HttpResponse:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '50ms'")
        Group.objects.extra(where=["pg_sleep(30) IS NOT NULL"]).exists()
        cursor.execute("SELECT pg_sleep(30)")
    return HttpResponse("slept")


def wait_for_a_lock(request: HttpRequest) -> HttpResponse:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], dbname=_database()) as other:
        other.execute("LOCK TABLE tenant_elm.auth_group")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            Group.objects.count()
    return HttpResponse("counted")


def idle_in_transaction(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        time.sleep(0.3)
        Group.objects.count()
    return HttpResponse("counted")


def be_ended(request: HttpRequest) -> HttpResponse:
    """The session ends between two statements."""
    _end_own_session()
    return HttpResponse(str(Group.objects.count()))


def be_ended_in_transaction(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        _end_own_session()
        return HttpResponse(str(Group.objects.count()))


def write_at_a_standby(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        Group.objects.create(name="nowhere")
    return HttpResponse("written")


def be_ended_in_a_template(request: HttpRequest) -> HttpResponse:
    connection.ensure_connection()
    template = engines["django"].from_string("{% for group in groups %}{{ group }}{% endfor %}")
    response = TemplateResponse(request, template, {"groups": Group.objects.all()})
    _end_own_session()
    return response


def be_ended_before_the_session_is_saved(request: HttpRequest) -> HttpResponse:
    """Django answers 400, as it takes the session for one that was deleted meanwhile."""
    request.session["seen"] = True
    request.session.save()
    request.session["seen"] = False
    _end_own_session()
    return HttpResponse("seen")


def make_a_mistake(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    return HttpResponse("divided")


def cope(request: HttpRequest) -> HttpResponse:
    """Whoever can do without the database is not refused."""
    _end_own_session()
    try:
        Group.objects.count()
    except OperationalError:
        return HttpResponse("nobody is counted")
    return HttpResponse("counted")


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Group.objects.count()))


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _end_own_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    end_session(pid)


FAILING: tuple[Callable[[HttpRequest], HttpResponse], ...] = (
    sleep_too_long,
    wait_for_a_lock,
    idle_in_transaction,
    be_ended,
    be_ended_in_transaction,
    write_at_a_standby,
    be_ended_in_a_template,
    be_ended_before_the_session_is_saved,
)

urlpatterns = [
    path(f"{prefix}{view.__name__}/", view)
    for view in (*FAILING, make_a_mistake, cope, count)
    for prefix in ("", "api/")
]
