"""
How is one schema migrated? With Django's own `migrate`, as the owner of the schema.
"""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.db import DatabaseError
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import get_tenant_base_migrate_command_class

from tenancy import context, process_cache
from tenancy.backend.schema import unused
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.errors import UnableToMigrate
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import upkeep


def schema_of(target: Target) -> str:
    return target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA


def migrate_unused(target: Target) -> None:
    """
    Migrate a schema that is new, in the open transaction, also what is not atomic elsewhere.

    Raise UnableToMigrate as `migrate` does.
    """
    with unused():
        migrate(target)


def migrate(target: Target, *arguments: str, **options: Any) -> None:
    """
    Migrate the schema of `target`, or public for PLATFORM.

    `arguments` and `options` are those of Django's `migrate`. Afterwards django-tenants'
    signal `schema_migrated` is sent while `target` is active, for first data. Raise
    UnableToMigrate naming the schema; inside a transaction nothing of it remains.
    """
    schema = schema_of(target)
    command = get_tenant_base_migrate_command_class()()
    with context.override(target, in_transaction=True):
        schema_pre_migration.send(migrate, schema_name=schema)
        try:
            call_command(
                command,
                *arguments,
                **{"verbosity": 0, **options},
                database=settings.DDL_DATABASE,
                interactive=False,
                skip_checks=True,
            )
            # Some of the tables may be missing when a part is migrated, or backwards.
            if target is context.PLATFORM and not arguments:
                upkeep.look_after_public()
            schema_migrated.send(migrate, schema_name=schema)
        except DatabaseError as error:
            raise UnableToMigrate(f"Schema {schema!r} could not be migrated: {error}") from error
        finally:
            # Content types were made or renamed, or were going to be before it was rolled back.
            process_cache.forget(target)
