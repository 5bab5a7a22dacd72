"""`manage.py create_missing_schemas`: django-tenants' command of this name is refused."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand


class Command(RefusedCommand):
    reason = (
        "it makes schemas without roles. `create_tenant` makes a tenant with both, or nothing; "
        "a schema that is gone comes back from a backup."
    )
