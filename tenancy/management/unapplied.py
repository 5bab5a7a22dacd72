"""
What does `runserver` say of migrations that were not applied?

Django asks the schema of whoever is active, and at start nobody is.
"""

from __future__ import annotations

from django.core.management.base import BaseCommand
from django.db import connections

from tenancy import context, tenants
from tenancy.conf import settings
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import plan

SHOWN = 8


def install() -> None:
    """Let every command that warns of missing migrations, whosever it is, ask all schemas."""
    command: type = BaseCommand
    command.check_migrations = warn  # type: ignore[attr-defined]  # Django's own


def warn(command: BaseCommand) -> None:
    """Say which schemas are behind the code; where the owner's address is not known, nothing."""
    if settings.DDL_DATABASE not in connections:
        return
    with context.override(context.PLATFORM):
        behind = _list_behind()
    if behind:
        shown = ", ".join(behind[:SHOWN]) + (" ..." if len(behind) > SHOWN else "")
        command.stdout.write(
            command.style.NOTICE(
                f"\n{len(behind)} of the schemas lack migrations of the code: {shown}.\n"
                "Type: manage.py migrate_schemas"
            )
        )


def _list_behind() -> list[str]:
    connection = connections[settings.DDL_DATABASE]
    # While the public schema lacks any, nobody can say which tenants there are.
    if plan.list_missing(connection, [PUBLIC_SCHEMA]):
        return [PUBLIC_SCHEMA]
    rows = tenants.having_schema(using=settings.DDL_DATABASE)
    names = rows.values_list("schema_name", flat=True)
    return list(plan.list_missing(connection, list(names)))
