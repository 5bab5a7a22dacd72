"""
What does it cost a request to be counted?

Each request is answered twice, counted and not: by `tenancy.metrics` in one process, by
django-prometheus as its documentation sets it up in another. As in a pod, both write their
numbers into files in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import children, stage
from tests.benchmarks.answering import PATHS
from tests.benchmarks.children import Child
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS

# Who counts, by the settings with which they do.
COUNTING = {"metrics": "metered", "django_prometheus": "watched"}

# Of each in a round: short enough that a burst of other work meets everyone.
REQUESTS = 25

Progress = Callable[[], None]


def count_steps(sizes: Sequence[int], rounds: int) -> int:
    return len(sizes) * len(PATHS) * rounds


def measure(
    sizes: Sequence[int], *, rounds: int, operations: float, progress: Progress
) -> Iterator[Samples]:
    """Yield what was measured; `operations` shortens the rounds, to be quick and imprecise."""
    count = max(1, round(REQUESTS * operations))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_memory())))
        team = {
            settings: stack.enter_context(_answering(settings, folder))
            for settings in COUNTING.values()
        }
        for size in sizes:
            for child in team.values():
                child.ask(size=size)
            for endpoint in PATHS:
                yield from _time(team, endpoint, size, rounds, count, progress)


def _memory() -> str | None:
    """Return the folder that is memory, as in a pod; elsewhere it is any."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a folder of its own


def _answering(settings: str, folder: Path) -> AbstractContextManager[Child]:
    own = folder / settings
    own.mkdir()
    system = replace(OURS, settings=settings)
    return children.running(
        "tests.benchmarks.answering",
        PROMETHEUS_MULTIPROC_DIR=str(own),
        **system.environment(port=stage.database_port()),
    )


def _time(
    team: Mapping[str, Child],
    endpoint: str,
    size: int,
    rounds: int,
    count: int,
    progress: Progress,
) -> Iterator[Samples]:
    found = {
        kind: {name: Samples(f"{kind}_{name}_{endpoint}", size, "us CPU") for name in COUNTING}
        for kind in ("request", "cost")
    }
    for round_ in range(rounds):
        # In another order each time: none is always after the other.
        for name in sorted(COUNTING, reverse=bool(round_ % 2)):
            took = team[COUNTING[name]].ask(endpoint=endpoint, count=count)
            found["request"][name].add(OURS.key, took["counted"] * 1e6)
            found["request"][name].add(LIMIT.key, took["plain"] * 1e6)
            found["cost"][name].add(OURS.key, (took["counted"] - took["plain"]) * 1e6)
        progress()
    for kind in found.values():
        yield from kind.values()
