"""
`python -m tests.benchmarks [switch|requests|memory|fleet|...]`: measures, shows a table, writes
the JSON.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import FrameType

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.benchmarks import (
    crash,
    memory,
    metrics,
    picture,
    requests,
    samples,
    screen,
    spinner,
    stage,
    switch,
)
from tests.benchmarks.children import ROOT
from tests.benchmarks.errors import UnableToMeasure
from tests.benchmarks.fleet import measure as fleet_measure
from tests.benchmarks.fleet import stage as fleet_stage
from tests.benchmarks.fleet.measure import Extent
from tests.benchmarks.samples import Samples

BENCHMARKS = ("switch", "requests", "metrics", "memory", "crash")
SIZES = (2, 100, 500)
ROUNDS = {"switch": 60, "requests": 5, "metrics": 40}

# Of the fleet: at which sizes, and how often.
FLEET_SIZES = {
    "provision": (10, 500),
    "check_schemas": (100, 500),
    "migrate_noop": (100, 500),
    "migrate_add_column": (100, 500),
    "migrate_create_model": (100, 500),
    "migrate_data": (100, 500),
}
LARGE = 2_000
FLEET_ROUNDS = 3

CRASH_SIZES = (100, 500)
CRASH_ROUNDS = 3


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    errors = Console(stderr=True)
    # Ctrl-C, for whoever starts this with '&', and a polite kill end what was started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        _run(options, errors)
    except KeyboardInterrupt:
        errors.print("Stopped; what was not finished was not written.")
        return 130
    # PgBouncer's fixture speaks to pytest where something is missing.
    except (UnableToMeasure, pytest.skip.Exception, pytest.fail.Exception) as error:
        errors.print(f"[red]Not measured:[/] {error}")
        return 1
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("only", nargs="?", choices=(*BENCHMARKS, "fleet", *FLEET_SIZES), help="one")
    rounds = ROUNDS | {"crash": CRASH_ROUNDS, "fleet": FLEET_ROUNDS}
    parser.add_argument("--rounds", type=int, help=f"instead of {rounds}")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of tenants")
    parser.add_argument("--seconds", type=int, default=3, help="of requests in a round")
    parser.add_argument("--delays", nargs="+", choices=requests.DELAYS, default=requests.DELAYS)
    parser.add_argument("--operations", type=float, default=1, help="a share of those in a round")
    parser.add_argument("--schemas", type=int, default=2_000, help="of the memory's measurement")
    parser.add_argument("--connections", type=int, default=20, help="that share its visits")
    parser.add_argument("--visits", type=int, default=1_200, help="that each of them makes")
    parser.add_argument(
        "--tenants", type=int, default=memory.Size.tenants, help="of a connection that counts them"
    )
    parser.add_argument("--lifetime", type=int, default=15, help="in seconds, of one that has one")
    parser.add_argument("--clinics", type=int, default=20, help="that are made in a round")
    parser.add_argument(
        "--stock-up-to", type=int, default=100, help="tenants that stock django-tenants migrates"
    )
    parser.add_argument("--large", action="store_true", help=f"migrate_noop at {LARGE}, too")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "bench", help="of the JSON")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, errors: Console) -> None:
    chosen = _list_chosen(options.only)
    if "requests" in chosen:
        requests.require_wrk()
    sizes = sorted(options.sizes or SIZES)
    size = memory.Size(
        options.schemas, options.connections, options.visits, options.lifetime, options.tenants
    )
    if "memory" in chosen:
        memory.require_room(size)
    # A database of its own, beside those of tests that run at the same server.
    os.environ["CLINICX_TEST_RUN"] = f"bench_{os.environ.get('CLINICX_TEST_RUN', '')}".strip("_")
    _warn_if_busy(errors)
    with stage.servers_running(), _progress(errors) as progress:
        if timed := [benchmark for benchmark in chosen if benchmark in ROUNDS]:
            with _database(sizes[-1], progress):
                for benchmark in timed:
                    _tell(options, benchmark, _measure(benchmark, options, sizes, progress))
        if "memory" in chosen:
            with _database(size.schemas, progress, tables=memory.TABLES):
                task = progress.add_task("memory", total=memory.count_steps())
                measured = memory.measure(size, progress=partial(progress.advance, task))
                _tell(options, "memory", measured)
                picture.save(options.folder / "memory.svg", measured, size)
        if "crash" in chosen:
            _tell(options, "crash", _measure_crash(options, progress))
        if of_fleet := [benchmark for benchmark in chosen if benchmark in FLEET_SIZES]:
            _run_fleet(of_fleet, options, progress)


def _measure_crash(options: argparse.Namespace, progress: Progress) -> list[Samples]:
    sizes, rounds = sorted(options.sizes or CRASH_SIZES), options.rounds or CRASH_ROUNDS
    task = progress.add_task("crash", total=crash.count_steps(sizes, rounds))
    return crash.measure(sizes, rounds=rounds, progress=partial(progress.advance, task))


def _list_chosen(only: str | None) -> list[str]:
    if only == "fleet":
        return list(FLEET_SIZES)
    return [only] if only else [*BENCHMARKS, *FLEET_SIZES]


def _run_fleet(chosen: Sequence[str], options: argparse.Namespace, progress: Progress) -> None:
    """Measure at one fleet, which grows from size to size."""
    sizes = {benchmark: _list_fleet_sizes(benchmark, options) for benchmark in chosen}
    extent = Extent(options.rounds or FLEET_ROUNDS, options.clinics, options.stock_up_to)
    measured: dict[str, list[Samples]] = {benchmark: [] for benchmark in chosen}
    schemas = progress.add_task("schemas", total=max(max(each) for each in sizes.values()))
    tasks = {
        benchmark: progress.add_task(
            benchmark, total=len(sizes[benchmark]) * fleet_measure.count_steps(benchmark, extent)
        )
        for benchmark in chosen
    }
    with fleet_stage.fleet() as fleet, spinner.spinning():
        for size in sorted({size for each in sizes.values() for size in each}):
            fleet.grow(size, lambda done: progress.update(schemas, completed=done))
            for benchmark, task in tasks.items():
                if size in sizes[benchmark]:
                    advance = partial(progress.advance, task)
                    measured[benchmark] += fleet_measure.measure(benchmark, fleet, extent, advance)
                    if size == sizes[benchmark][-1]:
                        _tell(options, benchmark, measured[benchmark])
    if {"migrate_noop", "migrate_add_column"} <= set(chosen):
        picture.save_fleet(options.folder)


def _list_fleet_sizes(benchmark: str, options: argparse.Namespace) -> list[int]:
    sizes = set(options.sizes or FLEET_SIZES[benchmark])
    return sorted(sizes | {LARGE} if options.large and benchmark == "migrate_noop" else sizes)


def _database(size: int, progress: Progress, *, tables: int = 1) -> AbstractContextManager[None]:
    task = progress.add_task("schemas", total=size)
    return stage.database(
        size, tables=tables, progress=lambda done: progress.update(task, completed=done)
    )


def _tell(options: argparse.Namespace, benchmark: str, measured: list[Samples]) -> None:
    samples.save(options.folder / f"{benchmark}.json", measured)
    screen.show(_wide_console(), benchmark, measured)


def _measure(
    benchmark: str, options: argparse.Namespace, sizes: Sequence[int], progress: Progress
) -> list[Samples]:
    rounds = options.rounds or ROUNDS[benchmark]
    measure, steps = {
        "switch": (
            partial(switch.measure, operations=options.operations),
            switch.count_steps(sizes, rounds),
        ),
        "metrics": (
            partial(metrics.measure, operations=options.operations),
            metrics.count_steps(sizes, rounds),
        ),
        "requests": (
            partial(requests.measure, seconds=options.seconds, delays=options.delays),
            requests.count_steps(sizes, rounds, options.delays),
        ),
    }[benchmark]
    task = progress.add_task(benchmark, total=steps)
    with spinner.spinning() as spinners:
        if not spinners:
            progress.console.print("The cores are not kept awake here: it will be noisy.")
        return list(measure(sizes, rounds=rounds, progress=partial(progress.advance, task)))


def _warn_if_busy(errors: Console) -> None:
    load = os.getloadavg()[0]
    if load > (os.cpu_count() or 1) / 4:
        errors.print(f"Something else is at work here (load {load:.1f}): it will be noisy.")


def _progress(errors: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        refresh_per_second=1,
    )


def _wide_console() -> Console:
    """The table is wider than the 80 columns that a pipe is said to have."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
