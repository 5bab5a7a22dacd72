"""`manage.py resume_tenant`: serve a suspended organization again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import provisioning
from tenancy.errors import TenancyError


class Command(BaseCommand):
    help = "Serve a suspended organization again. Example: resume_tenant elm-street"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The organization, e.g. 'elm-street'.")

    def handle(self, *, slug: str, **options: Any) -> None:
        try:
            organization = provisioning.get_by_slug(slug)
        except TenancyError as error:
            raise CommandError(str(error)) from error
        provisioning.resume(organization)

        self.stdout.write(f"{organization} is served again.")
