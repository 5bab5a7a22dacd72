"""
Which command is meant that another one is to run, and does it understand what was typed?
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError


def check(name: str, arguments: Sequence[str]) -> None:
    """Raise CommandError for a command that there is not, or options that it does not take."""
    if name not in get_commands():
        raise CommandError(_unknown(name))
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    command.create_parser("manage.py", name).parse_args(list(arguments))


def _unknown(name: str) -> str:
    near = get_close_matches(name, get_commands())
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "manage.py help lists them."
    return f"There is no command {name!r}. {hint}"
