"""
Is it fast enough? Each target is a ratio, asked of the rows that were measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import LIMIT, OURS, PLAIN, STOCK

# Of the time of a query, of everything that `tenancy` does. Path and role alone: 1.05.
MOST_FOR_A_QUERY = 1.10
LEAST_OF_PLAIN = 0.95
LEAST_OF_STOCK = {"0ms": 1.0, "1ms": 1.2}
MOST_FOR_MANY_TENANTS = 1.2
# What it takes to count a request, in microseconds.
MOST_FOR_METRICS = 30
# Of one process of the server, however many tenants there are.
MOST_MEGABYTES = 200

# Of raw SQL, for making a clinic and for DDL in all of them.
MOST_FOR_A_CLINIC = 1.3
MOST_FOR_DDL = 1.5
DDL = ("total_migrate_add_column", "total_migrate_create_model")
# Of the time of stock django-tenants.
MOST_OF_STOCK_FOR_A_CLINIC = 0.1
# By themselves, in the unit of the row, for a fleet of up to so many.
FLEET_SIZE = 500
MOST_AT_FLEET = {
    "p50_provision_warm": 20,
    "p95_provision_warm": 20,
    "total_migrate_noop": 0.5,
    "total_check_schemas": 5,
}
# After a crash, with as many schemas.
MOST_SECONDS_AFTER_CRASH = 10
# Of the process that works on the fleet, whatever its size.
MOST_MEGABYTES_OF_RUNNER = 300


@dataclass(frozen=True)
class Verdict:
    """A ratio and what it should be at most, or where `is_least`, at least."""

    samples: Samples
    against: str
    ratio: float
    target: float
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.ratio >= self.target if self.is_least else self.ratio <= self.target

    def __str__(self) -> str:
        bound = "at least" if self.is_least else "at most"
        return (
            f"{self.samples.metric}, {self.samples.size} tenants, to {self.against}: "
            f"{self.ratio:.3f}, {bound} {self.target}"
        )


def judge(measured: Sequence[Samples]) -> Iterator[Verdict]:
    """Yield what is to be said of all rows of a benchmark."""
    for samples in measured:
        yield from _judge_alone(samples)
        yield from _judge_fleet(samples)
    yield from _judge_sizes(measured)


def _judge_alone(samples: Samples) -> Iterator[Verdict]:
    kind, *_, last = samples.metric.split("_")
    to_plain = samples.ratio(OURS.key, PLAIN.key)
    to_stock = samples.ratio(OURS.key, STOCK.key)
    if kind == "query" and last == "direct" and to_plain is not None:
        yield Verdict(samples, PLAIN.title, to_plain, MOST_FOR_A_QUERY)
    if kind == "round" and to_plain is not None:
        yield Verdict(samples, PLAIN.title, to_plain, 1.0)
    if samples.metric == "most_tenants" and (megabytes := samples.value(OURS.key)) is not None:
        yield Verdict(samples, f"{MOST_MEGABYTES} MB", megabytes / MOST_MEGABYTES, 1.0)
    if kind == "crash" and (seconds := samples.value(OURS.key)) is not None:
        most = MOST_SECONDS_AFTER_CRASH
        yield Verdict(samples, f"{most} s", seconds / most, 1.0)
    if samples.metric.startswith("cost_metrics") and (cost := samples.value(OURS.key)) is not None:
        yield Verdict(samples, f"{MOST_FOR_METRICS} us", cost / MOST_FOR_METRICS, 1.0)
    if kind == "rps" and to_plain is not None and to_stock is not None:
        yield Verdict(samples, PLAIN.title, to_plain, LEAST_OF_PLAIN, is_least=True)
        yield Verdict(samples, STOCK.title, to_stock, LEAST_OF_STOCK[last], is_least=True)


def _judge_fleet(samples: Samples) -> Iterator[Verdict]:
    metric, value = samples.metric, samples.value(OURS.key)
    to_limit = samples.ratio(OURS.key, LIMIT.key)
    to_stock = samples.ratio(OURS.key, STOCK.key)
    if metric in MOST_AT_FLEET and value is not None and samples.size <= FLEET_SIZE:
        most = MOST_AT_FLEET[metric]
        yield Verdict(samples, f"{most} {samples.unit}", value / most, 1.0)
    if metric.startswith("peak_") and value is not None:
        most = MOST_MEGABYTES_OF_RUNNER
        yield Verdict(samples, f"{most} MB", value / most, 1.0)
    if metric.endswith("_provision") and to_limit is not None and to_stock is not None:
        yield Verdict(samples, LIMIT.title, to_limit, MOST_FOR_A_CLINIC)
        yield Verdict(samples, STOCK.title, to_stock, MOST_OF_STOCK_FOR_A_CLINIC)
    if metric in DDL and to_limit is not None:
        yield Verdict(samples, LIMIT.title, to_limit, MOST_FOR_DDL)


def _judge_sizes(measured: Sequence[Samples]) -> Iterator[Verdict]:
    """Yield whether the slowest requests stay as fast when there are many tenants."""
    for metric in dict.fromkeys(each.metric for each in measured if each.metric[:4] == "p99_"):
        alike = sorted((each for each in measured if each.metric == metric), key=_size)
        few, many = alike[0], alike[-1]
        low, high = few.value(OURS.key), many.value(OURS.key)
        if few.size != many.size and low and high:
            yield Verdict(many, f"{few.size} tenants", high / low, MOST_FOR_MANY_TENANTS)


def _size(samples: Samples) -> int:
    return samples.size
