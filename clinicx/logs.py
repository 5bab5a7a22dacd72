"""
What does a line of the log look like?

JSON where machines read it, words where people do. Both say no more of an error than
`tenancy.discretion` lets them, and a line is one line whatever was put into it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from tenancy import discretion

logger = logging.getLogger(__name__)

# Loggers whose messages hold no patient's data: our own, and those of servers about themselves.
TRUSTED = ("tenancy", "clinicx", "apps", "gunicorn", "psycopg.pool", "celery.beat")
# What else a record may bring. Whatever is not here stays out: libraries put requests, bodies
# and tasks' arguments there.
FIELDS = (
    *("request_id", "tenant", "tenant_id", "method", "route", "status", "milliseconds", "bytes"),
    *("task", "task_id"),
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# "/app/patients/models.py:12: RuntimeWarning: ..." and then the values.
_KIND_OF_WARNING = re.compile(r"^(\S+:\d+: \w+)")


class Json(JsonFormatter):
    """A JSON object a line: time, level, logger, message, pod, and what is known of FIELDS."""

    def __init__(self, *, pod: str) -> None:
        super().__init__(json_ensure_ascii=True)
        self._pod = pod

    def format(self, record: logging.LogRecord) -> str:
        # Not through the library's own, which takes whatever it finds on the record.
        facts = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "pod": self._pod,
            **_known(record),
        }
        if error := _error(record):
            facts["error"] = discretion.describe(error)
            facts["frames"] = discretion.frames(error, _trace(record))
        return self.serialize_log_record(facts)


class Words(logging.Formatter):
    """Words, for a laptop: everything that an error says, and its traceback."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<7} {name}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        said = super().formatMessage(record)
        return f"{said} {_facts(record)}" if record.name == "tenancy.requests" else said


class Line(logging.Formatter):
    """The same as Json, as words."""

    def __init__(self, *, pod: str) -> None:
        super().__init__()
        self._pod = pod

    def format(self, record: logging.LogRecord) -> str:
        words = [_time(record), f"{record.levelname:<7}", f"{record.name}:", _message(record)]
        words.append(f"pod={self._pod} {_facts(record)}")
        if error := _error(record):
            words.append(" < ".join(reversed(discretion.frames(error, _trace(record)))))
        return _CONTROL.sub(lambda found: repr(found[0])[1:-1], " ".join(words))


class Console(logging.StreamHandler[TextIO]):
    """Standard error. Logging's own says of a line that it cannot write all that is in it."""

    def handleError(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"A line of {record.name}, line {record.lineno}, was not writable.\n")


def catch_the_rest() -> None:
    """
    Let be a line too what Python would write past every formatter, values and all.

    That are warnings, and errors that nobody caught: of a thread, of an object's end, and of
    the program itself.
    """
    logging.captureWarnings(True)
    threading.excepthook = _say_of_thread
    sys.unraisablehook = _say_of_end
    sys.excepthook = _say_of_program


def _say_of_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None:
        logger.error("a thread ended with an error", exc_info=failure.exc_value)


def _say_of_end(failure: Any) -> None:
    if failure.exc_value is not None:
        logger.error("an error was ignored", exc_info=failure.exc_value)


def _say_of_program(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.critical("ended with an error", exc_info=(kind, error, trace))


class OnlyErrors(logging.Filter):
    """
    Keeps what Django's logger of requests says of errors, and drops what it says of statuses.

    These are in the request's own line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return _error(record) is not None


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    if record.name == "py.warnings":
        kind = _KIND_OF_WARNING.match(record.getMessage())
        return kind[1] if kind else "a warning"
    if isinstance(record.msg, Mapping):
        return discretion.HIDDEN
    if isinstance(record.msg, BaseException):
        return discretion.describe(record.msg)
    # Django puts the words of a suspicious request's error here, the client's own often.
    if record.name.startswith("django.security."):
        return record.name.removeprefix("django.security.")
    return discretion.message(record, trusted=TRUSTED)


def _known(record: logging.LogRecord) -> dict[str, Any]:
    found = ((name, getattr(record, name, None)) for name in FIELDS)
    return {name: value for name, value in found if value is not None and value != ""}


def _facts(record: logging.LogRecord) -> str:
    return " ".join(f"{name}={value}" for name, value in _known(record).items())


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def _trace(record: logging.LogRecord) -> TracebackType | None:
    trace = record.exc_info[2] if isinstance(record.exc_info, tuple) else None
    return trace if isinstance(trace, TracebackType) else None
