"""
For whom does a request work?
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings as django_settings
from django.http import Http404, HttpRequest, HttpResponseBase

from tenancy import context, resolvers
from tenancy.errors import TenantNotFound
from tenancy.models import Organization


class TenantRequest(HttpRequest):
    """A request after TenantMiddleware; on the base domain its tenant is None."""

    tenant: Organization | None


class TenantMiddleware:
    """
    Work for the organization whose host was asked for while the request is answered.

    The base domain works for the platform, with the URLs of PUBLIC_SCHEMA_URLCONF. An
    unknown host is a 404 before anything else runs.
    """

    def __init__(self, get_response: Callable[[TenantRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponseBase:
        try:
            request.tenant = resolvers.resolve(request)
        except TenantNotFound as error:
            raise Http404 from error

        if request.tenant is None:
            request.urlconf = django_settings.PUBLIC_SCHEMA_URLCONF
            target: context.Target = context.PLATFORM
        else:
            target = request.tenant.as_active()
        with context.override(target):
            return self.get_response(request)
