"""
What may each role of a clinic do? Roles are Django groups, in every clinic's schema the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q

from tenancy import context
from tenancy.conf import settings as tenancy_settings

# Role: {application: what it may do there, with every model}. Nothing clinical is ever deleted:
# a wrong entry gets the status entered-in-error.
ROLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "receptionist": {
        "patients": ("view", "add", "change"),
        "scheduling": ("view",),
    },
    "nurse": {
        "patients": ("view", "add", "change"),
        "scheduling": ("view",),
        "chart": ("view", "add", "change"),
        "fhir": ("view",),
    },
    "doctor": {
        "patients": ("view", "add", "change"),
        "scheduling": ("view",),
        "chart": ("view", "add", "change"),
        "fhir": ("view",),
    },
    "billing": {
        "patients": ("view",),
        "scheduling": ("view",),
    },
    "clinic_admin": {
        "accounts": ("view", "add", "change"),
        "patients": ("view", "add", "change"),
        "scheduling": ("view", "add", "change"),
        "chart": ("view",),
        "fhir": ("view",),
    },
}

LABELS = {
    "receptionist": "Receptionist",
    "nurse": "Nurse",
    "doctor": "Doctor",
    "billing": "Billing",
    "clinic_admin": "Clinic admin",
}


def after_migration(sender: Any, *, schema_name: str, **kwargs: Any) -> None:
    """Signal handler: a clinic's schema has just been migrated, so its roles may have changed."""
    if context.is_tenant_active():
        sync(using=tenancy_settings.DDL_DATABASE)


def sync(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Give the active clinic's groups exactly the permissions that ROLES says."""
    with transaction.atomic(using=using):
        for name, allowed in ROLES.items():
            group, _ = Group.objects.using(using).get_or_create(name=name)
            group.permissions.set(_permissions(allowed, using=using))


def _permissions(allowed: Mapping[str, tuple[str, ...]], *, using: str) -> list[Permission]:
    wanted = Q(pk__in=[])
    for application, actions in allowed.items():
        for action in actions:
            wanted |= Q(content_type__app_label=application, codename__startswith=f"{action}_")
    return list(Permission.objects.using(using).filter(wanted))
