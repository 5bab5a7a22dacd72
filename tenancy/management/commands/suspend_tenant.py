"""`manage.py suspend_tenant`: turn away an organization's requests and tasks."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import provisioning
from tenancy.conf import settings
from tenancy.errors import TenancyError


class Command(BaseCommand):
    help = (
        "Turn away an organization's requests, with 503 and the reason, and reject its tasks. "
        "Its data stays as it is; `resume_tenant SLUG` serves it again. "
        "Example: suspend_tenant elm-street --reason 'The contract ended in May.'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The organization, e.g. 'elm-street'.")
        parser.add_argument(
            "--reason", default="", help="A sentence for those who ask for its pages."
        )

    def handle(self, *, slug: str, reason: str, **options: Any) -> None:
        try:
            organization = provisioning.get_by_slug(slug)
            provisioning.suspend(organization, reason=reason)
        except TenancyError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(f"--reason: {' '.join(error.messages)}") from error

        seconds = settings.RESOLVER_MEMORY.total_seconds()
        self.stdout.write(
            f"Suspended {organization}. Processes that found it a moment ago serve it for up to "
            f"{seconds:.0f} s. Serve it again with: manage.py resume_tenant {slug}"
        )
