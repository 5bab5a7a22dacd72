"""
`python -m tests.benchmarks [switch|requests|memory]`: measures, shows a table, writes the JSON.
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

from tests.benchmarks import memory, picture, requests, samples, screen, spinner, stage, switch
from tests.benchmarks.children import ROOT
from tests.benchmarks.errors import UnableToMeasure
from tests.benchmarks.samples import Samples

BENCHMARKS = ("switch", "requests", "memory")
SIZES = (2, 100, 500)
ROUNDS = {"switch": 60, "requests": 5}


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
    parser.add_argument("only", nargs="?", choices=BENCHMARKS, help="one of the benchmarks")
    parser.add_argument("--rounds", type=int, help=f"instead of {ROUNDS}")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of tenants")
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
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "bench", help="of the JSON")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, errors: Console) -> None:
    chosen = [options.only] if options.only else list(BENCHMARKS)
    if "requests" in chosen:
        requests.require_wrk()
    sizes = sorted(options.sizes)
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
        TextColumn("{task.description:<9}"),
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
