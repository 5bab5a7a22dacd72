"""How names, dates and spans of time are written for people to read."""

from __future__ import annotations

from datetime import date, datetime

from django.utils import timezone
from django.utils.dateformat import format as write

# Day first, and the month as a word: nobody can take it for another date.
DAY = "j M Y"
MONTH = "M Y"
MOMENT = "j M Y, H:i"


def initials(name: str) -> str:
    """Return the first letters of the first and the last word: at most two, in capitals."""
    words = [word for word in name.split() if word[0].isalpha()]
    if not words:
        return "?"
    return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()


def day(value: date | datetime | None) -> str:
    """Write a day, for example 14 Feb 1981; a moment by the day it is in the clinic's zone."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = _in_clinic(value)
    return write(value, DAY)


def month(value: date | datetime | None) -> str:
    """Write a month, for example Feb 1981."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = _in_clinic(value)
    return write(value, MONTH)


def moment(value: datetime | None) -> str:
    """Write a day and a time in the clinic's zone, for example 14 Feb 1981, 09:05."""
    return "" if value is None else write(_in_clinic(value), MOMENT)


def part_of_date(value: date | None, *, precision: str) -> str:
    """Write no more of a date than is known; `precision` is Y, YM or YMD."""
    if value is None:
        return ""
    return write(value, {"Y": "Y", "YM": MONTH}.get(precision, DAY))


def span(start: date, end: date) -> str:
    """Write how long it is between two days, as an age is said: by days, weeks, months, years."""
    months = (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
    days = (end - start).days
    if months >= 24:
        return _count(months // 12, "year")
    if months >= 2:
        return _count(months, "month")
    if days >= 14:
        return _count(days // 7, "week")
    return _count(max(days, 0), "day")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _in_clinic(value: datetime) -> datetime:
    return timezone.localtime(value) if timezone.is_aware(value) else value
