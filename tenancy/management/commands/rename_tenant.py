"""`manage.py rename_tenant`: give an organization another slug, or another name."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tenancy import lifecycle
from tenancy.conf import settings
from tenancy.management.organizations import OrganizationCommand
from tenancy.models import Organization


class Command(OrganizationCommand):
    help = (
        "Give an organization another slug; its schema and its role are renamed with it. It "
        "answers at its new address and no longer at the old one, which nobody else gets for "
        "TENANCY_SLUG_RETIREMENT. Its own domains, files and sessions stay. "
        "Example: rename_tenant elm-street oak-lane --name 'Oak Lane Clinic'"
    )
    slug_help = "The slug that it has, e.g. 'elm-street'."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("new", help="The slug that it gets, e.g. 'oak-lane'.")
        parser.add_argument("--name", help="What people call it from now on.")

    def change(self, organization: Organization, **options: Any) -> None:
        before = organization.host
        lifecycle.rename(organization, slug=options["new"], name=options["name"])
        if organization.host == before:
            self.say(f"{organization.slug} is called {organization}; its address stays.")
            return
        seconds = settings.RESOLVER_MEMORY.total_seconds()
        self.say(
            f"{organization} answers at {organization.host} in schema "
            f"{organization.schema_name}, and no longer at {before}. Processes that found it a "
            f"moment ago may answer 503 for up to {seconds:.0f} s."
        )
