"""`manage.py all_tenants_command`: django-tenants' command of this name is refused."""

from __future__ import annotations

from tenancy.management.refusals import RefusedCommand


class Command(RefusedCommand):
    reason = (
        "it stops at the first tenant where something fails, and does not say which are done. Type "
        "for each tenant: manage.py tenant_command SLUG COMMAND"
    )
