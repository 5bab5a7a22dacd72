"""`manage.py create_tenant`: bring an organization into service."""

from __future__ import annotations

from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import provisioning
from tenancy.errors import TenancyError
from tenancy.management.progress import told_when_slow
from tenancy.management.stock import unless_own_model

SLOW = (
    "Making {name} ... The first one of a release takes longer: its migrations are run to find "
    "out what a new schema looks like."
)


class OwnCommand(BaseCommand):
    help = (
        "Create an organization with its own PostgreSQL schema and role. All of it or nothing "
        "is made; it answers at SLUG.<base domain> at once. "
        "Example: create_tenant elm-street --name 'Elm Street Clinic'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="The first part of its address, e.g. 'elm-street'.")
        parser.add_argument("--name", required=True, help="What people call it.")
        parser.add_argument("--domain", help="A host of its own, e.g. 'praxis.example.org'.")

    def handle(self, *, slug: str, name: str, domain: str | None, **options: Any) -> None:
        began = monotonic()
        try:
            with told_when_slow(SLOW.format(name=name), write=self.stdout.write):
                organization = provisioning.provision(slug=slug, name=name, domain=domain)
        except TenancyError as error:
            raise CommandError(str(error)) from error

        hosts = " and ".join([organization.host, *([domain] if domain else [])])
        self.stdout.write(
            f"Created {organization} in schema {organization.schema_name} in "
            f"{monotonic() - began:.1f} s; it answers at {hosts}."
        )


Command = unless_own_model("create_tenant", OwnCommand)
