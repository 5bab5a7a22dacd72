"""
What may each role of a clinic do? Roles are Django groups, in every clinic's schema the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, transaction

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
    """
    Give the active clinic's groups exactly the permissions that ROLES says.

    Three queries where they have them already, as every migrated schema is asked.
    """
    through = Group.permissions.through
    with transaction.atomic(using=using, savepoint=False):
        groups = _groups(using)
        grants = through._default_manager.using(using).filter(group__in=groups.values())
        held = {(group, permission): pk for pk, group, permission in grants.values_list()}
        wanted = {(groups[role], permission) for role, permission in _permissions(using)}
        if missing := wanted - held.keys():
            through._default_manager.using(using).bulk_create(
                through(group_id=group, permission_id=permission)
                for group, permission in sorted(missing)
            )
        if surplus := held.keys() - wanted:
            grants.filter(pk__in=[held[each] for each in surplus]).delete()


def _groups(using: str) -> dict[str, int]:
    """Return the number of each role's group, made where it is missing."""
    groups = Group.objects.using(using).filter(name__in=ROLES)
    found = dict(groups.values_list("name", "pk"))
    if missing := [Group(name=role) for role in ROLES if role not in found]:
        Group.objects.using(using).bulk_create(missing)
        found |= {group.name: group.pk for group in missing}
    return found


def _permissions(using: str) -> Iterator[tuple[str, int]]:
    """Yield each role with the number of each permission that it has."""
    applications = {application for allowed in ROLES.values() for application in allowed}
    permissions = Permission.objects.using(using).filter(content_type__app_label__in=applications)
    known = list(permissions.order_by().values_list("pk", "content_type__app_label", "codename"))
    for role, allowed in ROLES.items():
        for pk, application, codename in known:
            if codename.partition("_")[0] in allowed.get(application, ()):
                yield role, pk
