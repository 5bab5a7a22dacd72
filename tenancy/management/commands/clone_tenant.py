"""`manage.py clone_tenant`: django-tenants' command of this name is refused."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand


class Command(RefusedCommand):
    reason = (
        "it copies a schema without a role, so that nobody could be served from the copy. Make a "
        "tenant with `create_tenant SLUG --name NAME`."
    )
