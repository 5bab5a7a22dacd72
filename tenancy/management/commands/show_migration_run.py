"""`manage.py show_migration_run`: what became of a run of migrate_schemas."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from tenancy import context
from tenancy.management import runs
from tenancy.rollout import reports
from tenancy.rollout.reports import Report


class Command(BaseCommand):
    help = (
        "Show the last run of migrate_schemas, or another: how far it is, what failed and why, "
        "and what to type next. Each schema is listed with -v 2. Example: show_migration_run 14"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", nargs="?", type=int, help="Its number; the last unless given.")
        parser.add_argument(
            "--failed", action="store_true", help="Name every schema that failed, and no other."
        )
        parser.add_argument("--json", action="store_true", help="Write it for a program.")

    def handle(self, *, run: int | None, failed: bool, **options: Any) -> None:
        with context.override(context.PLATFORM):
            found = reports.find(run)
            if found is None:
                raise CommandError(f"There is no run {run}." if run else "There is no run yet.")
            report = reports.report(found)
            if options["json"]:
                self._write_json(report, only_failed=failed)
            elif failed:
                self._write_entries(report, only_failed=True)
            else:
                self._write(report, is_long=options["verbosity"] > 1)

    def _write(self, report: Report, *, is_long: bool) -> None:
        for line in runs.report(report, is_long=is_long):
            self.stdout.write(line)
        if is_long:
            self.stdout.write("")
            self._write_entries(report)

    def _write_entries(self, report: Report, *, only_failed: bool = False) -> None:
        for entry in reports.list_entries(report.run, only_failed=only_failed):
            self.stdout.write(runs.entry(entry))

    def _write_json(self, report: Report, *, only_failed: bool) -> None:
        told = reports.as_facts(report, only_failed=only_failed)
        self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, indent=2))
