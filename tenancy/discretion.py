"""
What may a line of the log say of a failure? What kind it is and where; nobody's data.

What an exception says may be a value: PostgreSQL's detail has the row in it. What a library
fills into its messages may be one as well: a path, what a task was given, what it returned.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured

from tenancy.errors import TenancyError

HIDDEN = "..."

# Errors whose words are a programmer's.
OUTSPOKEN = (TenancyError, ImproperlyConfigured)
# PostgreSQL, appendix A: data exceptions, broken constraints, what a function raises. Their words
# have values in them.
TELLING_VALUES = ("22", "23", "P0")
# What is filled in by these names is no data: Celery's.
NAMES = frozenset({"name", "id", "description", "hostname", "runtime"})

# Of a frame only as much as says which file it is.
_PARTS_OF_PATH = 3
# A recursion that does not end has a thousand frames that say the same.
_MOST_FRAMES = 40


def message(record: logging.LogRecord, *, trusted: Collection[str]) -> str:
    """
    Return what `record` says.

    A logger below one that is `trusted` is believed to say no data. Of any other only the
    message itself is kept, with the numbers that it fills in and the kinds of its errors.
    """
    is_trusted = any(_is_below(record.name, logger) for logger in trusted)
    if isinstance(record.args, Mapping):
        filled: Any = _Named(record.args, is_trusted)
    elif record.args:
        filled = tuple(_shown(value, is_trusted) for value in record.args)
    else:
        return str(record.msg)
    try:
        return str(str(record.msg) % filled)
    except (KeyError, TypeError, ValueError):
        return str(record.msg)


def _is_below(name: str, logger: str) -> bool:
    return name == logger or name.startswith(f"{logger}.")


class _Named(dict[str, Any]):
    """What is filled in by name."""

    def __init__(self, values: Mapping[str, Any], is_trusted: bool) -> None:
        super().__init__(
            (name, _shown(value, is_trusted or name in NAMES)) for name, value in values.items()
        )


def _shown(value: Any, is_trusted: bool) -> Any:
    if isinstance(value, BaseException):
        return describe(value)
    if is_trusted or isinstance(value, (int, float, type(None))):
        return value
    return HIDDEN


def describe(error: BaseException) -> str:
    """Return what kind of error this is, and its words only where they cannot be data."""
    kind = type(error).__qualname__
    if isinstance(error, OUTSPOKEN):
        return f"{kind}: {error}"
    if said := _of_postgresql(error):
        return f"{kind}: {said}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {error.errno}"  # its words have the name of a file
    return kind


def _of_postgresql(error: BaseException) -> str:
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.Error):
        return ""
    diagnosis = cause.diag
    if cause.sqlstate is None:
        # No statement was answered: the connection was not made, or is lost.
        is_connection = isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError))
        return str(cause) if is_connection else ""
    facts = [cause.sqlstate]
    if not cause.sqlstate.startswith(TELLING_VALUES):
        facts.append(diagnosis.message_primary or "")
    facts += [name for name in (diagnosis.table_name, diagnosis.constraint_name) if name]
    return " ".join(facts)


def frames(error: BaseException | None, trace: TracebackType | None = None) -> list[str]:
    """
    Return where `error` was raised, and before it whatever caused it, the first of all first.

    Each error is a line with what describe() says of it, below the lines of its frames: file,
    number and function, and no value of any variable.
    """
    lines: list[str] = []
    for each in reversed(list(_chain(error))):
        found = trace if each is error and trace is not None else each.__traceback__
        lines += [*_frames(found), describe(each)]
    return lines


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-_PARTS_OF_PATH:])}:{number} "
        f"{frame.f_code.co_name}"
        for frame, number in list(traceback.walk_tb(trace))[-_MOST_FRAMES:]
    ]
