"""Which days, months or years of birth a person may mean by what they typed."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from apps.patients.codes import BirthDatePrecision

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]

_YEAR_FIRST = re.compile(r"(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})")
_YEAR_MONTH = re.compile(r"(\d{4})[-/.](\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})")
_IN_ONE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_IN_ONE_YEAR_LAST = re.compile(r"(\d{2})(\d{2})(\d{4})")
_DAY_NAMED_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[-/. ]*([a-z]{3,9})[-/., ]*(\d{4}|\d{2})")
_NAMED_MONTH_DAY = re.compile(r"([a-z]{3,9})[-/. ]*(\d{1,2})(?:st|nd|rd|th)?[-/., ]+(\d{4}|\d{2})")
_NAMED_MONTH = re.compile(r"([a-z]{3,9})[-/., ]*(\d{4})")
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True, slots=True)
class Meant:
    """A day; or a month, with `day` 0; or a year, with `month` 0 too."""

    year: int
    month: int = 0
    day: int = 0

    def as_filter(self) -> Q:
        """Return the condition on a patient; a less precise record that may be it counts."""
        if not self.month:
            return Q(birth_date__range=(date(self.year, 1, 1), date(self.year, 12, 31)))
        only_year = Q(
            birth_date=date(self.year, 1, 1), birth_date_precision=BirthDatePrecision.YEAR
        )
        first = date(self.year, self.month, 1)
        if not self.day:
            last = date(self.year, self.month, monthrange(self.year, self.month)[1])
            return Q(birth_date__range=(first, last)) | only_year
        only_month = Q(birth_date=first, birth_date_precision=BirthDatePrecision.MONTH)
        exact = Q(
            birth_date=date(self.year, self.month, self.day),
            birth_date_precision=BirthDatePrecision.DAY,
        )
        return exact | only_month | only_year


def read(text: str, *, today: date) -> set[Meant]:
    """
    Return every birth date that `text` can mean, none if it is no date.

    14/2/81, 14.02.1981, 2/14/1981, 1981-02-14, 14 feb 1981, feb 1981 and 1981 are read.
    3/4/1981 means two days, as some write the month first; 81 may be 1981 but not 2081.
    """
    candidates = {meant for meant in _candidates(text.strip().casefold()) if _exists(meant, today)}
    if any(meant.day for meant in candidates):
        return {meant for meant in candidates if meant.day}
    return candidates


def _candidates(text: str) -> Iterator[Meant]:
    if found := _YEAR_FIRST.fullmatch(text) or _IN_ONE.fullmatch(text):
        year, month, day = map(int, found.groups())
        yield Meant(year, month, day)
    if found := _YEAR_LAST.fullmatch(text) or _IN_ONE_YEAR_LAST.fullmatch(text):
        first, second, written = found.groups()
        for year in _years(written):
            yield Meant(year, int(second), int(first))
            yield Meant(year, int(first), int(second))
    if (found := _DAY_NAMED_MONTH.fullmatch(text)) and (month := _month(found[2])):
        for year in _years(found[3]):
            yield Meant(year, month, int(found[1]))
    if (found := _NAMED_MONTH_DAY.fullmatch(text)) and (month := _month(found[1])):
        for year in _years(found[3]):
            yield Meant(year, month, int(found[2]))
    if (found := _NAMED_MONTH.fullmatch(text)) and (month := _month(found[1])):
        yield Meant(int(found[2]), month)
    if (found := _YEAR_MONTH.fullmatch(text)) and (month := int(found[2])):
        yield Meant(int(found[1]), month)
    if _YEAR.fullmatch(text):
        yield Meant(int(text))


def _years(written: str) -> list[int]:
    if len(written) == 4:
        return [int(written)]
    return [1900 + int(written), 2000 + int(written)]


def _month(name: str) -> int:
    """Return the month of which `name` is the beginning, 0 if it is of none."""
    return next((n for n, month in enumerate(_MONTHS, 1) if month.startswith(name)), 0)


def _exists(meant: Meant, today: date) -> bool:
    if not 1850 <= meant.year <= today.year:
        return False
    try:
        born = date(meant.year, meant.month or 1, meant.day or 1)
    except ValueError:
        return False
    return born <= today
