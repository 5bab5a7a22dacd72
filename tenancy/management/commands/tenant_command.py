"""`manage.py tenant_command`: run any other command for one tenant."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import context
from tenancy.management import whom, wrapped
from tenancy.names import PUBLIC_SCHEMA

MISSING = (
    "Say for whom and what: tenant_command SLUG COMMAND [OPTIONS], "
    "for example: tenant_command elm clearsessions"
)


class Typed(NamedTuple):
    name: str
    """A slug, or the name of a schema."""

    words: list[str]
    """The command, and what follows it."""


class Command(BaseCommand):
    help = (
        "Run any other command for one tenant, or with --platform for none of them: "
        "tenant_command elm clearsessions. django-tenants' spelling is understood as well: "
        "tenant_command clearsessions --schema tenant_elm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--platform",
            action="store_true",
            help="Work for no tenant, in the public schema; then no SLUG is given.",
        )
        parser.add_argument(
            "-s", "--schema", dest="schema", help="The tenant's schema, in place of SLUG."
        )
        parser.add_argument(
            "words",
            nargs=REMAINDER,
            metavar="SLUG COMMAND ...",
            help="The tenant, the command, and the command's own arguments and options.",
        )

    def handle(
        self, *, platform: bool, schema: str | None, words: list[str], **options: Any
    ) -> None:
        name, words = _read(PUBLIC_SCHEMA if platform else schema, words)
        if not words:
            raise CommandError(MISSING)
        command, *arguments = words
        wrapped.check(command, arguments)
        target = whom.find(name)
        with context.override(target):
            # Its own streams and not the wrappers around them, which would end each part of a line.
            streams = {"stdout": self.stdout._out, "stderr": self.stderr._out}
            call_command(command, *arguments, **streams)


def _read(name: str | None, words: list[str]) -> Typed:
    if name is None and words and words[0] in get_commands():
        name, words = _take_schema(words)
    if name is not None:
        return Typed(name, words)
    if not words:
        raise CommandError(MISSING)
    return Typed(words[0], words[1:])


def _take_schema(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return what django-tenants reads from between the other command's options, and the rest."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-s", "--schema")
    found, rest = parser.parse_known_args(words)
    return found.schema, rest
