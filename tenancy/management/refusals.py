"""
Which of django-tenants' commands would leave a tenant without its role or its rights?
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class RefusedCommand(BaseCommand):
    """Takes whatever is typed, and says what to type instead."""

    reason: str
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self.help = self._message
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs="*", help="Whatever django-tenants' own takes.")

    def run_from_argv(self, argv: list[str]) -> None:
        known = {"-h", "--help", "--traceback"}
        super().run_from_argv([*argv[:2], *(each for each in argv[2:] if each in known)])

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError(self._message)

    @property
    def _message(self) -> str:
        return f"django-tenants' command of this name is refused: {self.reason}"
