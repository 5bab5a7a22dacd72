"""
Does a core fall asleep between two messages? Not while this runs on it.

Waking from an idle state costs 50 to 100 microseconds, now and then, and more for whoever
waits more often. At the lowest priority there is, a spinner gives way to anything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

CAN_SPIN = hasattr(os, "SCHED_IDLE") and hasattr(os, "sched_setaffinity")


@contextmanager
def spinning() -> Iterator[int]:
    """Keep each core busy until the block ends; return how many are, 0 where that cannot be."""
    cores = sorted(os.sched_getaffinity(0)) if CAN_SPIN else []
    command = [sys.executable, "-S", __file__]
    spinners = [
        subprocess.Popen([*command, str(core), str(os.getpid())], start_new_session=True)
        for core in cores
    ]
    try:
        yield len(spinners)
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def spin(core: int, parent: int) -> None:
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == parent:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for _ in range(1000):
                pass


if __name__ == "__main__":
    spin(int(sys.argv[1]), int(sys.argv[2]))
