"""
May an operator go into a tenant that is in maintenance, to see whether it works?

On the base domain they ask for a token; the tenant's own host takes it, once and in the body
of a request, and gives a cookie of its own for it. Neither signs anybody in: whoever goes in
still needs an account there. Both are signed, name the tenant, the operator and this one
maintenance, and are worth nothing where it is not in maintenance.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import get_permission_codename, get_user_model
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django_tenants.utils import get_tenant_model

from tenancy import audit, context
from tenancy.models import State
from tenancy.resolvers import split_path
from tenancy.tenants import Tenant

PATH = "/maintenance-entry/"
FIELD = "token"

TOKEN_LIFETIME = timedelta(minutes=1)
COOKIE_LIFETIME = timedelta(hours=1)

# What is signed as one of them is not good as the other.
TOKEN_SALT = "tenancy.maintenance.token"  # noqa: S105  # no secret
COOKIE_SALT = "tenancy.maintenance.cookie"


def issue_token(tenant: Tenant, operator: Any) -> str:
    """Return what lets `operator` into `tenant` for as long as its maintenance lasts."""
    audit.record("organization.maintenance_entry_issued", organization=tenant)
    return signing.dumps(_facts(tenant, operator), salt=TOKEN_SALT)


def entry_url(request: HttpRequest, tenant: Tenant) -> str:
    """Return where the token is to be posted, for a page that `request` got on the base domain."""
    port = urlsplit(f"//{request.get_host()}").port
    return f"{request.scheme}://{tenant.host}{f':{port}' if port else ''}{PATH}"


def is_welcome(request: HttpRequest, tenant: Tenant) -> bool:
    """Tell whether `request` has the cookie of an operator for this maintenance."""
    if tenant.state != State.MAINTENANCE:
        return False
    sealed = request.COOKIES.get(_cookie_name(request), "")
    return _operator_of(sealed, COOKIE_SALT, COOKIE_LIFETIME, tenant) is not None


def enter(request: HttpRequest, tenant: Tenant) -> HttpResponse | None:
    """Return the answer that sets the cookie, if `request` brings a token for this maintenance."""
    if tenant.state != State.MAINTENANCE or request.method != "POST":
        return None
    if split_path(request.path_info)[1] != PATH:
        return None
    sealed = request.POST.get(FIELD, "")
    operator = _operator_of(sealed, TOKEN_SALT, TOKEN_LIFETIME, tenant)
    if operator is None:
        return None
    _record_entry(tenant, operator)
    prefix = request.path_info.removesuffix(PATH)
    response = HttpResponseRedirect(f"{prefix}/")
    response.status_code = 303  # it is to be got, and not posted once more
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        _cookie_name(request),
        signing.dumps(_facts(tenant, operator), salt=COOKIE_SALT),
        max_age=COOKIE_LIFETIME,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _cookie_name(request: HttpRequest) -> str:
    # With this prefix a browser takes it from this very host alone, and only encrypted.
    return "__Host-maintenance" if request.is_secure() else "maintenance"


def _facts(tenant: Tenant, operator: Any) -> dict[str, str]:
    return {"operator": str(operator.pk), **_maintenance(tenant)}


def _maintenance(tenant: Tenant) -> dict[str, str]:
    """Which maintenance of which tenant it is: the next one is another."""
    return {"organization": str(tenant.pk), "since": str(tenant.state_changed_at)}


def _operator_of(sealed: str, salt: str, lifetime: timedelta, tenant: Tenant) -> Any | None:
    """Return whose token or cookie this is, if it is good and they still may; or None."""
    try:
        facts = signing.loads(sealed, salt=salt, max_age=lifetime)
    except signing.BadSignature:
        return None
    if {"operator": facts["operator"], **_maintenance(tenant)} != facts:
        return None
    with context.override(context.PLATFORM, in_transaction=True):
        operator = get_user_model()._default_manager.filter(pk=facts["operator"]).first()
        return operator if operator is not None and may_enter(operator) else None


def may_enter(operator: Any) -> bool:
    """Tell whether somebody of the platform's staff may change organizations; ask there."""
    options = get_tenant_model()._meta
    permission = f"{options.app_label}.{get_permission_codename('change', options)}"
    return bool(operator.is_active and operator.is_staff and operator.has_perm(permission))


def _record_entry(tenant: Tenant, operator: Any) -> None:
    name = f"platform user {operator.pk}: {operator.get_username()}"
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic():
        audit.record("organization.maintenance_entered", organization=tenant, actor=name)
