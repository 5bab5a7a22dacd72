"""`manage.py check_schemas`: find the schemas that are not what the migrations make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from tenancy import context, drift, tenants
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.drift import Difference, Repair, Report
from tenancy.errors import TenancyError
from tenancy.management.progress import Bar
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import plan

WIDTH = 80
NAMED = 6
# Of a definition or a statement: a function's body may be a page.
LONGEST = 600

WORDS = {
    "missing": "is missing",
    "changed": "is not as it should be",
    "extra": "should not be there",
}


PLURALS = {
    "differs": "differ",
    "is behind": "are behind",
    "is not there": "are not there",
    "schema differs": "schemas differ",
    "schema is behind": "schemas are behind",
    "schema is not there": "schemas are not there",
    "thing lacks its other half": "things lack their other half",
}


class Command(BaseCommand):
    help = (
        "Compare the tenants' schemas with what the migrations of the code make, and say what "
        "differs and which statements would repair it. Looks for schemas, roles and "
        "organizations that lack their other half, too. The exit status is 1 when anything "
        "differs. Example: check_schemas elm oak --repair"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "slug", nargs="*", help="Check these tenants only, by slug or schema; all without any."
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="Run the statements that lose nothing, in one transaction for each schema.",
        )
        parser.add_argument(
            "--json", action="store_true", help="Write one object in JSON and nothing else."
        )

    def handle(self, *, slug: list[str], repair: bool, **options: Any) -> None:
        began = monotonic()
        try:
            targets = _select(slug)
            report = self._check(targets, with_strays=not slug)
            repairs = self._repair(report) if repair else []
        except TenancyError as error:
            raise CommandError(str(error)) from error
        seconds = monotonic() - began
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(report, repairs, seconds), indent=2))
        else:
            for line in _lines(report, repairs, seconds):
                self.stdout.write(line)
        if left := _count_left(report, repairs):
            raise CommandError(left)

    def _check(self, targets: Sequence[ActiveTenant], *, with_strays: bool) -> Report:
        stream: Any = self.stderr._out
        with Bar(len(targets), stream=stream, what="schemas") as bar:

            def tell(number: int) -> None:
                for _ in range(number):
                    bar.advance()

            return drift.check(targets, with_strays=with_strays, tell=tell)

    def _repair(self, report: Report) -> list[Repair]:
        stream: Any = self.stderr._out
        with Bar(len(report.differing), stream=stream, what="schemas") as bar:
            repairs = []
            for repaired in drift.repair_all(report):
                repairs.append(repaired)
                bar.advance()
        return repairs


def _select(names: list[str]) -> list[ActiveTenant]:
    """Return whom to check, or raise CommandError while nobody can say who there is."""
    connection = connections[settings.DDL_DATABASE]
    with context.override(context.PLATFORM):
        if plan.list_missing(connection, [PUBLIC_SCHEMA]):
            raise CommandError(
                "The public schema is behind the code. Type: manage.py migrate_schemas --shared"
            )
        rows = [tenants.get_by_name(name) for name in names] or tenants.having_schema()
        found = [tenants.as_active(row) for row in rows]
    return [target for target in found if isinstance(target, ActiveTenant)]


# What a person reads


def _lines(report: Report, repairs: list[Repair], seconds: float) -> Iterator[str]:
    yield from _summary(report, seconds)
    if repairs:
        yield from _repair_lines(repairs)
    else:
        for targets, differences in report.groups:
            yield ""
            yield from _group_lines(targets, differences)
        if report.groups:
            yield ""
            yield from _paragraph(_what_to_type(report))
    if report.behind:
        yield ""
        yield from _paragraph(
            f"Behind the code, and not compared: {_names(list(report.behind))}. "
            "Type: manage.py migrate_schemas"
        )
    for stray in report.strays:
        yield ""
        yield from _paragraph(f"{stray.name}: {stray.problem}.")
        yield from _block(stray.remedy, 2)


def _summary(report: Report, seconds: float) -> Iterator[str]:
    numbers = [
        f"{len(report.same)} of {report.compared + len(report.behind) + len(report.gone)} "
        "schemas are as the code makes them"
    ]
    if report.differing:
        numbers.append(_number(len(report.differing), "differs"))
    if report.behind:
        numbers.append(_number(len(report.behind), "is behind"))
    if report.gone:
        numbers.append(_number(len(report.gone), "is not there"))
    yield from _paragraph(f"{', '.join(numbers)} ({seconds:.1f} s).")


def _group_lines(targets: list[ActiveTenant], differences: list[Difference]) -> Iterator[str]:
    number = f"{len(targets)} schemas" if len(targets) > 1 else "1 schema"
    yield from _paragraph(f"{number}: {_names(targets)}")
    for difference in differences:
        yield from _difference_lines(difference)


def _difference_lines(difference: Difference) -> Iterator[str]:
    yield from _paragraph(f"- {difference.thing} {WORDS[difference.what]}", indent=2)
    if difference.what == "changed":
        yield from _block(f"is         {difference.found}", 6, hanging=11)
        yield from _block(f"should be  {difference.wanted}", 6, hanging=11)
    if difference.why:
        yield from _paragraph(f"By hand: {difference.why}", indent=6)
    for statement in difference.statements:
        yield from _block(f"{statement};", 6)


def _repair_lines(repairs: list[Repair]) -> Iterator[str]:
    done: dict[str, list[ActiveTenant]] = {}
    left: dict[tuple[str, Difference], list[ActiveTenant]] = {}
    for repaired in repairs:
        for thing in dict.fromkeys(f"{each.thing} ({each.what})" for each in repaired.done):
            done.setdefault(thing, []).append(repaired.target)
        for difference in repaired.left:
            refusal = repaired.refusals.get(difference.thing, "")
            left.setdefault((refusal, difference), []).append(repaired.target)
    for thing, targets in done.items():
        yield from _paragraph(f"Repaired in {_names(targets)}: {thing}")
    for (refusal, difference), targets in left.items():
        yield ""
        yield from _paragraph(f"Left in {_names(targets)}:")
        yield from _difference_lines(difference)
        if refusal:
            yield from _paragraph(f"PostgreSQL refused: {refusal}", indent=6)


def _what_to_type(report: Report) -> str:
    differences = [each for _, found in report.groups for each in found]
    by_hand = sum(not each.is_repaired for each in differences)
    if by_hand == len(differences):
        return "Nothing of it can be repaired without a decision: see 'By hand'."
    rest = f", but for {by_hand} that are left to you" if by_hand else ""
    return f"These statements are run by: manage.py check_schemas --repair{rest}."


def _names(targets: Sequence[ActiveTenant]) -> str:
    shown = ", ".join(target.schema for target in targets[:NAMED])
    more = len(targets) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _paragraph(text: str, indent: int = 0) -> Iterator[str]:
    yield from _block(text, indent, hanging=2 if text.startswith("- ") else 0)


def _block(text: str, indent: int, hanging: int = 2) -> Iterator[str]:
    """Yield `text` in lines of at most 80 characters; a longer word stays whole."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    first, rest = " " * indent, " " * (indent + hanging)
    for number, line in enumerate(text.splitlines()):
        yield from wrap(
            line,
            WIDTH,
            initial_indent=rest if number else first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )


