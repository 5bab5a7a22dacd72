"""`manage.py dbshell`: psql with the schema and the role of one tenant, or of the platform."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.core.management.base import CommandParser
from django.core.management.commands import dbshell
from django.db import connections

from tenancy import context
from tenancy.backend.base import DatabaseWrapper
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.management import whom

LOGIN_ALONE = (
    "Nobody is active: the login by itself may read nothing. "
    "Start with --tenant SLUG or --platform."
)


class Command(dbshell.Command):
    help = (
        f"{dbshell.Command.help} With --tenant SLUG it has that tenant's schema and role, with "
        "--platform those of the platform, and goes to PostgreSQL directly, past any pooler. "
        "Example: dbshell --tenant elm"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        whom.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        target = whom.from_options(options)
        if target is None:
            self.stderr.write(LOGIN_ALONE)
            super().handle(**options)
            return
        with context.override(target), _bound(options["database"], target):
            super().handle(**options)


@contextmanager
def _bound(alias: str, target: Target) -> Iterator[None]:
    """
    Have psql's session bound from its first moment on.

    A pooler would take no such options and share the session, hence the owner's address,
    which is direct, with this one's login.
    """
    outer = cast("DatabaseWrapper", connections[alias])
    binding = outer.binding_for(target)
    direct = outer.copy()
    if settings.DDL_DATABASE in connections:
        owners = connections[settings.DDL_DATABASE].settings_dict
        direct.settings_dict |= {name: owners[name] for name in ("HOST", "PORT")}
    session = {"search_path": ",".join(binding.path)}
    if binding.role is not None:
        session["role"] = binding.role
    options = " ".join(f"-c {name}={_escape(value)}" for name, value in session.items())
    before = os.environ.get("PGOPTIONS")
    connections[alias], os.environ["PGOPTIONS"] = direct, options
    try:
        yield
    finally:
        connections[alias] = outer
        if before is None:
            del os.environ["PGOPTIONS"]
        else:
            os.environ["PGOPTIONS"] = before


def _escape(value: str) -> str:
    """PostgreSQL splits the options at spaces, unless a backslash is in front."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
