"""
Who writes down what has happened, and what is so now: how many connections are lent, who waits?

A thread of each process, every second, beside the requests and not in them. What happened in
the last one is lost with a process that is killed. A process that is measured alone, without
files for others, counts at once and is not sampled.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable

from tenancy import metrics
from tenancy.conf import settings
from tenancy.metrics import names
from tenancy.metrics.instruments import child, directory

logger = logging.getLogger(__name__)

SECONDS = 1.0

_samplers: list[Callable[[], None]] = []
_process = 0


def register(sampler: Callable[[], None]) -> None:
    """Have `sampler` called every second, in each process that is measured."""
    if sampler not in _samplers:
        _samplers.append(sampler)


def ensure_running() -> None:
    """Sample this process from now on. A process that was forked has a thread of its own."""
    global _process
    if _process == os.getpid() or directory() is None:
        return
    _process = os.getpid()
    atexit.register(metrics.add_up)
    threading.Thread(target=_run, name="metrics sampler", daemon=True).start()


def sample() -> None:
    """Write down what is so now."""
    for sampler in _samplers:
        sampler()


def _run() -> None:
    while True:
        try:
            sample()
        # It must not end: numbers that stand still look as if all were well.
        except Exception:
            logger.exception("What is so now could not be measured")
        time.sleep(SECONDS)


def _sample_requests() -> None:
    child(names.IN_FLIGHT).set(metrics.count_in_flight())
    child(names.BUILD, settings.METRICS_VERSION, settings.METRICS_POD).set(1)


register(metrics.add_up)
register(_sample_requests)
