"""
What does the public schema need beside its migrations?

What tenants may read there, the audit log's months to come, and tenants' roles that say whose
they are. All of it is looked after each time that the public schema is migrated, also where
nothing was to be done: whoever deploys need not think of it.
"""

from __future__ import annotations

from django.db import connections

from tenancy import audit, context, router, schemas, tenants
from tenancy.conf import settings


def look_after_public() -> None:
    """Make what is missing, as the owner; nothing changes where nothing does. Idempotent."""
    with context.override(context.PLATFORM, in_transaction=True):
        schemas.grant_readable(
            connections[settings.DDL_DATABASE],
            settings.READABLE_TABLES,
            router.list_writable_tables(),
        )
        rows = tenants.having_schema(using=settings.DDL_DATABASE)
        audit.prepare(dict(rows.values_list("schema_name", "pk")), using=settings.DDL_DATABASE)
