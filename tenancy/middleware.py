"""
For whom does a request work?
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Any, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings as django_settings
from django.db import Error as DatabaseAPIError
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import get_script_prefix, set_script_prefix
from django.utils.module_loading import import_string
from django_tenants.utils import (
    get_public_schema_urlconf,
    get_tenant_types,
    has_multi_type_tenants,
)

from tenancy import audit, context, maintenance, metrics, outages, resolvers, tenants
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.errors import (
    DatabaseUnavailable,
    InvalidToken,
    TenancyError,
    TenantGone,
    TenantMismatch,
    TenantNotFound,
    TenantUnavailable,
    UnableToRecord,
)
from tenancy.tenants import Tenant

logger = logging.getLogger(__name__)

KeepBelow: TypeAlias = Callable[[HttpResponseBase], HttpResponseBase]


# What Django answers when the database refuses: the second where a session cannot be saved.
FAILURES = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_REQUEST)


class TenantRequest(HttpRequest):
    """A request after TenantMiddleware; on the base domain its tenant is None."""

    tenant: Tenant | None


class TenantMiddleware:
    """
    Work for the tenant whose request it is while the request is answered.

    The base domain works for the platform, with the URLs of PUBLIC_SCHEMA_URLCONF. An
    unknown host is a 404 before anything else runs; a tenant that is not served, a request that
    names two and a token that is not this tenant's get TENANCY_REFUSAL_VIEW. A streaming
    response goes on working for the same tenant, one step at a time, until it is sent or
    dropped.
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
        with outages.noted() as noted:
            target = _resolve(request)
            if isinstance(target, HttpResponseBase):
                return target
            with _working(request, target) as keep_below:
                response: HttpResponseBase = self.get_response(request)
                if response.status_code in FAILURES:
                    response = _explain(request, response, noted)
                return _carry_stream(keep_below(response))

    async def answer(self, request: TenantRequest) -> HttpResponseBase:
        with outages.noted() as noted:
            target = await sync_to_async(_resolve)(request)
            if isinstance(target, HttpResponseBase):
                return target
            with _working(request, target) as keep_below:
                response = await self.get_response(request)
                if response.status_code in FAILURES:
                    response = await sync_to_async(_explain)(request, response, noted)
                return _carry_stream(keep_below(response))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer 503 where the database is away, or the audit log took no record."""
        if unavailable := outages.as_unavailable(error):
            return _refuse_for_now(request, unavailable)
        if not isinstance(error, UnableToRecord):
            return None
        logger.error("%s", error)
        return _refuse(request, error)


def _import_views() -> None:
    """
    Import what answers requests now, with nobody active and at no tenant's path.

    Django would import it during the first request, and a view's `queryset` would then
    belong to whoever asked first. Two settings it makes into addresses at their first use,
    below the path of whoever that is.
    """
    with context.override(None):
        for urlconf in (django_settings.ROOT_URLCONF, _public_urlconf()):
            import_module(urlconf)
    _ = django_settings.STATIC_URL, django_settings.MEDIA_URL


def _public_urlconf() -> str:
    if has_multi_type_tenants():
        return str(get_public_schema_urlconf())
    return getattr(django_settings, "PUBLIC_SCHEMA_URLCONF", django_settings.ROOT_URLCONF)


def _resolve(request: TenantRequest) -> Target | HttpResponseBase:
    """Say on the request whose it is, and return for whom it works, or why it does not."""
    try:
        return _find(request)
    except DatabaseAPIError as error:
        if unavailable := outages.as_unavailable(error):
            return _refuse_for_now(request, unavailable)
        raise


def _find(request: TenantRequest) -> Target | HttpResponseBase:
    try:
        request.tenant = resolvers.resolve(request)
        if request.tenant is not None:
            tenants.check_served(request.tenant)
    except TenantNotFound as error:
        raise Http404 from error
    except TenantUnavailable as error:
        if not maintenance.is_welcome(request, request.tenant):
            return maintenance.enter(request, request.tenant) or _refuse(request, error)
    except (TenantGone, TenantMismatch, InvalidToken) as error:
        return _refuse(request, error)

    target = tenants.as_active(request.tenant) if request.tenant else context.PLATFORM
    if target is context.PLATFORM:
        request.urlconf = _public_urlconf()
    elif has_multi_type_tenants():
        request.urlconf = get_tenant_types()[target.type]["URLCONF"]
    return target


def _explain(
    request: TenantRequest, response: HttpResponseBase, noted: list[DatabaseUnavailable]
) -> HttpResponseBase:
    """Return `response`, which says that something failed, or what says better why."""
    if noted:
        # In a middleware, where no view's error is told: in the user's row or the session.
        return _refuse_for_now(request, noted[-1])
    return _unless_gone(request, response)


def _unless_gone(request: TenantRequest, response: HttpResponseBase) -> HttpResponseBase:
    """
    Return `response`, or what the tenant answers now if it failed because that has changed.

    A tenant may be renamed, closed or deleted between our finding it and a query of the view:
    then its role or its tables are not where they were, and PostgreSQL refuses. Nothing
    was read elsewhere, and whoever asks again is told the truth.
    """
    if request.tenant is None:
        return response
    try:
        tenants.check_unchanged(request.tenant)
    except TenantNotFound as error:
        raise Http404 from error
    except (TenantUnavailable, TenantGone) as error:
        return _refuse(request, error)
    return response


def _refuse_for_now(request: HttpRequest, error: DatabaseUnavailable) -> HttpResponseBase:
    """Answer 503; of the log there is a line for many such answers, and not one for each."""
    outages.count(str(error))
    response = _refuse(request, error)
    response._has_been_logged = True  # type: ignore[attr-defined]  # as Django's log_response
    return response


def _refuse(request: HttpRequest, error: TenancyError) -> HttpResponseBase:
    tenant = getattr(request, "tenant", None)
    metrics.refused(error, tenants.as_active(tenant) if tenant else None)
    refuse = import_string(settings.REFUSAL_VIEW)
    return cast("HttpResponseBase", refuse(request, error))


@contextmanager
def _working(request: TenantRequest, target: Target) -> Iterator[KeepBelow]:
    """Work for `target`; what is recorded meanwhile was done by the user of `request`."""
    address = request.META.get("REMOTE_ADDR")
    with (
        _below_prefix(request) as keep_below,
        context.override(target, tenant=request.tenant),
        audit.acting(
            partial(audit.user_of, request, target), where={"ip": address} if address else {}
        ),
    ):
        yield keep_below


@contextmanager
def _below_prefix(request: HttpRequest) -> Iterator[KeepBelow]:
    """
    Let views and reverse() see a tenant's own path as the root, and cookies stay below it.

    One host serves several tenants then, and one's session cookie would take the place of
    the other's.
    """
    slug, rest = resolvers.split_path(request.path_info)
    if not slug:
        yield lambda response: response
        return

    outer = get_script_prefix()
    prefix = outer.rstrip("/") + request.path_info.removesuffix(rest)

    def keep_below(response: HttpResponseBase) -> HttpResponseBase:
        for cookie in response.cookies.values():
            if cookie["path"] == "/":
                cookie["path"] = f"{prefix}/"
        return response

    request.path_info = rest
    request.META["SCRIPT_NAME"], request.META["PATH_INFO"] = prefix, rest
    set_script_prefix(f"{prefix}/")
    try:
        yield keep_below
    finally:
        set_script_prefix(outer)


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
