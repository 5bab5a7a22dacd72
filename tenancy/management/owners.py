"""
Which of Django's commands ask the router for tables, and are told of none but by the owner?

Left alone they would find nothing to do, and say that all is done.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from tenancy import context
from tenancy.conf import settings


class OwnersCommand(BaseCommand):
    """Mixed into a command of Django's: it works at the owner's address, for whoever is active."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=settings.DDL_DATABASE)

    def execute(self, *args: Any, **options: Any) -> str | None:
        context.require_current()
        database = options["database"]
        if database != settings.DDL_DATABASE:
            raise CommandError(
                f"--database {database}: only the owner's address, {settings.DDL_DATABASE!r}, "
                "knows which tables a tenant has; leave the option out."
            )
        if database not in connections:
            raise CommandError(
                f"There is no address of the owner: DATABASES[{database!r}] is missing."
            )
        return super().execute(*args, **options)
