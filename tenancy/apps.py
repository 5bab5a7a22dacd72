"""The Django application `tenancy`."""

from __future__ import annotations

from django.apps import AppConfig, apps


class TenancyConfig(AppConfig):
    name = "tenancy"
    verbose_name = "Organizations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tenancy import checks, contenttypes, outages, ownership, permissions, sites, tenants
        from tenancy.adoption import stock
        from tenancy.management import unapplied

        checks.register()
        contenttypes.key_by_tenant()
        if apps.is_installed("django.contrib.sites"):
            sites.key_by_tenant()
        if apps.is_installed("django.contrib.auth"):
            from tenancy import operators

            permissions.install()
            operators.connect_signals()
        ownership.install()
        outages.install()
        tenants.connect_signals()
        stock.install()
        unapplied.install()
