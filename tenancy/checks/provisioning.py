"""
Are new tenants made in one message, or slowly, by running all migrations for each?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Warning
from django.db import ProgrammingError

from tenancy.conf import settings
from tenancy.rollout import reference, revision

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def check(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    """Say what was found when the schema of this release was captured, if it was."""
    if connection.alias != settings.DDL_DATABASE:
        return
    for type in revision.list_types():
        fault = _find_fault(connection, type)
        if not fault:
            continue
        waiting = " No schema can wait for one either." if settings.WARM_POOL else ""
        yield Warning(
            f"New tenants are made slowly, by running all migrations: {fault}{waiting}",
            hint=(
                "Let migrations, and those who listen to them, write the same for each tenant. "
                "What depends on the tenant is for a receiver of django-tenants' post_schema_sync."
            ),
            id="tenancy.W055",
        )


def _find_fault(connection: BaseDatabaseWrapper, type: str) -> str:
    try:
        found = reference.find(revision.key(connection, type=type))
    except ProgrammingError:
        return ""  # the public schema is not migrated yet, and migrate_schemas says so
    return found.fault if found else ""
