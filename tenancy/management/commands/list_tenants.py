"""`manage.py list_tenants`: how are all organizations?"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from tenancy import tenants
from tenancy.lifecycle import overview
from tenancy.management import tables
from tenancy.models import State

HEAD = ("SLUG", "STATE", "SCHEMA", "SIZE", "BEHIND", "HOLD")


class Command(BaseCommand):
    help = (
        "List all organizations with their state, schema, size on disk, how many migrations "
        "their schema lacks, and whether they are on hold. Those that are deleted are listed "
        "with --state deleted only. Example: list_tenants --state suspended"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--state",
            action="append",
            default=[],
            choices=[str(state) for state in State],
            metavar="STATE",
            help=f"List those in this state only, of {', '.join(State)}; may be given several "
            "times.",
        )
        parser.add_argument("--json", action="store_true", help="A JSON list, for programs.")

    def handle(self, *, state: list[str], json: bool, **options: Any) -> None:
        if not tenants.has_slug():
            raise CommandError("TENANT_MODEL is none of tenancy's: its rows have no state.")
        lines = overview.list_lines(state)
        if json:
            self.stdout.write(_as_json(lines))
            return
        if not lines:
            self.stdout.write(
                "There is none. Make one with: manage.py create_tenant SLUG --name NAME"
            )
            return
        rows = [HEAD, *map(_row, lines)]
        width = tables.width_of(self.stdout)  # type: ignore[arg-type]  # it wraps one
        for text in tables.lay_out(rows, width=width, right=frozenset({3, 4}), elastic=(2, 0)):
            self.stdout.write(text)
        self.stdout.write(f"\n{_sum_up(lines)}")


def _row(line: overview.Line) -> Sequence[str]:
    return (
        line.slug,
        line.state,
        line.schema,
        tables.spell_size(line.size),
        str(line.behind or "-"),
        "held" if line.is_on_hold else "-",
    )


def _sum_up(lines: list[overview.Line]) -> str:
    states = Counter(line.state for line in lines)
    told = ", ".join(f"{states[state]:,} {state}" for state in State if states[state])
    size = tables.spell_size(sum(line.size for line in lines))
    text = f"{len(lines):,} organizations, {size}: {told}."
    if behind := sum(bool(line.behind) for line in lines):
        verb = "is" if behind == 1 else "are"
        text += f"\n{behind:,} of them {verb} behind the code. Type: manage.py migrate_schemas"
    return text


def _as_json(lines: list[overview.Line]) -> str:
    return json.dumps(list(map(dataclasses.asdict, lines)), cls=DjangoJSONEncoder, indent=2)
