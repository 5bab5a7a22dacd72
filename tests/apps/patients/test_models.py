"""What a patient's record says of itself."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import IntegrityError, transaction

from apps.patients.models import Patient, PatientTelecom

DAY = date(2024, 6, 15)


class TestAge:
    @pytest.mark.parametrize(
        ("born", "years"),
        [
            (date(1981, 6, 15), 43),
            (date(1981, 6, 16), 42),
            (date(2024, 6, 15), 0),
            (date(2025, 1, 1), 0),
        ],
    )
    def test_is_in_full_years(self, born, years):
        patient = Patient(birth_date=born, birth_date_precision="YMD")

        assert patient.age(at=DAY) == years

    def test_is_today_unless_a_day_is_given(self):
        patient = Patient(birth_date=date(2000, 1, 1), birth_date_precision="YMD")

        assert patient.age() == patient.age(at=datetime.now(UTC).date())

    def test_of_the_dead_is_that_at_death(self):
        patient = Patient(
            birth_date=date(1935, 12, 29),
            birth_date_precision="YMD",
            deceased=True,
            deceased_at=datetime(1999, 12, 28, 12, tzinfo=UTC),
        )

        assert patient.age(at=DAY) == 63

    def test_is_unknown_without_a_birth_date_or_a_date_of_death(self):
        assert Patient().age(at=DAY) is None
        assert (
            Patient(birth_date=DAY, birth_date_precision="YMD", deceased=True).age(at=DAY) is None
        )


class TestBirthDateText:
    @pytest.mark.parametrize(
        ("precision", "text"), [("Y", "1981"), ("YM", "1981-02"), ("YMD", "1981-02-01")]
    )
    def test_says_no_more_than_is_known(self, precision, text):
        patient = Patient(birth_date=date(1981, 2, 1), birth_date_precision=precision)

        assert patient.birth_date_text == text


class TestName:
    def test_says_so_when_there_is_none(self):
        assert Patient().full_name == "Name not recorded"


class TestConstraints:
    @pytest.mark.parametrize(
        "fields",
        [
            {"gender": "m"},
            {"birth_date": DAY},
            {"birth_date_precision": "Y"},
            {"birth_date": DAY, "birth_date_precision": "D"},
            {"deceased_at": datetime(2024, 1, 1, tzinfo=UTC)},
        ],
    )
    def test_refuse_what_fhir_does_not_know(self, in_elm, fields):
        with pytest.raises(IntegrityError), transaction.atomic():
            Patient.objects.create(**fields)

    def test_hold_for_the_parts_too(self, in_elm):
        patient = Patient.objects.create()

        with pytest.raises(IntegrityError), transaction.atomic():
            PatientTelecom.objects.create(patient=patient, system="mail", value="1")
