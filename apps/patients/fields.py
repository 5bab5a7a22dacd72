"""
Columns that give a record back digit for digit.

A laboratory that writes 1.50 has measured more finely than one that writes 1.5, and
FHIR asks that the difference be kept. Django's DecimalField pads to a fixed number of
places, and JSON read into floats forgets it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
from django.core import checks
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

_LONGEST_INT = 19  # digits, or a sign and one less: what always fits into 64 bits


class ExactDecimalField(models.DecimalField):  # type: ignore[type-arg]  # generic in stubs only
    """A number of any length and scale: PostgreSQL's numeric without a precision."""

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        # A DecimalField must say how many digits it has; this one is the exception.
        without_limits = {"fields.E130", "fields.E132"}
        return [found for found in super().check(**kwargs) if found.id not in without_limits]

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"

    def cast_db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"


def dumps(value: Any) -> bytes:
    """Return JSON in which each Decimal is the number that was read."""
    return orjson.dumps(value, default=_number)


def dumps_sorted(value: Any) -> bytes:
    """Return JSON that is the same for equal values, whatever the order of their keys."""
    return orjson.dumps(value, default=_number, option=orjson.OPT_SORT_KEYS)


def loads(text: str | bytes) -> Any:
    """Return what JSON says, its fractions as Decimal. NaN and Infinity are no JSON."""
    return json.loads(
        text, parse_float=Decimal, parse_int=_whole_number, parse_constant=_refuse_constant
    )


def _number(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no place in JSON.")


def _whole_number(digits: str) -> int | Decimal:
    """Return an int, as long as it is one that orjson can write again."""
    return int(digits) if len(digits) < _LONGEST_INT else Decimal(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


class ExactEncoder(json.JSONEncoder):
    def encode(self, o: Any) -> str:
        return dumps(o).decode()


class ExactDecoder(json.JSONDecoder):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "parse_float": Decimal, "parse_int": _whole_number})


class ExactJSONField(models.JSONField):
    """JSON whose fractions come back as the Decimal that went in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("encoder", ExactEncoder)
        kwargs.setdefault("decoder", ExactDecoder)
        super().__init__(*args, **kwargs)
