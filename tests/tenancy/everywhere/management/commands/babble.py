"""Writes in every way there is, a word at a time, in turns with whoever babbles as well."""

from __future__ import annotations

import sys
from threading import Barrier
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from tenancy import context

TURNS = 5
together = Barrier(1, timeout=20)


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fail", default="")
        parser.add_argument("--ask", action="store_true")
        parser.add_argument("--jobs", type=int)

    def handle(self, *, fail: str, ask: bool, **options: Any) -> None:
        tenant = context.require_current()
        for turn in range(TURNS):
            together.wait()
            self.stdout.write(f"{tenant} {turn} begins,", ending="")
            together.wait()
            print(f" {where()},", end="", flush=True)  # noqa: T201  # as commands do
            together.wait()
            sys.stdout.write(f" {tenant} ends\n")
            self.stderr.write(f"{tenant} warns")
            call_command("shell", "-v0", "-c", f"print('{tenant} calls {turn}')")
        if ask:
            input("Are you sure? ")
        if fail == str(tenant):
            raise CommandError("It is wrong.")
        if fail == "exit":
            sys.exit(7)


def where() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])
