"""
What does each system take for it, at a fleet of this size?

Round after round, system after system in changing order, and what one of them did is undone
before the next begins. Each run of a command has a process of its own, as an operator's has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.children import Child
from tests.benchmarks.errors import WrongRows
from tests.benchmarks.fleet import changes, stage
from tests.benchmarks.fleet.changes import NOTHING, Change
from tests.benchmarks.fleet.stage import Fleet
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS, STOCK, System

Progress = Callable[[], None]

SYSTEMS = (OURS, LIMIT, STOCK)
# What is no part of a total: what is looked at before, and after.
ASIDE = ("fingerprint", "verify")
# Stock django-tenants takes seconds for a clinic.
CLINICS_OF_STOCK = 3


@dataclass(frozen=True)
class Extent:
    """How often, and up to which size of the fleet also with stock django-tenants."""

    rounds: int
    clinics: int
    stock_up_to: int


def count_steps(name: str, extent: Extent) -> int:
    return extent.rounds * (1 if name == "check_schemas" else len(SYSTEMS))


def measure(name: str, fleet: Fleet, extent: Extent, progress: Progress) -> list[Samples]:
    """Return what the benchmark `name` measured at the fleet as it is."""
    if name == "provision":
        return _provision(fleet, extent, progress)
    if name == "check_schemas":
        return _check(fleet, extent, progress)
    change = changes.CHANGES.get(name.removeprefix("migrate_"), NOTHING)
    return _migrate(name, change, fleet, extent, progress)


def _provision(fleet: Fleet, extent: Extent, progress: Progress) -> list[Samples]:
    found = {
        name: Samples(name, fleet.size, "ms")
        for kind in ("provision", "provision_warm")
        for name in (f"p50_{kind}", f"p95_{kind}")
    }
    with ExitStack() as stack:
        team = {system: stack.enter_context(stage.worker(system)) for system in SYSTEMS}
        for system, child in team.items():
            child.hear()
            _make_clinics("provision", system, child, fleet, 1)
        for round_ in range(extent.rounds):
            for system in _in_turn(round_):
                for kind in ("provision", "provision_warm") if system is OURS else ("provision",):
                    count = CLINICS_OF_STOCK if system is STOCK else extent.clinics
                    milliseconds = _make_clinics(kind, system, team[system], fleet, count)
                    found[f"p50_{kind}"].add(system.key, median(milliseconds))
                    found[f"p95_{kind}"].add(system.key, _p95(milliseconds))
                fleet.drop_new()
                progress()
    return list(found.values())


def _make_clinics(kind: str, system: System, child: Child, fleet: Fleet, count: int) -> list[float]:
    order: dict[str, Any] = {"do": kind, "slugs": fleet.new_slugs(count)}
    if system is LIMIT:
        order["script"] = fleet.script
    milliseconds: list[float] = child.ask(**order)["milliseconds"]
    return milliseconds


def _migrate(
    name: str, change: Change, fleet: Fleet, extent: Extent, progress: Progress
) -> list[Samples]:
    found = {
        kind: Samples(f"{kind}_{name}", fleet.size, unit)
        for kind, unit in (
            *(("total", "s"), ("fingerprint", "s"), ("record", "s"), ("verify", "s")),
            *(("start", "s"), ("peak", "MB")),
        )
    }
    statements = _statements(change)
    for round_ in range(extent.rounds):
        for system in _in_turn(round_):
            if system is not STOCK or (round_ == 0 and fleet.size <= extent.stock_up_to):
                _migrate_once(system, change, fleet, statements, found)
            progress()
    return list(found.values())


def _statements(change: Change) -> list[str]:
    if change is NOTHING:
        return []
    with stage.worker(OURS, change) as ours:
        ours.hear()
        statements: list[str] = ours.ask(do="statements")["statements"]
        return statements


def _migrate_once(
    system: System,
    change: Change,
    fleet: Fleet,
    statements: Sequence[str],
    found: dict[str, Samples],
) -> None:
    began = time.perf_counter()
    with stage.worker(system, change) as child:
        child.hear()
        start = time.perf_counter() - began
        if system is LIMIT:
            answer = child.ask(do="migrate", size=fleet.size, statements=statements)
        else:
            answer = child.ask(do="migrate")
            found["start"].add(system.key, start)
    _add(found, system, answer)
    if change is not NOTHING:
        if lacking := fleet.list_without(change):
            raise WrongRows(f"{system.title} did not bring {change.name!r} to {lacking[:5]}.")
        fleet.undo(change)


def _add(found: dict[str, Samples], system: System, answer: dict[str, Any]) -> None:
    parts = answer.get("parts", {})
    aside = sum(parts.get(kind, 0) for kind in ASIDE)
    found["total"].add(system.key, answer["seconds"] - aside)
    for kind, seconds in parts.items():
        found[kind].add(system.key, seconds)
    if answer.get("megabytes"):
        found["peak"].add(system.key, answer["megabytes"])


def _check(fleet: Fleet, extent: Extent, progress: Progress) -> list[Samples]:
    total = Samples("total_check_schemas", fleet.size, "s")
    peak = Samples("peak_check_schemas", fleet.size, "MB")
    for _ in range(extent.rounds):
        with stage.worker(OURS) as ours:
            ours.hear()
            _add({"total": total, "peak": peak}, OURS, ours.ask(do="check"))
        progress()
    return [total, peak]


def _in_turn(round_: int) -> Iterable[System]:
    """Return the systems in another order each round: none is always after the same one."""
    turn = round_ % len(SYSTEMS)
    return (*SYSTEMS[turn:], *SYSTEMS[:turn])


def _p95(milliseconds: Sequence[float]) -> float:
    if len(milliseconds) < 2:
        return milliseconds[0]
    return quantiles(milliseconds, n=20, method="inclusive")[-1]
