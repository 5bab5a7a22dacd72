"""
What does a query cost that is for another tenant than the last one?

Rounds of a few operations, system after system, so that whatever else the machine does
meets all of them. Round trips are counted in a proxy between Django and the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median

from tests.benchmarks import children, proxy, stage, systems
from tests.benchmarks.children import Child
from tests.benchmarks.proxy import Delay
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import System
from tests.fixtures import pgbouncer

# How many of each in a round: short enough that a burst of other work meets every system.
OPERATIONS = {"autocommit": 100, "atomic_1": 50, "atomic_5": 25}
ROUTES = ("direct", "pgbouncer")

# Long enough that waiting is nearly all of what an operation takes.
DELAY_SECONDS = 0.002
OPERATIONS_TO_COUNT = 10

Team = dict[str, Child]
Progress = Callable[[], None]


def count_steps(sizes: Sequence[int], rounds: int) -> int:
    return len(sizes) * len(ROUTES) * len(OPERATIONS) * (rounds + 1)


def measure(
    sizes: Sequence[int], *, rounds: int, operations: float, progress: Progress
) -> Iterator[Samples]:
    """Yield what was measured; `operations` shortens the rounds, to be quick and imprecise."""
    with _ports() as ports, ExitStack() as stack:
        teams = {route: stack.enter_context(_team(port)) for route, port in ports.items()}
        delays = {
            route: stack.enter_context(proxy.delaying(port=port, seconds=DELAY_SECONDS))
            for route, port in ports.items()
        }
        waiting = {route: stack.enter_context(_team(delay.port)) for route, delay in delays.items()}
        for size in sizes:
            for route in ROUTES:
                _prepare(teams[route], size)
                yield from _time(teams[route], route, size, rounds, operations, progress)
                _prepare(waiting[route], size)
                yield from _count(waiting[route], delays[route], route, size, progress)


@contextmanager
def _ports() -> Iterator[dict[str, int]]:
    """Yield the ways to the database; the pooler's is its port."""
    with pgbouncer.running() as pooler:
        yield {"direct": stage.database_port(), "pgbouncer": pooler.port}


@contextmanager
def _team(port: int) -> Iterator[Team]:
    with ExitStack() as stack:
        yield {
            system.key: stack.enter_context(
                children.running(
                    "tests.benchmarks.worker", system.key, **system.environment(port=port)
                )
            )
            for system in systems.ALL
        }


def _prepare(team: Team, size: int) -> None:
    for worker in team.values():
        worker.tell(size=size)
    for worker in team.values():
        worker.hear()


def _in_turn(round_: int) -> list[System]:
    """Return the systems in another order each round: none is always after the same one."""
    start = round_ % len(systems.ALL)
    order = [*systems.ALL[start:], *systems.ALL[:start]]
    return order if (round_ // len(order)) % 2 == 0 else order[::-1]


def _time(
    team: Team, route: str, size: int, rounds: int, operations: float, progress: Progress
) -> Iterator[Samples]:
    for operation, usual in OPERATIONS.items():
        samples = Samples(f"query_{operation}_{route}", size, "us")
        count = max(1, round(usual * operations))
        for worker in team.values():
            worker.ask(operation=operation, count=count)
        for round_ in range(rounds):
            for system in _in_turn(round_):
                answer = team[system.key].ask(operation=operation, count=count)
                samples.add(system.key, answer["seconds"] / count * 1e6)
            progress()
        yield samples


def _count(
    team: Team, delay: Delay, route: str, size: int, progress: Progress
) -> Iterator[Samples]:
    for operation in OPERATIONS:
        samples = Samples(f"round_trips_{operation}_{route}", size, "round trips")
        for system in systems.ALL:
            before = delay.turns
            seconds = [
                team[system.key].ask(operation=operation, count=1)["seconds"]
                for _ in range(OPERATIONS_TO_COUNT)
            ]
            samples.add(system.key, (delay.turns - before) / OPERATIONS_TO_COUNT)
            samples.waited[system.key] = median(seconds) / (2 * delay.seconds)
        progress()
        yield samples
