"""Columns that give a record back digit for digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.chart.models import Observation
from apps.patients import fields
from apps.patients.models import Patient


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            "1.50",
            "-0.0",
            "1E+3",
            "71.50123456789012345678",
            "9223372036854775808",
            "1" * 400,
            "9007199254740993",
        ],
    )
    def test_keeps_each_digit_of_a_number(self, text):
        assert fields.dumps(fields.loads(f"[{text}]")).decode() == f"[{text}]"

    @pytest.mark.parametrize("text", ["NaN", "-Infinity", "01", "1.", ".5", "'a'", ""])
    def test_is_nothing_else(self, text):
        with pytest.raises(ValueError, match=r"JSON|Expecting|Extra"):
            fields.loads(text)

    def test_sorted_is_the_same_for_the_same_content(self):
        one = fields.dumps_sorted({"a": 1, "b": [{"d": 1, "c": 2}]})
        other = fields.dumps_sorted({"b": [{"c": 2, "d": 1}], "a": 1})

        assert one == other

    def test_refuses_what_has_no_place_in_json(self):
        with pytest.raises(TypeError):
            fields.dumps({"a": object()})


class TestExactJSONField:
    def test_gives_back_what_went_in(self, in_elm):
        said = {"value": Decimal("1.50"), "text": 'O\'Hara "quoted" \\ ünï'}

        Patient.objects.create(extra=said)

        assert Patient.objects.get().extra == said
        assert str(Patient.objects.get().extra["value"]) == "1.50"

    def test_can_be_asked_for_what_is_inside(self, in_elm):
        Patient.objects.create(extra={"text": {"status": "generated"}})

        assert Patient.objects.filter(extra__text__status="generated").exists()


class TestExactDecimalField:
    @pytest.mark.parametrize("digits", ["1.50", "71.501234567890123456789", "1" * 60, "0.000"])
    def test_gives_back_each_digit(self, in_elm, digits):
        patient = Patient.objects.create()

        Observation.objects.create(patient=patient, status="final", value_quantity=Decimal(digits))

        assert str(Observation.objects.get().value_quantity) == digits
