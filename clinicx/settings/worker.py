"""
How much does a Celery worker do at once, how large may it get, and where does it say it lives?

The table of the variables is in docs/reference/settings.md.
"""

from __future__ import annotations

from pathlib import Path

from clinicx import env

CONCURRENCY = 2
MAX_TASKS = 1000
MAX_MEGABYTES = 350
SHUTDOWN_SECONDS = 50
# /tmp is what a pod may write to; a process of its own reads it there.
ALIVE_FILE = "/tmp/clinicx-alive"  # noqa: S108  # in a pod nobody else writes there


def concurrency() -> int:
    """Return how many processes do tasks, each one at a time and with one connection."""
    return env.integer("WORKER_CONCURRENCY", CONCURRENCY, minimum=1)


def max_tasks() -> int:
    """Return after how many tasks a process is replaced: what it forgot to let go goes then."""
    return env.integer("WORKER_MAX_TASKS", MAX_TASKS, minimum=1)


def max_kilobytes() -> int:
    """Return how much memory a process may have when a task ends; with more it is replaced."""
    return env.integer("WORKER_MAX_MEMORY", MAX_MEGABYTES, minimum=1) * 1024


def shutdown_seconds() -> int:
    """Return for how long tasks may go on after SIGTERM; then they go back to their queue."""
    return env.integer("WORKER_SHUTDOWN_SECONDS", SHUTDOWN_SECONDS, minimum=1)


def alive_file() -> Path:
    """Return the file whose time is when a worker, or beat, last showed that it lives."""
    return Path(env.text("ALIVE_FILE", ALIVE_FILE))
