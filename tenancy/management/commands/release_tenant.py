"""`manage.py release_tenant`: lift the hold on an organization."""

from __future__ import annotations

from typing import Any

from tenancy import lifecycle
from tenancy.management.organizations import OrganizationCommand
from tenancy.models import Organization, State


class Command(OrganizationCommand):
    help = (
        "Lift the hold on an organization: it may be deleted again. A deletion that the hold "
        "kept from happening goes on with `reconcile_tenants`. Example: release_tenant elm-street"
    )

    def change(self, organization: Organization, **options: Any) -> None:
        lifecycle.release(organization)
        self.say(f"{organization} is no longer on hold.{_what_is_next(organization)}")


def _what_is_next(organization: Organization) -> str:
    if organization.state == State.DELETING:
        return f" Go on deleting it with: manage.py reconcile_tenants {organization.slug}"
    if organization.state == State.OFFBOARDING and organization.delete_after:
        return f" It is deleted after {organization.delete_after:%Y-%m-%d %H:%M %Z}."
    return ""
