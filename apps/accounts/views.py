"""
How staff sign in and out: at a clinic, or, on the base domain, as its operators.

Django's own views do the work: they rotate the session, refuse to send anybody to
another host afterwards, and keep these pages out of every cache.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator

from apps.accounts.forms import SignInForm
from apps.accounts.models import User
from tenancy import limits


@method_decorator(limits.limit("sign-in", methods=("POST",)), name="dispatch")
class SignIn(LoginView):
    authentication_form = SignInForm
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(demo_sign_ins=_list_demo_sign_ins(), **kwargs)


class SignOut(LogoutView):
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        messages.success(request, "You are signed out.")
        return response


def _list_demo_sign_ins() -> list[tuple[str, str]]:
    """Return those of the local stack's sign-ins that exist on this host; elsewhere, none."""
    offered: list[tuple[str, str]] = settings.CLINICX_DEMO_SIGN_INS
    if not offered:
        return []
    usernames = [username for username, _ in offered]
    here = set(
        User.objects.filter(username__in=usernames, is_active=True).values_list(
            "username", flat=True
        )
    )
    return [(username, role) for username, role in offered if username in here]
