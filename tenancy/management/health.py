"""
How is the health of one process or of several told at a terminal?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tenancy.health.facts import CHECKS, VITAL, State

STYLES = {
    State.UP: "green",
    State.DEGRADED: "yellow",
    State.DOWN: "bold red",
    State.UNKNOWN: "dim",
}

COUNTS = {
    "missing": "{} clinics without a schema",
    "behind": "{} of {asked} schemas behind",
}


@dataclass(frozen=True)
class Look:
    """What was found at `where`; without `told` nobody answered there, and `why` says so."""

    where: str
    told: Mapping[str, Any] | None
    why: str = ""

    @property
    def is_ready(self) -> bool:
        return self.told is not None and not self.told["failed"]


def draw(looks: Sequence[Look], *, at: str) -> RenderableType:
    """Return a table for each of `looks`, with the time at which they were taken."""
    parts: list[RenderableType] = []
    for look in looks:
        parts += [_headline(look, at), *([_table(look.told)] if look.told else []), Text()]
    return Group(*parts[:-1])


def _headline(look: Look, at: str) -> Text:
    if look.told is None:
        said = Text.assemble((f"{look.where} ", "bold"), (look.why, STYLES[State.DOWN]))
        return said.append(f"  {at}", "dim")
    state = State(look.told["state"])
    words = {State.UP: "ready", State.DEGRADED: "ready, degraded"}.get(state, "not ready")
    if look.told["failed"]:
        words = f"{words}: {', '.join(look.told['failed'])}"
    schemas = look.told["schemas"]
    rest = f"{look.told['mode']}, {'?' if schemas is None else f'{schemas:,}'} schemas, {at}"
    said = Text.assemble((f"{look.where} ", "bold"), (words, STYLES[state]))
    return said.append(f"  {rest}", "dim")


def _table(told: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("CHECK", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("MS", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for name in CHECKS:
        check = told["checks"][name]
        state = State(check["state"])
        took = check["milliseconds"]
        table.add_row(
            Text(name.replace("_", " ")),
            Text(state, STYLES[state]),
            "-" if took is None else f"{took:,.1f}",
            Text(_note(name, check), "" if state is State.UP else STYLES[state]),
        )
    return table


def _note(name: str, check: Mapping[str, Any]) -> str:
    said = [check["reason"]] if "reason" in check else []
    for field, words in COUNTS.items():
        if check.get(field):
            said.append(words.format(check[field], **check))
    if not said and name == "migrations" and "asked" in check:
        said.append(f"{check['asked']:,} schemas asked")
    if check["state"] == State.DOWN and name in VITAL:
        said.append("no requests are sent here")
    return "; ".join(said)


def console(stream: Any, *, no_color: bool, force_color: bool) -> Console:
    """Return a console for `stream`, with the colours that Django's options ask for."""
    return Console(
        file=stream,
        no_color=no_color or None,
        force_terminal=True if force_color else None,
        highlight=False,
    )
