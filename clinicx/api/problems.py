"""
How does the API say that something went wrong? As problem details (RFC 9457).

A problem never holds more than the request did: no patient's data, and of the address
only its path.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import views
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, ValidationError
from rest_framework.response import Response

from tenancy import logs

CONTENT_TYPE = "application/problem+json"

# One text for every address that leads nowhere: whoever tries the ids of another
# clinic learns nothing from it.
NOTHING_HERE = "There is nothing at this address."

DATABASE_AWAY = (
    "The database does not answer. What was asked for may not have been done. Try again soon."
)

_DETAILS = {
    HTTPStatus.BAD_REQUEST: "The request could not be understood.",
    HTTPStatus.UNAUTHORIZED: "The token is not valid here.",
    HTTPStatus.FORBIDDEN: "You may not do this.",
    HTTPStatus.NOT_FOUND: NOTHING_HERE,
    HTTPStatus.GONE: "This clinic was deleted.",
    HTTPStatus.TOO_MANY_REQUESTS: "This is more than may be asked for. Try again a little later.",
    HTTPStatus.SERVICE_UNAVAILABLE: "This clinic is out of service for now.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here. Trying again later may help.",
}


def describe(
    *, status: int, detail: str, path: str, errors: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the members of a problem; `errors` has the messages for each field at fault."""
    problem = {
        # RFC 9457, section 4.2.1: no more is meant than the status code says.
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    return problem if errors is None else problem | {"errors": errors}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error raised in a view of the API; None leaves it to Django, as a 500."""
    response = views.exception_handler(error, context)
    if response is None:
        return None

    if isinstance(error, (NotAuthenticated, AuthenticationFailed)):
        _challenge(response, context)
    response.data = describe(
        status=response.status_code,
        detail=_detail(error, response),
        path=context["request"].path,
        errors=_errors(error),
    )
    response.content_type = CONTENT_TYPE
    return response


def answer(request: HttpRequest, status: HTTPStatus, *, detail: str | None = None) -> JsonResponse:
    """Answer what went wrong before a view of the API was found, or unexpectedly in it."""
    problem = describe(status=status, detail=detail or _DETAILS[status], path=request.path)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        problem["request_id"] = logs.get_request_id()  # for support, who find it in the log
    return JsonResponse(problem, status=status, content_type=CONTENT_TYPE)


def _challenge(response: Response, context: dict[str, Any]) -> None:
    """
    Say that signing in is what is missing: 401, with the ways to do it.

    REST framework would say 403 where its first way, the session, has no challenge.
    """
    request = context["request"]
    challenges = [way.authenticate_header(request) or "Session" for way in request.authenticators]
    response.status_code = HTTPStatus.UNAUTHORIZED
    response["WWW-Authenticate"] = ", ".join(challenges)


def _detail(error: Exception, response: Response) -> str:
    if isinstance(error, Http404):
        return NOTHING_HERE
    if isinstance(error, ValidationError):
        return "Some parameters are wrong; each is named below."
    return str(response.data["detail"])


def _errors(error: Exception) -> dict[str, Any] | None:
    if not isinstance(error, ValidationError):
        return None
    return error.detail if isinstance(error.detail, dict) else {"request": error.detail}
