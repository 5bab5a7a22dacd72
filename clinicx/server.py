"""
What does gunicorn say of a request, and to whom sent it, when that is no request?

Nothing of what came: a request line has a path, and what stands where a header should be may
be a form.
"""

from __future__ import annotations

from types import FrameType
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from tenancy.health import draining


class Logger(GunicornLogger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own, without its line for each request: `tenancy.logs` writes one."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        pass


class Worker(ThreadWorker):  # type: ignore[misc]  # likewise
    """
    gthread's own, which logs and answers of a wrong request only how it was wrong, and says
    that it is not ready while it ends.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end: no new connection is taken, and what is open is answered."""
        # Who asks on a connection that is kept is not to send more here.
        draining.begin()
        super().handle_exit(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Log and answer what kind of mistake it was, in place of the words that were sent."""
        if isinstance(exc, ParseException):
            _silence(exc)
        super().handle_error(None, client, addr, exc)


def _silence(error: ParseException) -> None:
    """Let `error` say its kind alone; for gunicorn it stays of that kind."""
    kind = type(error)
    error.__class__ = type(kind.__name__, (kind,), {"__str__": lambda self: kind.__name__})
