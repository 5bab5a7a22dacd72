"""
What do probes get?

They speak plain HTTP to an address and name no clinic's host, so this stands before whatever
redirects, and before anybody is asked whose request it is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed

from tenancy.health.monitor import monitor

LIVE = "/health/live"
READY = "/health/ready"

# Kubernetes asks again by itself; this is for a balancer or a script that honours it.
RETRY_AFTER_SECONDS = 5


class HealthMiddleware:
    """
    Answer `/health/live` and `/health/ready`, at any host; the rest is passed on.

    `live` asks nothing: a process that answers lives, whatever else is down, and to start it
    again would not bring a database back. `ready` is 200 or 503, see
    `tenancy.health.facts.Readiness`.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        if request.path_info not in (LIVE, READY):
            response: HttpResponseBase = self.get_response(request)
            return response
        return _answer(request)

    async def answer(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in (LIVE, READY):
            response: HttpResponseBase = await self.get_response(request)
            return response
        # In a thread that nobody else waits for: a view that hangs has Django's own.
        return await sync_to_async(_answer, thread_sensitive=False)(request)


def _answer(request: HttpRequest) -> HttpResponse:
    response: HttpResponse
    if request.method not in ("GET", "HEAD"):
        response = HttpResponseNotAllowed(["GET", "HEAD"])
    elif request.path_info == LIVE:
        response = _json({"state": "live"}, HTTPStatus.OK)
    else:
        response = _ready()
    response["Cache-Control"] = "no-store"
    return response


def _ready() -> HttpResponse:
    readiness = monitor.readiness()
    if readiness.is_ready:
        return _json(readiness.as_facts(), HTTPStatus.OK)
    response = _json(readiness.as_facts(), HTTPStatus.SERVICE_UNAVAILABLE)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _json(told: dict[str, Any], status: HTTPStatus) -> HttpResponse:
    return HttpResponse(json.dumps(told), content_type="application/json", status=status)
