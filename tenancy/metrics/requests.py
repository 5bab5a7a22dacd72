"""
How many requests are answered, for whom, how, and how fast?
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase

from tenancy import metrics
from tenancy.metrics import sampling
from tenancy.metrics.names import PLATFORM, UNKNOWN

# Requests that no route takes, and routes whose name says nothing.
UNRESOLVED = "unresolved"
UNNAMED = "unnamed"
# An admin has a route for each page of each model: as endpoints they would be told as one.
FOLDED = "admin"


class MetricsMiddleware:
    """
    Count each request and its time, for the tenant that TenantMiddleware finds.

    It stands before TenantMiddleware, to see what that turns away, and behind what answers
    without a tenant, such as static files and probes. The time is that until the answer is
    handed back: a stream's steps are not part of it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not metrics.is_on():
            raise MiddlewareNotUsed("TENANCY_METRICS is False.")
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        began, status = time.perf_counter(), 500
        token = metrics.request_began()
        try:
            response: HttpResponseBase = self.get_response(request)
            status = response.status_code
            return response
        finally:
            metrics.request_ended(token)
            _count(request, status, time.perf_counter() - began)

    async def answer(self, request: HttpRequest) -> HttpResponseBase:
        began, status = time.perf_counter(), 500
        token = metrics.request_began()
        try:
            response: HttpResponseBase = await self.get_response(request)
            status = response.status_code
            return response
        finally:
            metrics.request_ended(token)
            _count(request, status, time.perf_counter() - began)


def _count(request: HttpRequest, status: int, seconds: float) -> None:
    sampling.ensure_running()
    metrics.request_answered(_tenant_of(request), endpoint_of(request), status, seconds)


def _tenant_of(request: HttpRequest) -> str:
    try:
        tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
    except AttributeError:
        return UNKNOWN
    if tenant is None:
        return PLATFORM
    return getattr(tenant, "slug", "") or str(tenant.schema_name)


def endpoint_of(request: HttpRequest) -> str:
    """Return the name of the route that took `request`; never its path, which names patients."""
    match = request.resolver_match
    if match is None:
        return UNRESOLVED
    if match.app_names[:1] == [FOLDED]:
        return FOLDED
    # Without a name it would be the path of the function, which is bounded too but long.
    return match.view_name if match.url_name else UNNAMED
