"""
How does a list of many tenants fit a terminal?
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO

from django.template.defaultfilters import filesizeformat

GAP = "  "
ELLIPSIS = "…"

# Columns that are cut keep as much as tells one from the other.
LEAST = 12


def width_of(stream: TextIO) -> int | None:
    """Return how many columns there are, None where nobody watches and nothing need be cut."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def lay_out(
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    right: frozenset[int] = frozenset(),
    elastic: Sequence[int] = (),
) -> list[str]:
    """
    Return a line for each of `rows`, in columns; those in `right` end where their head ends.

    Where it would be wider than `width`, what is too long in the `elastic` columns is cut in
    its middle, the first of them first.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index in elastic if width else ():
        excess = sum(widths) + len(GAP) * (len(widths) - 1) - (width or 0)
        widths[index] -= max(0, min(excess, widths[index] - LEAST))
    return [_line(row, widths, right) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    cells = []
    for index, (text, width) in enumerate(zip(row, widths, strict=True)):
        cut = text if len(text) <= width else _cut(text, width)
        cells.append(cut.rjust(width) if index in right else cut.ljust(width))
    return GAP.join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    """Return `text` without its middle: names of a kind differ at their ends."""
    behind = (width - len(ELLIPSIS)) // 2
    return text[: width - len(ELLIPSIS) - behind] + ELLIPSIS + text[len(text) - behind :]


def spell_size(size: int) -> str:
    """Write so many bytes as people say it, for example 1.5 MB."""
    return str(filesizeformat(size)).replace("\N{NO-BREAK SPACE}", " ")
