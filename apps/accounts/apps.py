"""The Django application `accounts`."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    verbose_name = "Staff"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_tenants.signals import schema_migrated

        from apps.accounts import roles

        schema_migrated.connect(roles.after_migration, dispatch_uid="accounts.roles")
