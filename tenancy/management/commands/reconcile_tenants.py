"""`manage.py reconcile_tenants`: finish or remove what was left."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy import lifecycle, provisioning, tenants
from tenancy.errors import TenancyError
from tenancy.lifecycle import Finding


class Command(BaseCommand):
    help = (
        "Finish what was begun and not finished: make what was requested, go on with what was "
        "killed, delete what was let go when its grace is over, free names that were kept for "
        "long enough, and fill the warm pool. Schemas and roles that nobody has are only "
        "named. May be killed, and run at any time, also twice at once: let it run every night. "
        "Example: reconcile_tenants --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="Of these only; else of all.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Show what would be done, and stop."
        )

    def handle(self, *, slugs: list[str], dry_run: bool, **options: Any) -> None:
        if not tenants.has_slug():
            raise CommandError("TENANT_MODEL is none of tenancy's: its rows have no state.")
        try:
            for slug in slugs:
                provisioning.get_by_slug(slug)
        except TenancyError as error:
            raise CommandError(str(error)) from error

        findings = []
        for finding in lifecycle.reconcile(slugs, dry_run=dry_run):
            findings.append(finding)
            self.stdout.write(f"{finding.subject}: {_outcome(finding)}")
        failed = sum(bool(finding.error) for finding in findings)
        if failed:
            raise CommandError(f"{failed} of {len(findings)} could not be done.")
        if not findings:
            self.stdout.write("Nothing was left to be done.")
        elif dry_run:
            self.stdout.write("Nothing was changed.")


def _outcome(finding: Finding) -> str:
    if finding.error:
        return f"{finding.what}: {finding.error}"
    return f"{finding.what}: done" if finding.is_done else finding.what
