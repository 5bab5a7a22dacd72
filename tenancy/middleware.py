"""
For whom does a request work?
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings as django_settings
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse

from tenancy import context, resolvers
from tenancy.context import Target
from tenancy.errors import TenantNotFound
from tenancy.models import Organization


class TenantRequest(HttpRequest):
    """A request after TenantMiddleware; on the base domain its tenant is None."""

    tenant: Organization | None


class TenantMiddleware:
    """
    Work for the organization whose host was asked for while the request is answered.

    The base domain works for the platform, with the URLs of PUBLIC_SCHEMA_URLCONF. An
    unknown host is a 404 before anything else runs. A streaming response goes on
    working for the same organization, one step at a time, until it is sent or dropped.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[TenantRequest], Any]) -> None:
        self.get_response = get_response
        _import_views()
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: TenantRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        target = _resolve(request)
        with context.override(target):
            response: HttpResponseBase = self.get_response(request)
            return _carry_stream(response)

    async def answer(self, request: TenantRequest) -> HttpResponseBase:
        target = await sync_to_async(_resolve)(request)
        with context.override(target):
            return _carry_stream(await self.get_response(request))


def _import_views() -> None:
    """
    Import what answers requests now, with nobody active.

    Django would import it during the first request, and a view's `queryset` would then
    belong to whoever asked first.
    """
    with context.override(None):
        for urlconf in (django_settings.ROOT_URLCONF, django_settings.PUBLIC_SCHEMA_URLCONF):
            import_module(urlconf)


def _resolve(request: TenantRequest) -> Target:
    """Say on the request whose it is, and return for whom it works."""
    try:
        request.tenant = resolvers.resolve(request)
    except TenantNotFound as error:
        raise Http404 from error

    if request.tenant is None:
        request.urlconf = django_settings.PUBLIC_SCHEMA_URLCONF
        return context.PLATFORM
    return request.tenant.as_active()


def _carry_stream(response: HttpResponseBase) -> HttpResponseBase:
    """Let what is streamed after the view, and its end, work for whoever is active now."""
    # A file that the server sends by itself asks nothing of the database.
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        streaming = cast("StreamingHttpResponse", response)
        closers: list[Callable[[], None]] = response._resource_closers  # type: ignore[attr-defined]
        closers[:] = map(context.carry, closers)
        content: Any = streaming.streaming_content
        carry = context.carry_async_iterator if streaming.is_async else context.carry_iterator
        streaming.streaming_content = carry(content, context.require_current())
    return response
