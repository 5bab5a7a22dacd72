"""Which patients the one search box finds."""

from __future__ import annotations

from datetime import date

import pytest

from apps.patients.birth_date import read
from apps.patients.models import Patient
from apps.patients.search import search
from tenancy import context


def found(text: str) -> list[str]:
    return [patient.full_name for patient in search(Patient.objects.all(), text)]


class TestEmptyText:
    @pytest.mark.parametrize("text", ["", "   ", "\x00"])
    def test_returns_everybody_by_name_whatever_the_accents(self, in_elm, register, text):
        register("Zola", "Émile")
        register("Échevarría", "Carla")
        register("Doyle", "Ann")
        register("eichel", "Bo")

        assert found(text) == ["Ann Doyle", "Carla Échevarría", "Bo eichel", "Émile Zola"]


class TestNames:
    @pytest.fixture(autouse=True)
    def people(self, in_elm, register):
        register("Echevarría", "Carla", "María")
        register("Murray", "Fabian")
        register("O’Brien", "Siân")
        register("Smith-Jones", "Anne-Marie")
        register("Łukasz", "Bjørn", maiden="Strauß")
        register("de la Cruz", "Luis")
        register("小明", "王")

    @pytest.mark.parametrize("text", ["murray fabian", "fabian murray", "FABIAN", "mur fab"])
    def test_are_words_in_any_order(self, text):
        assert found(text) == ["Fabian Murray"]

    @pytest.mark.parametrize(
        "text", ["echevarria", "ECHEVARRÍA", "echevarri\u0301a", "maria carla"]
    )
    def test_need_no_accents(self, text):
        assert found(text) == ["Carla María Echevarría"]

    @pytest.mark.parametrize("text", ["lukasz", "bjorn", "Bjørn", "strauss", "STRAUSS"])
    def test_are_found_by_the_letters_beneath(self, text):
        assert found(text) == ["Bjørn Łukasz"]

    def test_are_found_by_the_maiden_name(self):
        assert found("Strauß") == ["Bjørn Łukasz"]

    @pytest.mark.parametrize("text", ["o'brien", "O’Brien", "obrien", "sian obrien"])
    def test_may_have_an_apostrophe(self, text):
        assert found(text) == ["Siân O’Brien"]

    @pytest.mark.parametrize("text", ["smith-jones", "jones", "smith jones", "smithjones", "marie"])
    def test_may_have_a_hyphen(self, text):
        assert found(text) == ["Anne-Marie Smith-Jones"]

    @pytest.mark.parametrize("text", ["de la cruz", "cruz", "delacruz", "cruz, luis"])
    def test_may_have_several_words(self, text):
        assert found(text) == ["Luis de la Cruz"]

    @pytest.mark.parametrize("text", ["小明", "小", "明", "王 小明"])
    def test_may_be_ideograms(self, text):
        assert found(text) == ["王 小明"]

    def test_must_each_fit(self):
        assert found("fabian doyle") == []

    @pytest.mark.parametrize("text", ["%", "_", "%abian", "fab_an", "f%", "\\", "100%"])
    def test_are_not_patterns(self, text):
        assert found(text) == []

    @pytest.mark.parametrize("text", ["-", "'", ",", "( )", "..."])
    def test_are_not_punctuation_alone(self, text):
        assert found(text) == []

    def test_may_be_a_whole_book(self):
        assert found("x" * 100_000) == []

    def test_follow_the_queryset(self):
        assert not search(Patient.objects.filter(gender="male"), "murray").exists()


class TestOrder:
    def test_puts_the_beginning_of_a_word_before_its_inside(self, in_elm, register):
        register("Alan", "Zoe")
        register("Zulu", "Lan")
        register("Landau", "Yves")

        assert found("lan") == ["Yves Landau", "Lan Zulu", "Zoe Alan"]

    def test_puts_this_record_number_first(self, in_elm, register):
        wanted = register("Zulu", "Wanted")
        number = wanted.mrn
        register("Alan", number)

        assert found(number.lower()) == ["Wanted Zulu", f"{number} Alan"]

    def test_puts_this_identifier_before_those_that_begin_like_it(self, in_elm, register):
        register("Alan", "Longer", identifier="999-81-56")
        register("Zulu", "Same", identifier="999-81")

        assert found("99981") == ["Same Zulu", "Longer Alan"]


