"""
Does what lies in the tables agree with what the clients were told?

Read from outside, clinic by clinic, by a superuser who asks no backend of ours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from psycopg import sql

from tenancy.testing.leaks.catalogue import Server
from tests.isolation.chaos.history import Attempt, Event, Told
from tests.isolation.workload import SAME_KEYS, TABLE

ROWS = "SELECT id, family, given, suffix FROM {table}"

Row = tuple[UUID, str, str, str]


@dataclass
class Verdict:
    """A sentence for each thing that must not be; all lists are empty when all is well."""

    wrong_reads: list[str] = field(default_factory=list)
    wrong_writes: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    visible: list[str] = field(default_factory=list)
    halved: list[str] = field(default_factory=list)
    let_in: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    uncertain_present: int = 0

    def count(self) -> dict[str, int]:
        return {
            "wrong reads": len(self.wrong_reads),
            "wrong writes": len(self.wrong_writes),
            "lost acknowledged writes": len(self.lost),
            "rolled-back rows visible": len(self.visible),
            "transactions done by half": len(self.halved),
            "let in that should be refused": len(self.let_in),
            "errors that no fault explains": len(self.unexpected),
        }


def reckon(superuser: Server, clinics: dict[str, str], told: Told) -> Verdict:
    verdict = Verdict(wrong_reads=told.wrong_reads, let_in=told.let_in, unexpected=told.unexpected)
    present: dict[str, set[str]] = defaultdict(set)
    for clinic, schema in clinics.items():
        statement = sql.SQL(ROWS).format(table=sql.Identifier(schema, TABLE))
        for row in superuser.execute(statement).fetchall():
            if row[0] in SAME_KEYS:
                _judge_update(verdict, clinic, row, told)
            else:
                _judge_row(verdict, clinic, row, told)
                present[row[1]].add(row[2])
    _judge_tokens(verdict, present, told)
    return verdict


def _judge_update(verdict: Verdict, clinic: str, row: Row, told: Told) -> None:
    """Judge one of the rows that were there before, of which clients change one column."""
    _, family, _, token = row
    attempt = told.attempts.get(token)
    if family != clinic or (token and (attempt is None or attempt.clinic != clinic)):
        verdict.wrong_writes.append(f"{clinic}'s row of {family!r} was updated by {token!r}")
    elif attempt and attempt.outcome == Event.UNDONE:
        verdict.visible.append(f"{clinic}'s row has the update of {token!r}")


def _judge_row(verdict: Verdict, clinic: str, row: Row, told: Told) -> None:
    _, token, mark, _ = row
    attempt = told.attempts.get(token)
    if token == "undone":
        verdict.visible.append(f"a row that was undone is in {clinic}: {mark}")
    elif attempt is None or attempt.clinic != clinic:
        verdict.wrong_writes.append(f"{token!r} wrote into {clinic}")
    elif attempt.outcome == Event.UNDONE:
        verdict.visible.append(f"{token!r} failed, yet its row is in {clinic}")
    elif attempt.outcome == Event.KEPT and mark not in attempt.marks:
        verdict.visible.append(f"{token!r} undid {mark}, yet it is in {clinic}")


def _judge_tokens(verdict: Verdict, present: dict[str, set[str]], told: Told) -> None:
    sizes = _sizes(told.attempts)
    for token, attempt in told.attempts.items():
        there = present.get(token, set())
        if attempt.outcome == Event.KEPT:
            verdict.lost += [
                f"{token!r} was told that {mark} is kept" for mark in attempt.marks - there
            ]
        elif attempt.outcome == Event.UNCERTAIN and there:
            verdict.uncertain_present += 1
            if len(there) not in sizes[attempt.shape]:
                verdict.halved.append(f"{token!r} left {len(there)} rows of {attempt.shape}")


def _sizes(attempts: dict[str, Attempt]) -> dict[str, Counter[int]]:
    """Return how many rows an attempt of each shape leaves when all goes well."""
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    for attempt in attempts.values():
        if attempt.outcome == Event.KEPT:
            sizes[attempt.shape][len(attempt.marks)] += 1
    return sizes
