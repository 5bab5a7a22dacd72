"""
How much memory do the server's processes take that work for many tenants, and what bounds it?

PostgreSQL keeps a catalogue of each table that a process has seen. The same visits are made
with each bound in turn, and after every so many of them Linux is asked.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from tenancy import roles
from tenancy.conf import Settings
from tests.benchmarks import children
from tests.benchmarks.errors import UnableToMeasure
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import OURS, PLAIN, System
from tests.fixtures import servers

TABLES = 13
STEPS = 15
FOREVER_SECONDS = 24 * 60 * 60

# Of one table with four indexes, and of a process that has seen nothing; to refuse in time.
MEGABYTES_OF_TABLE = 0.024
MEGABYTES_OF_PROCESS = 4
SPARE = 1.5

BACKENDS = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = %(login)s"

Progress = Callable[[], None]


@dataclass(frozen=True)
class Size:
    """How many schemas and connections there are, and how many visits each connection makes."""

    schemas: int
    connections: int
    visits: int
    seconds: int
    """The lifetime of a connection that has one."""

    tenants: int = Settings.CONN_MAX_TENANTS or 0
    """For how many tenants a connection works that counts them."""

    @property
    def all_visits(self) -> int:
        return self.connections * self.visits

    @property
    def schemas_seen(self) -> float:
        """Return how many schemas one connection sees, where all are as likely as another."""
        return self.schemas * (1 - (1 - 1 / self.schemas) ** self.visits)

    @property
    def megabytes(self) -> float:
        """Return what all processes together are expected to take without a bound."""
        each = MEGABYTES_OF_PROCESS + self.schemas_seen * TABLES * MEGABYTES_OF_TABLE
        return self.connections * each


@dataclass(frozen=True)
class Bound:
    key: str
    title: str
    system: System = OURS
    has_lifetime: bool = False
    counts_tenants: bool = False
    affinity: bool = False


FLOOR = Bound("floor", "plain Django with one schema", system=PLAIN)
NONE = Bound("none", "no bound")
LIFETIME = Bound("lifetime", "a lifetime", has_lifetime=True)
TENANTS = Bound("tenants", "a number of tenants", counts_tenants=True)
AFFINITY = Bound("affinity", "tenants of its own for each", affinity=True)
BOUNDS = (FLOOR, NONE, LIFETIME, TENANTS, AFFINITY)


@dataclass(frozen=True)
class Point:
    """How it stood after each connection had made so many visits."""

    visits: int
    megabytes: list[float]
    """What each process has of its own."""

    proportional: float
    """What all take together, with their shares of the memory that they share."""

    new: int
    """Of the visits since the last point: those by a connection that had never been there."""

    seconds: float
    """How long those visits took."""


Course = list[Point]


def require_room(size: Size) -> None:
    """Raise UnableToMeasure where it would take more memory than there is to spare."""
    if not Path("/proc/meminfo").exists():
        raise UnableToMeasure("How much memory a process takes is asked of Linux, in /proc.")
    available = _megabytes(Path("/proc/meminfo"), "MemAvailable")
    if size.megabytes * SPARE > available:
        raise UnableToMeasure(
            f"Without a bound the processes take about {size.megabytes:.0f} MB, which with half "
            f"of that to spare is more than the {available:.0f} MB that are available. "
            "Give fewer --connections, --schemas or --visits."
        )


def count_steps() -> int:
    return len(BOUNDS) * STEPS


def measure(size: Size, *, progress: Progress) -> list[Samples]:
    """Return what was measured; a row's `size` is the number of visits by each connection."""
    courses = {bound: list(_follow(bound, size, progress)) for bound in BOUNDS}
    floor = courses.pop(FLOOR)
    return [
        samples
        for bound, course in courses.items()
        for samples in _samples(bound, course, floor, size)
    ]


def _follow(bound: Bound, size: Size, progress: Progress) -> Iterator[Point]:
    """Make the visits, the same with every bound, and yield how it stands after each step."""
    random = Random(size.schemas)  # the same visits each time, and no secret
    environment = bound.system.environment()
    with children.running("tests.benchmarks.crowd", **environment) as crowd, _superuser() as server:
        _require_same_machine(server)
        crowd.ask(
            size=size.connections,
            tables=TABLES,
            tenants=size.tenants if bound.counts_tenants else None,
            seconds=size.seconds if bound.has_lifetime else FOREVER_SECONDS,
            affinity=bound.affinity,
            is_plain=bound is FLOOR,
        )
        done = 0
        for step in range(1, STEPS + 1):
            visits = size.visits * step // STEPS
            tenants = random.choices(
                range(1, size.schemas + 1), k=(visits - done) * size.connections
            )
            began = time.monotonic()
            new = crowd.ask(visit=tenants)["new"]
            yield _look(server, bound, visits, new, time.monotonic() - began)
            done = visits
            progress()


def _require_same_machine(server: psycopg.Connection[Any]) -> None:
    if not os.access(f"/proc/{server.info.backend_pid}/smaps_rollup", os.R_OK):
        raise UnableToMeasure(
            "The server's processes cannot be read in /proc: it has to run on this machine, as "
            "oneself, or one has to be root."
        )


def _look(
    server: psycopg.Connection[Any], bound: Bound, visits: int, new: int, seconds: float
) -> Point:
    login = {"login": roles.name(servers.database_name(), bound.system.login)}
    weights: list[tuple[float, float]] = []
    # Where there are few, all may be ending at the moment, with others on their way.
    while not weights:
        found = [_weigh(pid) for (pid,) in server.execute(BACKENDS, login).fetchall()]
        weights = [weight for weight in found if weight is not None]
    return Point(
        visits,
        [own for own, _ in weights],
        sum(proportional for _, proportional in weights),
        new,
        seconds,
    )


def _weigh(pid: int) -> tuple[float, float] | None:
    """Return what a process has of its own, and with its shares; None if it has just ended."""
    process = Path(f"/proc/{pid}")
    try:
        own = _megabytes(process / "status", "RssAnon")
        return own, _megabytes(process / "smaps_rollup", "Pss")
    except (OSError, ValueError):
        # A process that ends has no memory first, and then no files.
        return None


def _samples(bound: Bound, course: Course, floor: Course, size: Size) -> Iterator[Samples]:
    for point, lowest in zip(course, floor, strict=True):
        largest = Samples(f"largest_{bound.key}", point.visits, "MB")
        largest.add(OURS.key, max(point.megabytes))
        largest.add(PLAIN.key, max(lowest.megabytes))
        yield largest

    def total(kind: str, unit: str, of: Callable[[Course], float]) -> Samples:
        samples = Samples(f"{kind}_{bound.key}", size.visits, unit)
        samples.add(OURS.key, of(course))
        samples.add(PLAIN.key, of(floor))
        return samples

    yield total("most", "MB", lambda points: max(max(each.megabytes) for each in points))
    yield total("all", "MB", lambda points: points[-1].proportional)
    new = Samples(f"new_{bound.key}", size.visits, "%")
    new.add(OURS.key, 100 * sum(each.new for each in course) / size.all_visits)
    yield new
    if bound.has_lifetime:
        seconds = sum(each.seconds for each in course)
        lived = Samples("visits_lifetime", size.visits, "visits")
        lived.add(OURS.key, size.visits / seconds * size.seconds)
        yield lived


def _megabytes(file: Path, field: str) -> float:
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


def _superuser() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True)
