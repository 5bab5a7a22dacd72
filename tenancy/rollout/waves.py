"""
In which portions is a fleet migrated, so that a mistake meets few of it first?
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

PORTION = re.compile(r"(?P<number>\d+)(?P<percent>%?)")


def check(waves: str) -> None:
    """Raise ValueError, saying what to type, unless `waves` is like "1%,10%,100%"."""
    upper_bounds(waves, total=100)
    if waves and waves.split(",")[-1].strip() != "100%":
        raise ValueError(f"The last of the waves is the rest of the fleet: {waves},100%")


def divide(total: int, *, canary: int = 0, waves: str = "") -> list[int]:
    """
    Return how many of `total` schemas each wave has, none of them empty.

    `canary` of them come first. Each of `waves`, numbers or percentages of the whole fleet,
    says up to where a wave goes, and one wave takes what they leave.
    """
    bounds = [canary, *upper_bounds(waves, total=total), total]
    sizes, begun = [], 0
    for bound in bounds:
        if size := max(0, min(bound, total) - begun):
            sizes.append(size)
            begun += size
    return sizes


def upper_bounds(waves: str, *, total: int) -> Sequence[int]:
    """Return after how many schemas each of `waves` ends; a share of few is at least one."""
    return [_upper_bound(portion.strip(), total) for portion in waves.split(",") if waves]


def _upper_bound(portion: str, total: int) -> int:
    match = PORTION.fullmatch(portion)
    if not match or not int(match["number"]):
        raise ValueError(f"A wave is a number of schemas or a share of them, not {portion!r}.")
    number = int(match["number"])
    return math.ceil(total * number / 100) if match["percent"] else number
