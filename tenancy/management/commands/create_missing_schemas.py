"""`manage.py create_missing_schemas`: django-tenants' own, or refused where tenants have a slug."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand
from tenancy.management.stock import unless_own_model


class OwnCommand(RefusedCommand):
    reason = (
        "it makes schemas without roles. `create_tenant` makes a tenant with both, or nothing; "
        "a schema that is gone comes back from a backup."
    )


Command = unless_own_model("create_missing_schemas", OwnCommand)
