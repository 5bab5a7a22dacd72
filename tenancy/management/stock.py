"""
Which of django-tenants' commands serve a project that has a tenant model of its own?

Their schemas and roles are made at the owner's address, as `tenancy.adoption.stock` has it;
what they ask of the tenants themselves is the platform's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.core.management.base import BaseCommand

from tenancy import context, tenants


class OnPlatform(BaseCommand):
    """Mixed in before a command: it begins with the platform active, and ends as it began."""

    def run_from_argv(self, argv: list[str]) -> None:
        with context.override(context.PLATFORM):
            super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        with context.override(context.PLATFORM):
            return super().execute(*args, **options)


def unless_own_model(name: str, ours: type[BaseCommand]) -> type[BaseCommand]:
    """Return `ours` where tenants have a slug as ours have, else django-tenants' command."""
    if tenants.has_slug():
        return ours
    theirs = import_module(f"django_tenants.management.commands.{name}").Command
    return type("Command", (OnPlatform, theirs), {"__doc__": theirs.__doc__})
