"""`manage.py shell`: Django's, for one tenant or for the platform."""

from __future__ import annotations

from typing import Any, cast

from django.core.management.base import CommandParser
from django.core.management.commands import shell
from django.db import DEFAULT_DB_ALIAS, connections

from tenancy import context
from tenancy.backend.base import DatabaseWrapper
from tenancy.management import whom
from tenancy.names import PUBLIC_SCHEMA

NOBODY = (
    "Nobody is active, and SQL will be refused. Start with --tenant SLUG or --platform, or say "
    "`with context.override(...):`."
)


class Command(shell.Command):
    help = (
        f"{shell.Command.help} With --tenant SLUG it works for that tenant, with --platform for "
        "none of them, and says so before it begins. Example: shell --tenant elm"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whom.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        with context.override(whom.from_options(options)):
            super().handle(**options)

    def get_auto_imports(self) -> list[str]:
        return ["tenancy.context", *(super().get_auto_imports() or ())]

    def get_namespace(self, **options: Any) -> dict[str, Any]:
        namespace: dict[str, Any] = super().get_namespace(**options)
        if options.get("verbosity", 0) > 0:
            self.stdout.write(_who_is_active(), self.style.WARNING, ending="\n\n")
        return namespace


def _who_is_active() -> str:
    target = context.get_current()
    if target is None:
        return NOBODY
    binding = cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS]).binding_for(target)
    where = "the public schema" if binding.path[0] == PUBLIC_SCHEMA else binding.path[0]
    return f"Working for {target}, in {where} as {binding.role}."
