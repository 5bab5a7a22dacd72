"""`manage.py rename_schema`: django-tenants' command of this name is refused."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand


class Command(RefusedCommand):
    reason = (
        "it renames the schema and neither its role nor the rights of the role, so that the tenant "
        "could not be served. Choose another name with `create_tenant`, and move the data."
    )
