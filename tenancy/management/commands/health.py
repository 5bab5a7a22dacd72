"""`manage.py health`: can requests be answered, and what keeps them from it?"""

from __future__ import annotations

import json
import logging
import time
from argparse import ArgumentTypeError
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.live import Live

from tenancy.health import remote
from tenancy.health.monitor import Monitor
from tenancy.management import health
from tenancy.management.health import Look

HERE = "here"
# Whoever looks waits rather than being told that it is late.
PATIENCE_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Show what /health/ready says: PostgreSQL through the pooler, a schema switch, Redis, the "
        "public schema, every clinic's schema, migrations, each with its milliseconds. The exit "
        "status is 1 where requests cannot be answered. Example: health --watch"
    )
    # It says itself what is wrong with the database.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", action="store_true", help="Look again until Ctrl-C.")
        parser.add_argument(
            "--interval",
            type=_seconds,
            default=2.0,
            metavar="SECONDS",
            help="With --watch, for so long from one look to the next; 2 unless given.",
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="Write it for a program; with --watch a line each.",
        )
        parser.add_argument(
            "--url",
            action="append",
            default=[],
            metavar="URL",
            help="Ask the process that answers at http://HOST:PORT, and not PostgreSQL from here; "
            "may be given several times.",
        )

    def handle(self, *, watch: bool, interval: float, url: list[str], **options: Any) -> None:
        for address in url:
            try:
                remote.check_address(address)
            except ValueError as error:
                raise CommandError(str(error)) from error
        self._monitor = Monitor(patience=PATIENCE_SECONDS)
        if options["json"]:
            looks = self._write_json(url, watch=watch, interval=interval)
        else:
            console = health.console(
                self.stdout._out,  # rich writes to a stream itself
                no_color=options["no_color"],
                force_color=options["force_color"],
            )
            looks = self._show(console, url, watch=watch, interval=interval)
        if unready := [look.where for look in looks if not look.is_ready]:
            raise CommandError(f"Not ready: {', '.join(unready)}.", returncode=1)

    def _look(self, addresses: Sequence[str]) -> list[Look]:
        if not addresses:
            return [Look(HERE, self._monitor.readiness().as_facts())]
        with ThreadPoolExecutor(len(addresses)) as pool:
            return list(pool.map(_ask, addresses))

    def _show(
        self, console: Console, addresses: Sequence[str], *, watch: bool, interval: float
    ) -> list[Look]:
        looks = self._look(addresses)
        if not watch:
            console.print(health.draw(looks, at=_now()))
            return looks
        # What is logged meanwhile would be written across the table, which says the same.
        logging.getLogger("tenancy").setLevel(logging.CRITICAL)
        with Live(console=console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(health.draw(looks, at=_now()), refresh=True)
                    time.sleep(interval)
                    looks = self._look(addresses)
            except KeyboardInterrupt:
                return looks

    def _write_json(self, addresses: Sequence[str], *, watch: bool, interval: float) -> list[Look]:
        looks = self._look(addresses)
        try:
            while True:
                told = [_as_facts(look) for look in looks]
                self.stdout.write(
                    json.dumps(told if addresses else told[0], indent=None if watch else 2)
                )
                if not watch:
                    return looks
                self.stdout.flush()
                time.sleep(interval)
                looks = self._look(addresses)
        except KeyboardInterrupt:
            return looks


def _ask(address: str) -> Look:
    try:
        return Look(address, remote.ask(address))
    except remote.NoHealth as error:
        return Look(address, None, str(error))


def _as_facts(look: Look) -> dict[str, Any]:
    if look.where == HERE:
        return dict(look.told or {})
    return {"url": look.where, **(look.told or {"state": "down", "reason": look.why})}


def _now() -> str:
    return f"{timezone.localtime():%H:%M:%S}"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600.")
    return seconds
