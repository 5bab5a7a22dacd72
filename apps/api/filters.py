"""
What may a list be asked for?

Parameters have the names of FHIR R4's search in snake_case, with `_ge` and `_le` where
FHIR writes a prefix before the date. Each refuses what it does not understand, with the
value and what to type instead.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any, Literal

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field

Bound = Literal["in", "ge", "le"]

_DATE = re.compile(r"^([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?$")


@dataclass(frozen=True, slots=True)
class Span:
    """A day; or a month, with `day` 0; or a year, with `month` 0 too."""

    year: int
    month: int = 0
    day: int = 0

    @property
    def first(self) -> date:
        return date(self.year, self.month or 1, self.day or 1)

    @property
    def after(self) -> date:
        """The first day that is no longer of it."""
        month = self.month or 12
        last = date(self.year, month, self.day or monthrange(self.year, month)[1])
        return last + timedelta(days=1)


class SpanField(forms.CharField):
    def clean(self, value: Any) -> Span | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            return _read_span(text)
        except (ValueError, OverflowError) as error:
            raise ValidationError(
                "%(value)r is no date. Use YYYY-MM-DD, YYYY-MM or YYYY.",
                code="invalid",
                params={"value": text},
            ) from error


class DateFilter(django_filters.Filter):  # type: ignore[misc]  # untyped
    """Rows whose date is in a day, a month or a year; not before it; or not after it."""

    field_class = SpanField

    def __init__(self, *, bound: Bound = "in", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bound = bound
        _describe(self, {"type": "string", "pattern": _DATE.pattern})

    def filter(self, queryset: QuerySet[Any], value: Span | None) -> QuerySet[Any]:
        if value is None:
            return queryset
        column = self.model._meta.get_field(self.field_name)
        as_bound = _start_of if isinstance(column, models.DateTimeField) else _same_day
        since = Q(**{f"{self.field_name}__gte": as_bound(value.first)})
        until = Q(**{f"{self.field_name}__lt": as_bound(value.after)})
        return queryset.filter({"in": since & until, "ge": since, "le": until}[self.bound])


class SinceFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]  # untyped
    """Rows that are not older than a moment."""

    def __init__(self, **kwargs: Any) -> None:
        invalid = (
            "This is no moment in time. Use, for example, 2026-03-01T08:00:00Z; write the + of a "
            "time zone as %%2B."
        )
        super().__init__(lookup_expr="gte", error_messages={"invalid": invalid}, **kwargs)
        _describe(self, {"type": "string", "format": "date-time"})


class BooleanFilter(django_filters.TypedChoiceFilter):  # type: ignore[misc]  # untyped
    """Rows of which something is so, or is not. What is neither is refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            choices=[("true", "true"), ("false", "false")],
            coerce=lambda text: text == "true",
            error_messages={"invalid_choice": "%(value)r is neither true nor false."},
            **kwargs,
        )
        _describe(self, {"type": "boolean"})


class CodesFilter(django_filters.BaseInFilter, django_filters.ChoiceFilter):  # type: ignore[misc]  # untyped
    """Rows with one of the codes given, which must be of the value set."""

    def __init__(self, codes: type[models.TextChoices], **kwargs: Any) -> None:
        known = ", ".join(codes.values)
        super().__init__(
            choices=codes.choices,
            error_messages={"invalid_choice": f"%(value)r is not one of: {known}."},
            **kwargs,
        )


class TextsFilter(django_filters.BaseInFilter, django_filters.CharFilter):  # type: ignore[misc]  # untyped
    """Rows with one of the codes given, where countries may add to the value set."""


class TokensFilter(django_filters.BaseCSVFilter, django_filters.CharFilter):  # type: ignore[misc]  # untyped
    """
    Rows with one of the codes given, each as `code`, `system|code`, `|code` or `system|`.

    `|code` is a code without a system, `system|` any code of one.
    """

    def __init__(self, *, system: str, code: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.system = system
        self.code = code

    def filter(self, queryset: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        if not value:
            return queryset
        return queryset.filter(self.condition(value))

    def condition(self, tokens: list[str]) -> Q:
        return reduce(or_, (self._matches(token) for token in tokens))

    def _matches(self, token: str) -> Q:
        system, bar, code = token.rpartition("|")
        if not bar:
            return Q(**{self.code: code})
        if not code:
            return Q(**{self.system: system})
        return Q(**{self.system: system, self.code: code})


class Ordering(django_filters.OrderingFilter):  # type: ignore[misc]  # untyped
    """
    The order asked for, out of those that are allowed.

    What is not recorded comes last either way, and the id decides between equals, so
    that no row is on two pages or on none.
    """

    def __init__(self, **fields: str) -> None:
        """Take what may be named in the parameter, and the column behind each."""
        known = ", ".join(f"{name}, -{name}" for name in fields)
        super().__init__(
            fields=[(column, name) for name, column in fields.items()],
            error_messages={"invalid_choice": f"%(value)r is not one of: {known}."},
        )

    def filter(self, queryset: QuerySet[Any], value: list[str] | None) -> QuerySet[Any]:
        if not value:
            return queryset
        return queryset.order_by(*(self._expression(name) for name in value), "pk")

    def _expression(self, name: str) -> OrderBy:
        column: str = self.get_ordering_value(name)
        if column.startswith("-"):
            return F(column[1:]).desc(nulls_last=True)
        return F(column).asc(nulls_last=True)


def _describe(parameter: Any, schema: dict[str, Any]) -> None:
    """Say what a parameter looks like where drf-spectacular would guess, and guess wrong."""
    extend_schema_field({**schema, "description": parameter.extra.get("help_text", "")})(parameter)


def _read_span(text: str) -> Span:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    parts = [int(part) for part in found.groups() if part]
    if 0 in parts:
        raise ValueError(text)
    span = Span(*parts)
    _ = span.first, span.after  # raises where there is no such day
    return span


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())


def _same_day(day: date) -> date:
    return day
