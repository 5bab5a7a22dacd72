"""
What did each client try, and what was it told?

One file a process, a line an event, written before anything else happens: what a process
that was killed had been told is in its file, and what it had not been told is missing.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Event(StrEnum):
    BEGUN = "begun"  # token, clinic, shape
    KEPT = "kept"  # token, marks of the rows: the commit returned
    UNDONE = "undone"  # token: failed before it could commit
    UNCERTAIN = "uncertain"  # token: the answer to its commit was lost
    WRONG_READ = "wrong read"  # a sentence
    LET_IN = "let in"  # a sentence: what should have been refused was not
    UNEXPECTED = "unexpected"  # a sentence: an error that no fault explains
    COUNTED = "counted"  # how many of what


class History:
    """The file of one process; its threads may write at once."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, event: Event, *facts: Any) -> None:
        # One write, so that neither another thread nor SIGKILL can come between.
        os.write(self.file, json.dumps([event, *facts]).encode() + b"\n")


@dataclass
class Attempt:
    """One token's writing. Without an outcome, the process was killed before it was told."""

    clinic: str
    shape: str
    outcome: Event = Event.UNCERTAIN
    marks: frozenset[str] = frozenset()


@dataclass
class Told:
    """Everything that all clients were told."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    wrong_reads: list[str] = field(default_factory=list)
    let_in: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def count(self, outcome: Event) -> int:
        return sum(attempt.outcome == outcome for attempt in self.attempts.values())

    def add(self, event: str, *facts: Any) -> None:
        match Event(event), facts:
            case Event.BEGUN, (token, clinic, shape):
                self.attempts[token] = Attempt(clinic, shape)
            case Event.KEPT, (token, marks):
                self.attempts[token].outcome = Event.KEPT
                self.attempts[token].marks = frozenset(marks)
            case (Event.UNDONE | Event.UNCERTAIN) as outcome, (token,):
                self.attempts[token].outcome = outcome
            case Event.WRONG_READ, (sentence,):
                self.wrong_reads.append(sentence)
            case Event.LET_IN, (sentence,):
                self.let_in.append(sentence)
            case Event.UNEXPECTED, (sentence,):
                self.unexpected.append(sentence)
            case Event.COUNTED, (counts,):
                self.counts.update(counts)


def read(folder: Path) -> Told:
    """Return what the files in `folder` say together."""
    told = Told()
    for path in folder.glob("*.history"):
        for line in path.read_text().splitlines():
            told.add(*json.loads(line))
    return told
