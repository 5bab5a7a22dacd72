"""
Which admin sites are there, and who may enter them?

Two: a clinic's, on its own host, and the operators', on the base domain. Both are named
"admin", as each is alone in the URLs of its host. Staff sign in on our own page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from tenancy import operators
from tenancy.middleware import TenantRequest

View = Callable[..., HttpResponseBase]

# Unfold's pages run on Alpine, which evaluates its attributes, and carry styles of their
# own. The policy gives way here and on no other page (docs/decisions/0006).
_relax_policy = csp_update({"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]})


class Site(UnfoldAdminSite):  # type: ignore[misc]  # untyped
    """An admin behind our sign-in page, named after whom it is for."""

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner: View = _relax_policy(super().admin_view(view, cacheable))

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not self.has_permission(request):
                return self._send_away(request, wanted=request.get_full_path())
            return inner(request, *args, **kwargs)

        return guarded

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        wanted = request.GET.get(REDIRECT_FIELD_NAME, reverse("admin:index"))
        return self._send_away(request, wanted=wanted)

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        return LogoutView.as_view(next_page=reverse("accounts:sign_in"))(request)

    def get_urls(self) -> list[Any]:
        # No model says where on the site its rows are, and Django's view that would look
        # answers an id that is no UUID with a 500.
        urls = super().get_urls()
        return [each for each in urls if getattr(each, "name", "") != "view_on_site"]

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        try:
            found: HttpResponseBase = super().search(request, extra_context)
        except InvalidPage as error:  # Unfold asks for the page as it comes
            raise Http404 from error
        return found

    def each_context(self, request: TenantRequest) -> dict[str, Any]:
        name = self._name(request)
        return {**super().each_context(request), "site_title": name, "site_header": name}

    def _send_away(self, request: HttpRequest, *, wanted: str) -> HttpResponseBase:
        """Refuse who is signed in; whoever is not may sign in, and is brought back."""
        if request.user.is_authenticated and not self.has_permission(request):
            operators.denied(request)
            raise PermissionDenied
        return redirect_to_login(wanted, reverse("accounts:sign_in"))

    def _name(self, request: TenantRequest) -> str:
        return f"{request.tenant.name} admin" if request.tenant else "ClinicX operations"


clinic_site = Site()
platform_site = Site()
