"""
How is one organization typed, and what becomes of a refusal?
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import provisioning, tenants
from tenancy.errors import TenancyError
from tenancy.models import Organization


class OrganizationCommand(BaseCommand):
    """Takes a slug, finds whose it is, and turns refusals into sentences."""

    slug_help = "The organization, e.g. 'elm-street'."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help=self.slug_help)

    def handle(self, *, slug: str, **options: Any) -> None:
        if not tenants.has_slug():
            raise CommandError("TENANT_MODEL is none of tenancy's: its rows have no state.")
        try:
            self.change(provisioning.get_by_slug(slug), **options)
        except TenancyError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(f"--reason: {' '.join(error.messages)}") from error

    def change(self, organization: Organization, **options: Any) -> None:
        """Do it; may raise TenancyError, and ValidationError for what `--reason` says."""
        raise NotImplementedError

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
