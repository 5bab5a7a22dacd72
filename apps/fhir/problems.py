"""
What keeps a file from being imported, and where in it that is.

A reason names elements and code lists, never what a record says: reports are read,
mailed and logged by people who may not know the patient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason; `entry` counts from 0 in a bundle, `line` from 1 in NDJSON."""

    reason: str
    path: str = ""
    entry: int | None = None
    line: int | None = None
    # Another file that comes later may bring what is missing here.
    is_dangling: bool = False

    def __str__(self) -> str:
        place = ""
        if self.entry is not None:
            place = f"entry[{self.entry}] "
        elif self.line is not None:
            place = f"line {self.line} "
        return f"{place}{self.path}: {self.reason}" if self.path else f"{place}{self.reason}"


def at(resource_type: str, steps: Iterable[str | int]) -> str:
    """Return where in a resource something is, as FHIRPath writes it."""
    path = resource_type
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            # A name that is no element's came from the file, and may be anything.
            path += f".{step}" if step.isalnum() and len(step) <= 64 else ".?"
    return path
