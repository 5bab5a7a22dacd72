"""`manage.py suspend_tenant`: turn away an organization's requests and tasks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tenancy import lifecycle
from tenancy.conf import settings
from tenancy.management.organizations import OrganizationCommand
from tenancy.models import Organization


class Command(OrganizationCommand):
    help = (
        "Turn away an organization's requests, with 503 and the reason, and reject its tasks. "
        "Its data stays as it is; `resume_tenant SLUG` serves it again. "
        "Example: suspend_tenant elm-street --reason 'The contract ended in May.'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--reason", default="", help="A sentence for those who ask for its pages."
        )
        parser.add_argument(
            "--maintenance",
            action="store_true",
            help="For some minutes: browsers try again soon, and operators may go in from the "
            "base domain's admin.",
        )

    def change(self, organization: Organization, **options: Any) -> None:
        if options["maintenance"]:
            lifecycle.begin_maintenance(organization, reason=options["reason"])
            done = f"{organization} is in maintenance"
        else:
            lifecycle.suspend(organization, reason=options["reason"])
            done = f"Suspended {organization}"

        seconds = settings.RESOLVER_MEMORY.total_seconds()
        self.say(
            f"{done}. Processes that found it a moment ago serve it for up to {seconds:.0f} s. "
            f"Serve it again with: manage.py resume_tenant {organization.slug}"
        )
