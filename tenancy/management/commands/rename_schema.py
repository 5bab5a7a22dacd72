"""`manage.py rename_schema`: django-tenants' own, or refused where tenants have a slug."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand
from tenancy.management.stock import unless_own_model


class OwnCommand(RefusedCommand):
    reason = (
        "it renames the schema and neither its role nor the rights of the role, so that the tenant "
        "could not be served. Type: rename_tenant OLD NEW"
    )


Command = unless_own_model("rename_schema", OwnCommand)
