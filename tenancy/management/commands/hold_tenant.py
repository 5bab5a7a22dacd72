"""`manage.py hold_tenant`: forbid that an organization is deleted."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tenancy import lifecycle
from tenancy.management.organizations import OrganizationCommand
from tenancy.models import Organization, State


class Command(OrganizationCommand):
    help = (
        "Forbid that anything of an organization is deleted, whatever its state, until "
        "`release_tenant SLUG`. It is served as before. "
        "Example: hold_tenant elm-street --reason 'Court order 12/2026.'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", default="", help="A sentence for other operators.")

    def change(self, organization: Organization, **options: Any) -> None:
        lifecycle.hold(organization, reason=options["reason"])
        left = " What was deleted before is gone." if organization.state == State.DELETING else ""
        self.say(
            f"{organization} is on hold: nothing of it is deleted.{left} "
            f"Lift the hold with: manage.py release_tenant {organization.slug}"
        )
