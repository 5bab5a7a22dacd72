"""`manage.py clone_tenant`: django-tenants' own, or refused where tenants have a slug."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand
from tenancy.management.stock import unless_own_model


class OwnCommand(RefusedCommand):
    reason = (
        "it copies a schema without a role, so that nobody could be served from the copy. Make a "
        "tenant with `create_tenant SLUG --name NAME`."
    )


Command = unless_own_model("clone_tenant", OwnCommand)
