"""
Gunicorn's settings: every worker listens at a port of its own.

Where workers share a port, the one that wakes up first takes the connections, and often
all of them, since wrk opens them together and keeps them: rounds with one worker at work
would be compared with rounds of two.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.names import THREADS, WORKERS

# As `make run` serves ClinicX.
workers = WORKERS
worker_class = "gthread"
threads = THREADS

timeout = 120
loglevel = "warning"
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    worker.sockets = [worker.sockets[(worker.age - 1) % workers]]
