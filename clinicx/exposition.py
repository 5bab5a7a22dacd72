"""
Who serves a pod's numbers? The first of its processes, whose children write them.

gunicorn's arbiter, and the main process of a Celery worker. Both live as long as their
container, and answer nobody else.
"""

from __future__ import annotations

import logging

from clinicx.settings import exposition as settings
from tenancy.metrics import exposition
from tenancy.metrics.instruments import directory

logger = logging.getLogger(__name__)


def prepare() -> None:
    """Have this process and its children keep their numbers where one of them reads all."""
    if settings.port():
        exposition.prepare(settings.directory())


def serve() -> None:
    """
    Answer GET /metrics at METRICS_PORT, for as long as this process lives.

    Where the port is taken, say so and go on: that nobody sees the numbers is no reason to
    serve no pages, and Prometheus has an alert for a pod that it cannot read.
    """
    shared = directory()
    if shared is None:
        return
    try:
        # A NetworkPolicy says who reaches the port.
        exposition.serve(settings.address(), shared)
    except OSError as error:
        logger.error(
            "METRICS_PORT=%s cannot be listened at (%s): set another one, or 0 for none.",
            settings.port(),
            error.strerror,
        )


def forget(process: int) -> None:
    """Keep what a process that has ended counted, without its files."""
    shared = directory()
    if shared is not None:
        exposition.forget(process, shared)
