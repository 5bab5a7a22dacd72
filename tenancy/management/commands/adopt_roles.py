"""`manage.py adopt_roles`: roles and rights for a database that stock django-tenants made."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from tenancy.adoption import handover, plan, verify
from tenancy.adoption.catalogue import Server
from tenancy.adoption.plan import Plan, Step
from tenancy.conf import settings
from tenancy.errors import UnableToAdopt

# Nobody needs to see the progress of what is over.
PATIENCE_SECONDS = 2
BAR = 30


class Command(BaseCommand):
    help = (
        "Give the schemas of a database that stock django-tenants made their PostgreSQL roles. "
        "Without --apply nothing is changed, and what would be is shown. It can be killed and run "
        "again. The project may go on working meanwhile, with its settings of before; when it runs "
        "with the new ones, --release takes the former owner's rights. "
        "Example: adopt_roles --superuser-url postgres://postgres:PASSWORD@localhost/postgres"
    )
    # They ask the address whose login is made here.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--superuser-url",
            default=os.environ.get("DATABASE_SUPERUSER_URL"),
            help="A superuser's address, direct and not a pooler's; DATABASE_SUPERUSER_URL unless "
            "given, which no list of processes shows.",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--apply", action="store_true", help="Do it, and verify it.")
        what.add_argument(
            "--release",
            action="store_true",
            help="Take from the former owner what it has of the tables: the old settings stop "
            "working.",
        )

    def handle(
        self, *, superuser_url: str | None, apply: bool, release: bool, **options: Any
    ) -> None:
        if not superuser_url:
            raise CommandError(
                "Say who makes the roles: --superuser-url postgres://postgres:PASSWORD@HOST/postgres"
            )
        try:
            with plan.connect(superuser_url) as server:
                found = plan.make(server)
                self._show(found)
                if found.problems:
                    raise CommandError(
                        f"{len(found.problems)} problems stand in the way; nothing was changed."
                    )
                if release:
                    self._release(server, found)
                elif apply:
                    self._apply(server, found, superuser_url)
                else:
                    self.stdout.write("\nNothing was changed. To do it, add --apply.")
        except UnableToAdopt as error:
            raise CommandError(str(error)) from error

    def _show(self, found: Plan) -> None:
        write = self.stdout.write
        write(f"Database {plan.database_name()}, roles {found.prefix}_..., owner {found.owner}")
        write(f"  was owned by   {', '.join(found.former_owners) or 'nobody else'}")
        width = max(len(step.schema) for step in found.steps)
        for step in found.steps:
            write(f"  {step.schema:{width}}  {step}")
        done = sum(step.is_done for step in found.tenants)
        write(f"Tenants: {len(found.tenants)}, done: {done}.")
        for warning in found.warnings:
            write(self.style.WARNING(f"Mind: {warning}"))
        for problem in found.problems:
            self.stderr.write(self.style.ERROR(f"Problem: {problem}"))

    def _apply(self, server: Server, found: Plan, superuser_url: str) -> None:
        handover.begin(server, found)
        progress = _Progress(self.stdout._out, len(found.tenants))
        for step in handover.adopt(server, found):
            progress.advance(step)
        progress.end()

        failures = list(verify.list_failures(server, found, superuser_url))
        if failures:
            raise CommandError("It is done, and not as it should be:\n  " + "\n  ".join(failures))
        self.stdout.write(
            self.style.SUCCESS(
                "\nDone. Tried as the application logs in: each tenant's role reads its own schema "
                "and not its neighbour's."
            )
        )
        self.stdout.write(self._next_step(found))

    def _next_step(self, found: Plan) -> str:
        addresses = django_settings.DATABASES
        app, ddl = addresses[DEFAULT_DB_ALIAS], addresses[settings.DDL_DATABASE]
        former = ", ".join(found.former_owners) or "the login of before"
        return (
            f"The logins {app['USER']} and {ddl['USER']} have the passwords of DATABASES; a pooler "
            f"wants the first in its list of users.\n"
            f"Next: manage.py check --database default --database {settings.DDL_DATABASE}, then "
            f"migrate_schemas, then start the project with these settings.\n"
            f"To go back, start it with those of before: {former} still has all rights. When "
            "nobody wants to: manage.py adopt_roles --release"
        )

    def _release(self, server: Server, found: Plan) -> None:
        undone = [step.schema for step in found.tenants if not step.is_done]
        if undone:
            raise CommandError(f"{len(undone)} schemas are not done: adopt_roles --apply first.")
        former = handover.release(server, found)
        if former:
            self.stdout.write(f"{', '.join(former)} may do nothing here any more.")
        else:
            self.stdout.write("Nobody has the owner's rights beside the owner; nothing to take.")


class _Progress:
    """A bar on a terminal, lines elsewhere; nothing of what is quickly over."""

    def __init__(self, stream: Any, total: int) -> None:
        self.stream, self.total = stream, total
        self.done = 0
        self.started = self.shown = time.monotonic()
        self.is_terminal = stream is sys.stdout and stream.isatty()

    def advance(self, step: Step) -> None:
        self.done += 1
        now = time.monotonic()
        pause = 0.1 if self.is_terminal else PATIENCE_SECONDS
        if now - self.started < PATIENCE_SECONDS or now - self.shown < pause:
            return
        self.shown = now
        if self.is_terminal:
            bar = "#" * (BAR * self.done // self.total)
            self.stream.write(f"\r[{bar:{BAR}}] {self.done}/{self.total} {step.schema[:30]:30}")
        else:
            self.stream.write(f"{self.done}/{self.total} {step.schema}\n")
        self.stream.flush()

    def end(self) -> None:
        if self.is_terminal and self.shown != self.started:
            self.stream.write("\n")