# What a machine reads, and the exit status


def _as_dict(report: Report, repairs: list[Repair], seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        "same": len(report.same),
        "differing": [
            {
                "schemas": [target.schema for target in targets],
                "differences": [_difference_as_dict(each) for each in differences],
            }
            for targets, differences in report.groups
        ],
        "behind": {target.schema: number for target, number in report.behind.items()},
        "gone": [target.schema for target in report.gone],
        "strays": [vars(stray) for stray in report.strays],
        "repairs": [
            {
                "schema": repaired.target.schema,
                "done": [_difference_as_dict(each) for each in repaired.done],
                "left": [_difference_as_dict(each) for each in repaired.left],
                "refusals": repaired.refusals,
            }
            for repaired in repairs
        ],
    }


def _difference_as_dict(difference: Difference) -> dict[str, Any]:
    return {**vars(difference), "is_repaired": difference.is_repaired}


def _count_left(report: Report, repairs: list[Repair]) -> str:
    """Return what is still not as it should be, "" for nothing."""
    repaired = {each.target for each in repairs if not each.left}
    said = [
        _number(sum(target not in repaired for target in report.differing), "schema differs"),
        _number(len(report.behind), "schema is behind"),
        _number(len(report.gone), "schema is not there"),
        _number(len(report.strays), "thing lacks its other half"),
    ]
    left = ", ".join(filter(None, said))
    return f"{left}." if left else ""


def _number(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else PLURALS[one]}" if number else ""
