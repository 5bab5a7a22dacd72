"""
With what is measured? prometheus_client, where it is installed.

It is imported at first use and not before: whether it keeps its numbers in memory or in files
that other processes read is decided at its import, by PROMETHEUS_MULTIPROC_DIR.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from tenancy.metrics.names import Metric

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_making = Lock()


def is_installed() -> bool:
    return find_spec("prometheus_client") is not None


@cache
def directory() -> Path | None:
    """Return where the processes of this pod keep their numbers; None for a process alone."""
    # prometheus_client's own variable, set by whoever starts the processes.
    path = os.environ.get(DIRECTORY)
    return Path(path) if path else None


def made(metric: Metric) -> Any:
    """Return the instrument of `metric`, made once in a process."""
    # Of two threads that ask first, the cache lets both make one, and the second is refused.
    with _making:
        return _make(metric)


@cache
def _make(metric: Metric) -> Any:
    import prometheus_client

    match metric.kind:
        case "counter":
            return prometheus_client.Counter(metric.name, metric.help, metric.labels)
        case "gauge":
            return prometheus_client.Gauge(
                metric.name, metric.help, metric.labels, multiprocess_mode=metric.across
            )
        case "histogram":
            return prometheus_client.Histogram(
                metric.name, metric.help, metric.labels, buckets=metric.buckets
            )


# labels() takes a lock and makes strings each time; this is asked several times a request.
@cache
def child(metric: Metric, *labels: str) -> Any:
    """Return the series of `metric` with these values of its labels, in their order."""
    return made(metric).labels(*labels) if metric.labels else made(metric)


def observe_all(histogram: Any, values: Iterable[float]) -> None:
    """
    Observe many values of one series at once: a write for each bucket, and not for each value.

    prometheus_client has no such verb; these names of its own have been the same for years,
    and a test compares the outcome with that of observe().
    """
    counts: dict[int, int] = {}
    total = 0.0
    bounds = histogram._upper_bounds
    for value in values:
        total += value
        place = next(place for place, bound in enumerate(bounds) if value <= bound)
        counts[place] = counts.get(place, 0) + 1
    histogram._sum.inc(total)
    for place, count in counts.items():
        histogram._buckets[place].inc(count)
