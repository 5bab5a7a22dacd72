"""
What does a request get that no view answers? The API a problem, people a page.
"""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from clinicx.api import problems
from tenancy import views
from tenancy.errors import DatabaseUnavailable, TenancyError

_API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(_API):
        return problems.answer(request, HTTPStatus.BAD_REQUEST)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(_API):
        return problems.answer(request, HTTPStatus.FORBIDDEN)
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(_API):
        return problems.answer(request, HTTPStatus.NOT_FOUND)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(_API):
        return problems.answer(request, HTTPStatus.INTERNAL_SERVER_ERROR)
    return defaults.server_error(request)


def refuse(request: HttpRequest, error: TenancyError) -> HttpResponse:
    """
    Turn away who asks for a suspended clinic, or names two, or has another clinic's token,
    or asks for too much, or comes while the database is away.
    """
    if not request.path.startswith(_API):
        return views.refuse(request, error)
    detail = problems.DATABASE_AWAY if isinstance(error, DatabaseUnavailable) else None
    response = problems.answer(request, views.status_of(error), detail=detail)
    views.add_headers(response, error)
    return response
