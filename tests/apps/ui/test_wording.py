"""How names, dates and spans of time are written for people."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.test import override_settings

from apps.ui import wording


class TestInitials:
    @pytest.mark.parametrize(
        ("name", "letters"),
        [
            ("Carla Echevarría", "CE"),
            ("María Luisa Razo", "MR"),
            ("émile Zola", "ÉZ"),
            ("Madonna", "M"),
            ("王 小明", "王小"),
            ("(Bo) Eichel", "E"),
            ("", "?"),
            ("42", "?"),
        ],
    )
    def test_are_of_the_first_and_the_last_word(self, name: str, letters: str) -> None:
        assert wording.initials(name) == letters


class TestDay:
    def test_has_the_month_as_a_word(self) -> None:
        assert wording.day(date(1981, 2, 14)) == "14 Feb 1981"

    @override_settings(TIME_ZONE="America/New_York")
    def test_of_a_moment_is_the_clinics(self) -> None:
        assert wording.day(datetime(2026, 1, 1, 3, 0, tzinfo=UTC)) == "31 Dec 2025"

    def test_of_nothing_is_nothing(self) -> None:
        assert wording.day(None) == ""


class TestMoment:
    @override_settings(TIME_ZONE="Europe/Lisbon")
    def test_is_in_the_clinics_zone(self) -> None:
        assert wording.moment(datetime(2026, 7, 1, 8, 5, tzinfo=UTC)) == "1 Jul 2026, 09:05"


class TestPartOfDate:
    @pytest.mark.parametrize(
        ("precision", "text"), [("Y", "1981"), ("YM", "Feb 1981"), ("YMD", "14 Feb 1981")]
    )
    def test_says_no_more_than_is_known(self, precision: str, text: str) -> None:
        assert wording.part_of_date(date(1981, 2, 14), precision=precision) == text


class TestSpan:
    @pytest.mark.parametrize(
        ("start", "text"),
        [
            (date(2026, 11, 20), "0 days"),
            (date(2026, 11, 19), "1 day"),
            (date(2026, 11, 6), "2 weeks"),
            (date(2026, 9, 21), "8 weeks"),
            (date(2026, 9, 20), "2 months"),
            (date(2024, 11, 21), "23 months"),
            (date(2024, 11, 20), "2 years"),
            (date(1981, 11, 21), "44 years"),
            (date(1981, 11, 20), "45 years"),
            (date(2027, 1, 1), "0 days"),
        ],
    )
    def test_is_said_as_an_age_is(self, start: date, text: str) -> None:
        assert wording.span(start, date(2026, 11, 20)) == text
