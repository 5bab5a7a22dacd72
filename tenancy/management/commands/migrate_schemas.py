"""`manage.py migrate_schemas`: bring the public schema and every tenant's to the code's state."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django_tenants.management.commands import migrate_schemas

from tenancy import context
from tenancy.checks import migrations
from tenancy.conf import settings
from tenancy.errors import RunInProgress, TenantNotFound, UnableToMigrate, UnableToRecord
from tenancy.ledger import MigrationRun
from tenancy.management import runs
from tenancy.management.interrupts import finishing
from tenancy.management.watchers import Log, Screen
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import journal, order, reports, run, waves
from tenancy.rollout.order import Order, Survey
from tenancy.rollout.plan import Goal
from tenancy.rollout.run import Summary

FLAGS = ("fake", "fake_initial", "prune", "run_syncdb")
LAST = 0
INTERRUPTED = 130  # as a shell has it for Ctrl-C


class Command(migrate_schemas.MigrateSchemasCommand):  # type: ignore[misc]  # untyped
    help = (
        "Migrate the public schema (--shared), the tenants' schemas (--tenant), one of them "
        "(--schema tenant_elm or elm), or with no such flag all of them. Schemas that lack "
        "nothing are passed over; one that fails stops no other, and the exit status is 1. "
        "--plan shows what would be done. Ctrl-C finishes what is in flight, and --resume goes on."
    )
    typed = "migrate_schemas"

    def run_from_argv(self, argv: list[str]) -> None:
        self.typed = shlex.join(argv[1:])
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=settings.DDL_DATABASE)
        parser.add_argument(
            "--only", nargs="+", default=[], metavar="SLUG", help="Migrate these tenants alone."
        )
        parser.add_argument(
            "--exclude", nargs="+", default=[], metavar="SLUG", help="Leave these tenants out."
        )
        parser.add_argument(
            "--canary",
            type=_positive,
            default=0,
            metavar="N",
            help="Migrate N tenants first, then ask; where nobody can be asked, stop there.",
        )
        parser.add_argument(
            "--waves",
            default="",
            metavar="1%,10%,100%",
            help="Migrate up to these shares of the tenants, or numbers of them, one wave after "
            "the other; after a wave with failures none follows.",
        )
        parser.add_argument(
            "--jobs",
            type=_positive,
            metavar="N",
            help="Migrate N schemas at once, each on a connection of its own; as many as there "
            "are processors unless given, and at least 2.",
        )
        parser.add_argument(
            "--stop-after-failures", type=_positive, metavar="N", help="Stop when N have failed."
        )
        parser.add_argument(
            "--lock-timeout",
            type=_positive,
            metavar="MS",
            help="Wait for a lock for so many milliseconds, in which requests wait behind the "
            f"migration, then try again later; {Order.lock_timeout} unless given.",
        )
        parser.add_argument(
            "--resume",
            type=_positive,
            nargs="?",
            const=LAST,
            metavar="RUN",
            help="Go on with what this run left and with what failed in it; with the last such "
            "run unless one is given.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Sets sync_public, sync_tenant and schema_name as django-tenants does.
        super(migrate_schemas.MigrateSchemasCommand, self).handle(*args, **options)
        self._check(options)
        try:
            with context.override(context.PLATFORM, in_transaction=True):
                self._obey(options)
        except (RunInProgress, TenantNotFound, UnableToMigrate, UnableToRecord) as error:
            raise CommandError(str(error)) from error

    def _obey(self, options: dict[str, Any]) -> None:
        if options["check_unapplied"]:
            self._check_applied(order.survey(self._order()))
        elif options["plan"]:
            self._plan(self._order())
        else:
            self._tell(self._run())

    # What was typed

    def _check(self, options: dict[str, Any]) -> None:
        if options["database"] != settings.DDL_DATABASE:
            raise CommandError(
                f"--database {options['database']}: only the owner's address, "
                f"{settings.DDL_DATABASE!r}, can migrate; leave the option out."
            )
        try:
            waves.check(options["waves"])
        except ValueError as error:
            raise CommandError(f"--waves {options['waves']}: {error}") from error

    def _order(self) -> Order:
        options = self.options
        only = [*options["only"], *([self.schema_name] if self.schema_name else [])]
        exclude = options["exclude"]
        is_public_meant = not only or PUBLIC_SCHEMA in only
        return Order(
            public=self.sync_public and is_public_meant and PUBLIC_SCHEMA not in exclude,
            tenants=self.sync_tenant and set(only) != {PUBLIC_SCHEMA},
            goal=self._goal(),
            only=[name for name in only if name != PUBLIC_SCHEMA],
            exclude=exclude,
            flags={name: True for name in FLAGS if options[name]},
            canary=options["canary"],
            waves=options["waves"],
            **self._changes(),
        )

    def _goal(self) -> Goal | None:
        app, name = self.options["app_label"], self.options["migration_name"]
        return (app, name) if app else None

    def _changes(self) -> dict[str, Any]:
        """Return what a run that is resumed may be told anew."""
        options = self.options
        given = {
            "jobs": options["jobs"] or options["parallel"],
            "lock_timeout": options["lock_timeout"],
            "stop_after_failures": options["stop_after_failures"],
        }
        return {name: value for name, value in given.items() if value}

    # What is done

    def _run(self) -> Summary:
        watcher = self._watcher()
        try:
            with finishing() as stop:
                if self.options["resume"] is None:
                    return run.start(self._order(), watcher, command=self.typed, stop=stop)
                return run.resume(self._resumed(), watcher, stop=stop, **self._changes())
        except KeyboardInterrupt:
            raise CommandError(
                "Ended at once: what was in flight is as it was. "
                "Go on with: manage.py migrate_schemas --resume",
                returncode=INTERRUPTED,
            ) from None
        finally:
            watcher.close()

    def _watcher(self) -> Log:
        may_ask = self.options["interactive"] and sys.stdin.isatty() and self.stdout.isatty()
        is_watched = self.options["verbosity"] == 1 and sys.stderr.isatty()
        return (Screen if is_watched else Log)(self, may_ask=may_ask)

    def _resumed(self) -> MigrationRun:
        number = self.options["resume"]
        found = reports.find_resumable(number) if journal.is_kept() else None
        if found is None:
            raise CommandError(
                f"There is no run {number}. Type: manage.py show_migration_run"
                if number
                else "There is no run of which anything is left."
            )
        return found

    # What is said

    def _tell(self, summary: Summary) -> None:
        if not summary.results and not summary.pending and not summary.gone:
            self._say([runs.nothing(summary)])
            return
        self._say(runs.table(summary))
        told = list(runs.what_failed(summary))
        if summary.is_interrupted:
            raise CommandError("\n".join(told), returncode=INTERRUPTED)
        if summary.failures:
            raise CommandError("\n".join(told), returncode=1)
        self._say(told)

    def _check_applied(self, found: Survey) -> None:
        if found.behind:
            raise CommandError(runs.check(found), returncode=1)
        self._say([runs.nothing(Summary(schemas=found.schemas))])

    def _plan(self, wanted: Order) -> None:
        found = order.survey(wanted)
        estimate = reports.estimate(found.groups, jobs=wanted.jobs) if journal.is_kept() else None
        is_long = self.options["verbosity"] > 1
        for line in runs.plan(found, wanted, estimate, is_long=is_long):
            self.stdout.write(line)
        for line in runs.findings(migrations.check_only(found.steps_forward())):
            self.stdout.write(line)

    def _say(self, lines: Iterable[str]) -> None:
        if self.options["verbosity"]:
            for line in lines:
                self.stdout.write(line)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is not one or more.")
    return number
