"""`manage.py all_tenants_command`: run any other command for every tenant at once."""

from __future__ import annotations

import json
import traceback
from argparse import REMAINDER
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich import box
from rich.console import Console
from rich.table import Table

from tenancy import fleet
from tenancy.context import Target
from tenancy.fleet import Output, Result
from tenancy.management import interrupts, whom, wrapped
from tenancy.management.progress import Bar

MISSING = (
    "Say what to run: all_tenants_command COMMAND [OPTIONS], "
    "for example: all_tenants_command clearsessions"
)
# They reach every tenant by themselves, or would be for one of them again and again.
INSTEAD = {
    "all_tenants_command": "all_tenants_command COMMAND",
    "migrate": "migrate_schemas",
    "migrate_schemas": "migrate_schemas",
    "tenant_command": "all_tenants_command COMMAND",
}
INTERRUPTED = 130  # as a shell has it: 128, and the number of SIGINT
NAMED = 6
WIDTH = 80


@dataclass
class Tally:
    """What is remembered of a run: how many there were, and those that failed."""

    done: int = 0
    failures: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Who failed, by why."""

    @property
    def failed(self) -> int:
        return sum(map(len, self.failures.values()))

    def add(self, result: Result[Output]) -> None:
        self.done += 1
        if result.is_failure:
            self.failures[result.why].append(str(result.tenant))


class Command(BaseCommand):
    help = (
        "Run any other command for every tenant that has a schema, several at once. What "
        "stands before the command is ours, what follows is its own: "
        "all_tenants_command --jobs 8 clearsessions -v 2. "
        "One that fails stops no other, and the exit status is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--jobs",
            type=int,
            default=fleet.JOBS,
            metavar="N",
            help=f"Work for N tenants at once, {fleet.JOBS} unless it is said; 1 for a command "
            "that changes what a whole process has, such as its directory.",
        )
        whom.add_selection(parser)
        parser.add_argument(
            "--stop-after-failures",
            type=int,
            default=0,
            metavar="N",
            help="Begin no other tenant once N have failed.",
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="Write an object in JSON for each tenant, a line each, and nothing else.",
        )
        parser.add_argument(
            "--no-public",
            action="store_true",
            help="Leave out the public schema, where the tenant model has a row of it.",
        )
        parser.add_argument(
            "words",
            nargs=REMAINDER,
            metavar="COMMAND ...",
            help="The command, and the command's own arguments and options.",
        )

    def handle(self, *, words: list[str], **options: Any) -> None:
        if options["jobs"] < 1:
            raise CommandError(f"--jobs {options['jobs']}: at least one is worked for at a time.")
        # django-tenants takes this one wherever it stands.
        with_public = not (options["no_public"] or "--no-public" in words)
        command, *arguments = _read([word for word in words if word != "--no-public"])
        targets = whom.select(options, with_public=with_public)
        if not options["json"]:
            self._tell_whom(targets)
        began = monotonic()
        tally, is_interrupted = self._run(command, arguments, targets, options)
        if not options["json"]:
            self._tell_outcome(tally, len(targets), monotonic() - began)
        _end(tally, len(targets), is_interrupted=is_interrupted)

    def _run(
        self, command: str, arguments: list[str], targets: Sequence[Target], options: dict[str, Any]
    ) -> tuple[Tally, bool]:
        """Run it, telling of each tenant; return the tally, and whether Ctrl-C ended it."""
        tally, is_enough = Tally(), False
        # The streams themselves: their wrappers would end each part of a line.
        streams: dict[str, Any] = {"stdout": self.stdout._out, "stderr": self.stderr._out}
        with (
            interrupts.finishing() as stop,
            Bar(len(targets), stream=streams["stderr"]) as bar,
        ):
            for result in fleet.call_command(
                command, *arguments, targets=targets, jobs=options["jobs"], stop=stop
            ):
                tally.add(result)
                bar.advance(note=f"{tally.failed} failed" if tally.failed else "")
                for stream, text in _lines(result, options):
                    bar.write(text, to=streams[stream])
                if 0 < options["stop_after_failures"] <= tally.failed and not is_enough:
                    is_enough = not stop.is_set()
                    stop.set()
            return tally, stop.is_set() and not is_enough

    def _tell_whom(self, targets: Sequence[Target]) -> None:
        if not targets:
            self.stdout.write("There is no tenant to work for.")
        elif closed := fleet.list_closed(targets):
            names = ", ".join(closed[:NAMED]) + (", ..." if len(closed) > NAMED else "")
            self.stdout.write(f"{len(closed)} of them are not served now: {names}.")

    def _tell_outcome(self, tally: Tally, total: int, seconds: float) -> None:
        if tally.failures:
            stream: Any = self.stdout._out
            Console(file=stream, width=WIDTH, highlight=False).print(_table(tally.failures))
        left = total - tally.done
        self.stdout.write(
            f"{tally.done - tally.failed} of {total} tenants done, {tally.failed} failed"
            f"{f', {left} not begun' if left else ''}, in {seconds:.1f} s."
        )


def _read(words: list[str]) -> list[str]:
    """Return the command and its arguments, or raise CommandError saying what is wrong."""
    if not words:
        raise CommandError(MISSING)
    if words[0] in INSTEAD:
        raise CommandError(
            f"{words[0]!r} is not for one tenant at a time. Type: manage.py {INSTEAD[words[0]]}"
        )
    wrapped.check(words[0], words[1:])
    return words


def _lines(result: Result[Output], options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is to be told of a tenant, and on which stream."""
    if options["json"]:
        return [("stdout", json.dumps(_as_dict(result)) + "\n")]
    output = result.value or Output()
    told = [("stdout", output.stdout), ("stderr", output.stderr)]
    if result.error and options["traceback"]:
        told.append(("stderr", "".join(traceback.format_exception(result.error))))
    told.append(("stderr", f"failed: {result.why}") if result.is_failure else ("stdout", "done"))
    return [
        (stream, "".join(f"{result.tenant}: {line}\n" for line in text.splitlines()))
        for stream, text in told
        if text
    ]


def _as_dict(result: Result[Output]) -> dict[str, Any]:
    output = result.value or Output()
    return {
        "tenant": str(result.tenant),
        "schema": result.tenant.schema_name,
        "is_done": not result.is_failure,
        "error": result.why or None,
        "seconds": round(result.seconds, 3),
        "stdout": output.stdout,
        "stderr": output.stderr,
    }


def _table(failures: dict[str, list[str]]) -> Table:
    """Return who failed and why, the most frequent cause first."""
    table = Table(box=box.SIMPLE_HEAD, width=WIDTH)
    table.add_column("Failed", justify="right")
    table.add_column("Tenants", ratio=2)
    table.add_column("Why", ratio=3)
    for why, names in sorted(failures.items(), key=lambda item: -len(item[1])):
        shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
        table.add_row(str(len(names)), shown, why)
    return table


def _end(tally: Tally, total: int, *, is_interrupted: bool) -> None:
    if is_interrupted:
        left = f"{total - tally.done} of {total}"
        raise CommandError(f"Interrupted, with {left} not begun.", returncode=INTERRUPTED)
    if tally.failures:
        raise CommandError(f"It failed for {tally.failed} of {total} tenants.")
