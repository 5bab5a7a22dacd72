"""May an answer of the API be kept by whoever receives it?"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.crypto import salted_hmac

from tenancy import context

PREFIX = "/api/v1/"


class NeverStored:
    """
    No: it is about patients, so neither a browser nor a proxy may write it down.

    A program that keeps what it has read may ask with If-None-Match whether it still
    holds. Only the tag is compared: Last-Modified counts whole seconds, and two changes
    fit into one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith(PREFIX):
            return response

        patch_cache_control(response, private=True, no_store=True)
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        response["ETag"] = _tag(request, response)
        conditional = get_conditional_response(request, etag=response["ETag"], response=response)
        return conditional or response


def _tag(request: HttpRequest, response: HttpResponse) -> str:
    """
    Return a tag of this answer, which nobody else gets for theirs, and nobody can reckon.

    A hash alone would confirm what somebody guesses that a short answer says.
    """
    whose = f"{context.require_owner()}:{request.user.pk}:"
    mac = salted_hmac("clinicx.api.tag", whose.encode() + response.content, algorithm="sha256")
    return f'"{mac.hexdigest()[:32]}"'