class TestNumbers:
    def test_of_a_record_need_neither_letters_nor_zeros(self, in_elm, register):
        patient = register("Murray", "Fabian")
        register("Doyle", "Ann")
        digits = patient.mrn.removeprefix("ELM")

        assert found(patient.mrn) == ["Fabian Murray"]
        assert found(digits) == ["Fabian Murray"]
        assert "Fabian Murray" in found(digits.lstrip("0"))

    @pytest.mark.parametrize("text", ["999-81-5679", "999815679", "999 81 5679", "999-81"])
    def test_of_an_identifier_need_no_punctuation(self, in_elm, register, text):
        register("Murray", "Fabian", identifier="999-81-5679")
        register("Doyle", "Ann", identifier="123-45-6789")

        assert found(text) == ["Fabian Murray"]

    @pytest.mark.parametrize("text", ["x2345-b", "X2345B"])
    def test_of_an_identifier_may_have_letters(self, in_elm, register, text):
        register("Murray", "Fabian", identifier="X2345B")

        assert found(text) == ["Fabian Murray"]

    def test_may_be_part_of_a_name(self, in_elm, register):
        register("Yundt842", "Donya787")

        assert found("yundt842") == found("donya787 yundt") == ["Donya787 Yundt842"]


class TestTelephone:
    @pytest.mark.parametrize(
        ("noted", "text"),
        [
            ("555-907-9875", "9875"),
            ("555-907-9875", "(555) 907 9875"),
            ("555-907-9875", "+1 555 907 9875"),
            ("555-907-9875", "murray 907-9875"),
            ("+44 20 7946 0018", "020 7946 0018"),
            ("020 7946 0018", "+44 20 7946 0018"),
            ("06 12 34 56 78", "06 12 34 56 78"),
        ],
    )
    def test_is_found_by_its_end(self, in_elm, register, noted, text):
        register("Murray", "Fabian", phone=noted)
        register("Doyle", "Ann", phone="212-555-0100")

        assert found(text) == ["Fabian Murray"]

    def test_needs_four_digits(self, in_elm, register):
        register("Murray", "Fabian", phone="555-907-9875")

        assert found("875") == []


class TestBirthDate:
    @pytest.mark.parametrize(
        "text",
        [
            "1981-02-14",
            "14/2/81",
            "14/02/1981",
            "14.02.1981",
            "2/14/1981",
            "14-2-81",
            "14 2 1981",
            "14 feb 1981",
            "14 February 1981",
            "Feb 14, 1981",
            "14-Feb-81",
            "19810214",
            "14021981",
            "feb 1981",
            "1981-02",
            "1981",
            "murray 14/2/81",
            "14 feb 1981 fabian",
        ],
    )
    def test_is_read_in_many_formats(self, in_elm, register, text):
        register("Murray", "Fabian", born="1981-02-14")
        register("Doyle", "Ann", born="1982-03-15")

        assert found(text) == ["Fabian Murray"]

    def test_may_have_the_month_first(self, in_elm, register):
        register("Day", "First", born="1981-04-03")
        register("Month", "First", born="1981-03-04")

        assert found("3/4/1981") == ["First Day", "First Month"]

    def test_with_two_digits_is_of_either_century_but_not_ahead(self, in_elm, register):
        register("Old", "Very", born="1915-02-14")
        register("Young", "Very", born="2015-02-14")
        register("Adult", "An", born="1981-02-14")

        assert found("14/2/15") == ["Very Old", "Very Young"]
        assert found("14/2/81") == ["An Adult"]

    def test_is_not_ahead_by_a_day_either(self):
        assert read("15/6/2024", today=date(2024, 6, 15))
        assert not read("16/6/2024", today=date(2024, 6, 15))

    def test_fits_a_record_that_knows_only_the_month_or_year(self, in_elm, register):
        register("Month", "Only", born="1981-02")
        register("Year", "Only", born="1981")
        register("January", "First", born="1981-01-01")

        assert found("14/2/1981") == ["Only Month", "Only Year"]

    @pytest.mark.parametrize("text", ["31/2/1981", "14/13/1981", "99/99/9999", "1700-01-01"])
    def test_that_does_not_exist_finds_nobody(self, in_elm, register, text):
        register("Murray", "Fabian", born="1981-02-14")

        assert found(text) == []

    def test_may_be_a_name_all_the_same(self, in_elm, register):
        register("May", "Brian", born="1947-07-19")

        assert found("may 1947") == ["Brian May"]


class TestOtherClinics:
    def test_are_not_searched(self, in_elm, oak, register):
        register("Murray", "Fabian")

        with context.override(oak.as_active(), in_transaction=True):
            assert found("murray") == []
