"""The Django application `tenancy`."""

from __future__ import annotations

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "tenancy"
    verbose_name = "Organizations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tenancy import checks, contenttypes, ownership, tenants

        checks.register()
        contenttypes.key_by_tenant()
        ownership.install()
        tenants.connect_signals()
