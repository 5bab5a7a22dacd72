"""
May this worker serve yet? Once it was asked whether that is safe, and PostgreSQL answered.

Until then everybody gets 503, but for `/health/live`: a process that waits for PostgreSQL is
well, and to start it again would not bring it back. Readiness says 503 like all the rest.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from threading import Thread
from typing import Any

from django.core import checks
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connections

from clinicx import errors
from tenancy import outages
from tenancy.errors import DatabaseUnavailable
from tenancy.health.middleware import LIVE

logger = logging.getLogger(__name__)

# gunicorn ends, and does not try again, when a worker ends with this.
BOOT_ERROR = 3
INTERVAL_SECONDS = 1
# For whoever is told nothing else: the pool waits longer, and says less.
CONNECT_TIMEOUT_SECONDS = 5
# The owner's address is missing where pages are served, and is meant to be.
MEANT = {"tenancy.E002"}


def ask_and_open(worker: Any) -> None:
    """
    Let `worker` serve if that is safe; end gunicorn if it is not.

    Where PostgreSQL does not answer, the worker begins with 503 for everybody, and a thread
    goes on asking. To serve unasked would be unsafe. To end would be to be restarted ever more
    rarely, and stay away for minutes after PostgreSQL is back; to answer nothing would be to
    be killed for it, as soon as the outage lasts longer than liveness is patient.
    """
    if not _is_asked():
        served = worker.wsgi
        worker.wsgi = _closed(served)
        Thread(target=_open_later, args=[worker, served], name="opening", daemon=True).start()


def _open_later(worker: Any, served: Any) -> None:
    while not _is_asked():
        time.sleep(INTERVAL_SECONDS)
    worker.wsgi = served


def _is_asked() -> bool:
    """Return whether it is safe to serve, False if nobody can tell yet; end if it is not."""
    try:
        faults = _list_faults()
    except OperationalError as error:
        logger.error("Waiting for PostgreSQL, to ask whether it is safe to serve: %s", error)
        return False
    for fault in faults:
        logger.critical("Not safe to serve: %s", fault)
    if faults:
        # From whichever thread; nothing was served that could be cut short.
        os._exit(BOOT_ERROR)
    return True


def _closed(served: Any) -> Any:
    """Return an application that passes nothing on to `served` but the question if it lives."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == LIVE:
            passed: Iterable[bytes] = served(environ, start_response)
            return passed
        unavailable = DatabaseUnavailable(
            "PostgreSQL has not answered yet", retry_after=outages.RETRY_AFTER_SECONDS
        )
        response = errors.refuse(WSGIRequest(environ), unavailable)
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items()])
        return [response.content]

    return answer


def _list_faults() -> list[checks.CheckMessage]:
    """Return what the checks of tenancy and of security say, and nobody has silenced."""
    # First without a server: a connection that may not be made says less than its check.
    messages = checks.run_checks(tags=["tenancy", "security"], include_deployment_checks=True)
    faults = _faults(messages)
    if not faults:
        for alias in connections:
            _knock(connections[alias])
        try:
            faults = _faults(checks.run_checks(tags=["database"], databases=list(connections)))
        finally:
            connections.close_all()
    return faults


def _faults(messages: list[checks.CheckMessage]) -> list[checks.CheckMessage]:
    return [
        message
        for message in messages
        if message.level >= checks.WARNING and message.id not in MEANT and not message.is_silenced()
    ]


def _knock(connection: Any) -> None:
    """Connect once past the pool, which would not say why it cannot, and only after a while."""
    knocking = connection.copy()
    options = knocking.settings_dict["OPTIONS"]
    options.pop("pool", None)
    options.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
    try:
        knocking.ensure_connection()
    finally:
        knocking.close()
