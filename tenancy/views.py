"""
What does a request get that is turned away before any view?
"""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.template.loader import select_template

from tenancy import tenants
from tenancy.errors import (
    DatabaseUnavailable,
    InvalidToken,
    RateLimited,
    TenancyError,
    TenantGone,
    TenantUnavailable,
    TooManyInFlight,
    UnableToRecord,
)
from tenancy.models import State

# Nobody knows when a suspension ends; whoever polls may look again in an hour. A maintenance
# is short, and a tenant that was renamed is there again.
RETRY_AFTER_SECONDS = 60 * 60
RETRY_SOON_SECONDS = {State.MAINTENANCE: 2 * 60, tenants.MOVED: 1}

# What pages are told in place of a tenant's state.
AWAY = "away"


def refuse(request: HttpRequest, error: TenancyError) -> HttpResponse:
    """
    Answer 503 for a tenant that is closed for the time being, where the database is away and
    where the audit log takes no record, 410 for one that was deleted,
    401 for a token, 400 for two tenants, 429 for too many requests.

    The page is the project's `503.html` and so on, else tenancy's own. It
    gets `state` and `reason` of a tenant that is closed, and no request: whoever would ask that
    for a user or a session asks nobody. Where the database is away, `state` is "away".
    TENANCY_REFUSAL_VIEW names another such function.
    """
    status = status_of(error)
    page = select_template([f"{status}.html", "tenancy/refused.html"])
    text = {
        "status": status,
        "state": AWAY if isinstance(error, DatabaseUnavailable) else getattr(error, "state", ""),
        "reason": getattr(error, "reason", ""),
    }
    response = HttpResponse(page.render(text), status=status)
    add_headers(response, error)
    return response


def status_of(error: TenancyError) -> HTTPStatus:
    match error:
        case TenantUnavailable() | UnableToRecord() | DatabaseUnavailable():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case TenantGone():
            return HTTPStatus.GONE
        case InvalidToken():
            return HTTPStatus.UNAUTHORIZED
        case RateLimited() | TooManyInFlight():
            return HTTPStatus.TOO_MANY_REQUESTS
        case _:
            return HTTPStatus.BAD_REQUEST


def add_headers(response: HttpResponse, error: TenancyError) -> None:
    """Say when to come back (RFC 9110, 10.2.3), and what is wrong with a token (RFC 6750, 3)."""
    match error:
        case TenantUnavailable():
            seconds = RETRY_SOON_SECONDS.get(error.state, RETRY_AFTER_SECONDS)
            response.headers["Retry-After"] = str(seconds)
        case RateLimited() | TooManyInFlight() | DatabaseUnavailable():
            response.headers["Retry-After"] = str(error.retry_after)
        case InvalidToken():
            response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
