"""`manage.py delete_tenant`: delete an organization and all its data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import provisioning
from tenancy.errors import TenancyError
from tenancy.management.stock import unless_own_model


class OwnCommand(BaseCommand):
    help = (
        "Delete an organization, its schema with all data, and its role. There is no way back: "
        "it asks for the slug once more before it begins."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The organization to delete, e.g. 'elm-street'.")
        parser.add_argument(
            "--confirm", metavar="SLUG", help="The slug once more, for scripts that nobody watches."
        )

    def handle(self, *, slug: str, confirm: str | None, **options: Any) -> None:
        try:
            organization = provisioning.get_by_slug(slug)
            if confirm is None:
                confirm = input(
                    f"This deletes {organization} and every row in schema "
                    f"{organization.schema_name}.\nType {slug} to go on: "
                )
            if confirm != slug:
                raise CommandError(f"You typed {confirm!r} and not {slug!r}: nothing was deleted.")
            provisioning.delete(organization)
        except TenancyError as error:
            raise CommandError(str(error)) from error

        self.stdout.write(f"Deleted {organization} with schema {organization.schema_name}.")


Command = unless_own_model("delete_tenant", OwnCommand)
