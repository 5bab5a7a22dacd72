"""
Whose is this message, and did one of our processes write it so?

A message says for whom it works in a header, and a signature over that, over what decides
what runs when, and over the body as it travels. A header cannot be put on another's body,
nor a message be made by somebody who can write to the broker and has no SECRET_KEY. What
such a person can do is send a message again that was genuine, for the same tenant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.core import signing

from tenancy import context, tenants
from tenancy.context import ActiveTenant, Target
from tenancy.errors import (
    NoActiveTenant,
    TaskRejected,
    TenantGone,
    TenantNotFound,
    TenantUnavailable,
)
from tenancy.rejections import Reason

TENANT = "tenancy_tenant"
SIGNATURE = "tenancy_signature"
PLATFORM = "platform"

CONTENT_TYPE = "application/json"

# Not all headers: a broker adds its own (`redelivered`), and a worker's name is no matter.
SIGNED = (
    TENANT,
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "retries",
    "timelimit",
    "group",
    "group_index",
    "root_id",
    "ignore_result",
)


def owner() -> str:
    """Return what the header says of whoever is active, or raise NoActiveTenant."""
    match context.get_current():
        case None:
            raise NoActiveTenant(
                "No tenant is active, so nobody can say for whom the task is to run; nothing was "
                "queued. Queue it inside `with context.override(organization.as_active()):`, or "
                "`context.override(context.PLATFORM)` for what belongs to no tenant."
            )
        case ActiveTenant(id=None) as tenant:
            raise NoActiveTenant(
                f"A task of {tenant} needs its id, and nothing was queued; activate it with "
                "organization.as_active()."
            )
        case ActiveTenant(id=identity):
            return str(identity)
        case _:
            return PLATFORM


def find(owner: str) -> Target:
    """Return whom the header means, or raise TaskRejected: never anybody else."""
    if owner == PLATFORM:
        return context.PLATFORM
    try:
        return tenants.find(owner)
    except (TenantNotFound, TenantGone) as error:
        raise TaskRejected(str(error), reason=Reason.UNKNOWN_TENANT, tenant=owner) from error
    except TenantUnavailable as error:
        raise TaskRejected(str(error), reason=Reason.SUSPENDED, tenant=owner) from error


def sign(headers: Mapping[str, Any], body: bytes, *, owner: str) -> dict[str, Any]:
    """Return `headers` with the owner and a signature for this body."""
    signed = {**headers, TENANT: owner}
    return {**signed, SIGNATURE: _signer().signature(_digest(signed, body))}


def verify(headers: object, body: bytes, *, content_type: str | None) -> str:
    """Return the owner of a message that came in, or raise TaskRejected. Nothing is decoded."""
    if not isinstance(headers, Mapping) or not isinstance(headers.get(TENANT), str):
        raise TaskRejected("The message names no tenant.", reason=Reason.UNSIGNED)
    if content_type != CONTENT_TYPE:
        raise TaskRejected("The message is not JSON.", reason=Reason.NOT_JSON)
    signature = headers.get(SIGNATURE)
    if not isinstance(signature, str):
        raise TaskRejected("The message is not signed.", reason=Reason.UNSIGNED)
    try:
        _signer().unsign(f"{_digest(headers, body)}:{signature}")
    except signing.BadSignature as error:
        raise TaskRejected(
            "The signature is not ours, or is that of another message.", reason=Reason.FORGED
        ) from error
    owner: str = headers[TENANT]
    return owner


def _digest(headers: Mapping[str, Any], body: bytes) -> str:
    facts = [headers.get(name) for name in SIGNED]
    return sha256(json.dumps([*facts, sha256(body).hexdigest()]).encode()).hexdigest()


def _signer() -> signing.Signer:
    # With SECRET_KEY_FALLBACKS: a key is changed while messages wait.
    return signing.Signer(salt="tenancy.tasks")
