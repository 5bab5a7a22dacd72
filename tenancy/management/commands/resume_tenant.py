"""`manage.py resume_tenant`: serve an organization again."""

from __future__ import annotations

from typing import Any

from tenancy import lifecycle
from tenancy.management.organizations import OrganizationCommand
from tenancy.models import Organization


class Command(OrganizationCommand):
    help = (
        "Serve an organization again that is suspended, in maintenance, or let go and not "
        "deleted yet. Example: resume_tenant elm-street"
    )

    def change(self, organization: Organization, **options: Any) -> None:
        lifecycle.resume(organization)
        self.say(f"{organization} is served again.")
