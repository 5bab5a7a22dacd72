"""
What do operators do that is recorded?

That they sign in and out on the base domain, or fail to, and what they add, change and delete
in the admin there. Which object and which fields, and no value: those may be personal. What a
clinic's own staff do is the clinic's, and no part of this.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.http import HttpRequest
from django_tenants.utils import get_tenant_model

from tenancy import audit, context
from tenancy.audit import Kind, Outcome
from tenancy.errors import UnableToRecord


def connect_signals() -> None:
    """Record who signs in on the base domain."""
    for signal, receiver in (
        (user_logged_in, _signed_in),
        (user_login_failed, _failed),
        (user_logged_out, _signed_out),
    ):
        signal.connect(receiver, dispatch_uid="tenancy.operators")


def denied(request: HttpRequest) -> None:
    """Record that somebody who is signed in was refused the operators' admin."""
    if _is_platform():
        audit.record("operator.denied", outcome=Outcome.SERIOUS_FAILURE)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if not _is_platform():
        return
    try:
        audit.record("operator.signed_in")
    except UnableToRecord:
        # The session is there by now, and nobody would know of it.
        request.session.flush()
        raise


def _failed(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    if not _is_platform():
        return
    # Only a name that somebody has: people type their passwords there.
    field = get_user_model().USERNAME_FIELD
    username = str(credentials.get(field, ""))
    is_known = (
        "\0" not in username
        and get_user_model()._default_manager.filter(**{field: username}).exists()
    )
    details = {"username": username if is_known else "(nobody's)"}
    audit.record("operator.sign_in_failed", details=details, outcome=Outcome.MINOR_FAILURE)


def _signed_out(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    # Here the request's user is still who they were.
    if _is_platform() and user is not None:
        audit.record("operator.signed_out")


def _is_platform() -> bool:
    return context.get_current() is context.PLATFORM


class RecordingAdmin:
    """
    Mixed into a project's ModelAdmin, before Django's: what operators do in it is recorded.

    In the transaction of the change, as Django's own log of it, which operators can change and
    this one not.
    """

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(obj, Kind.CREATED, _fields(message))
        return super().log_addition(request, obj, message)  # type: ignore[misc]  # mixin

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(obj, Kind.UPDATED, _fields(message))
        return super().log_change(request, obj, message)  # type: ignore[misc]  # mixin

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            _record(obj, Kind.DELETED, {})
        return super().log_deletions(request, queryset)  # type: ignore[misc]  # mixin


DONE = {Kind.CREATED: "added", Kind.UPDATED: "changed", Kind.DELETED: "deleted"}


def _record(obj: Model, kind: Kind, fields: dict[str, list[str]]) -> None:
    if not _is_platform():
        return
    audit.record(
        f"{obj._meta.model_name}.{DONE[kind]}",
        organization=obj if isinstance(obj, get_tenant_model()) else None,
        kind=kind,
        table=obj._meta.db_table,
        pk=obj.pk,
        changed=fields or None,
    )


def _fields(message: Any) -> dict[str, list[str]]:
    """
    Return which fields Django's message says were changed, by "" or the inline's name.

    The message of an inline also names the row, by what it says of itself.
    """
    try:
        parts = json.loads(message) if isinstance(message, str) else message
    except ValueError:
        return {}  # a sentence, as of a new password
    found: dict[str, list[str]] = {}
    for part in parts if isinstance(parts, list) else []:
        for verb, said in part.items():
            name = f"{said['name']} {verb}" if "name" in said else verb
            found.setdefault(name, []).extend(said.get("fields", []))
    return found
