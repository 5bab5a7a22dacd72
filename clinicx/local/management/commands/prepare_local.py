"""`manage.py prepare_local`: bring the local stack's database up to date, demo clinics included."""

from __future__ import annotations

import io
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from apps.accounts.models import User
from clinicx.local import console
from clinicx.local.stack import CLINICS
from tenancy import context
from tenancy.models import Organization

OPERATOR = "operator"
PASSWORD = "clinicx"  # noqa: S105  # everybody knows it; the server listens on 127.0.0.1 only


class Command(BaseCommand):
    help = (
        "Migrate every schema, then make what is missing of the demo: two clinics, their "
        "people and patients, the operator. What is there already is left as it is."
    )
    # One start of Django for all steps; migrate_schemas does the checks.
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        with console.step("Schemas"):
            _call("migrate_schemas")
        with context.override(context.PLATFORM):
            existing = set(Organization.objects.values_list("slug", flat=True))
            _ensure_operator()
        for slug, name in CLINICS.items():
            if slug not in existing:
                with console.step(f"{name}: a schema of its own"):
                    _call("create_tenant", slug, name=name)
            with console.step(f"{name}: people and patients"):
                _call("seed_demo", slug)


def _call(command: str, *arguments: str, **options: Any) -> None:
    """Run another command without what it would say on success."""
    call_command(command, *arguments, stdout=io.StringIO(), **options)


def _ensure_operator() -> None:
    if not User.objects.filter(username=OPERATOR).exists():
        User.objects.create_superuser(OPERATOR, password=PASSWORD)
