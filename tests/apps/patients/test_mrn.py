"""How a clinic numbers its patients."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from apps.patients import mrn
from apps.patients.models import Patient
from tenancy import context

NUMBERS = [1, 42, 999, 4711, 90909, 123456, 999999, 1000000]


class TestCheckDigit:
    @pytest.mark.parametrize("number", NUMBERS)
    def test_agrees_with_the_number_it_was_made_for(self, number):
        assert mrn.is_valid(mrn.compose(prefix="ELM", number=number))

    @pytest.mark.parametrize("number", NUMBERS)
    def test_finds_every_mistyped_digit(self, number):
        right = mrn.compose(prefix="", number=number)

        for place, digit in enumerate(right):
            for other in set("0123456789") - {digit}:
                assert not mrn.is_valid(right[:place] + other + right[place + 1 :])

    @pytest.mark.parametrize("number", NUMBERS)
    def test_finds_every_swap_of_neighbours(self, number):
        right = mrn.compose(prefix="", number=number)

        for place in range(len(right) - 1):
            swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
            assert swapped == right or not mrn.is_valid(swapped)

    @pytest.mark.parametrize("text", ["", "ELM", "ELM12", "ELM00000 4", "elm0000420", "0000٤٢٠"])
    def test_is_not_asked_of_what_has_not_the_form(self, text):
        assert not mrn.is_valid(text)


class TestNextMrn:
    def test_has_the_clinics_letters_six_digits_and_a_check_digit(self, in_elm):
        number = mrn.next_mrn()

        assert number.startswith("ELM")
        assert len(number) == 10
        assert mrn.is_valid(number)

    def test_never_repeats(self, in_elm):
        numbers = [mrn.next_mrn(), *mrn.next_mrns(5), mrn.next_mrn()]

        assert len(set(numbers)) == 7

    def test_counts_for_each_clinic_by_itself(self, in_elm, oak):
        """
        What Oak draws from its sequence leaves no gap in Elm's.
        """
        first = mrn.next_mrn()
        with context.override(oak.as_active(), in_transaction=True):
            mrn.next_mrns(10)
        second = mrn.next_mrn()

        assert int(second[3:-1]) == int(first[3:-1]) + 1


class TestPatient:
    def test_is_given_a_number_when_saved_without_one(self, in_elm):
        patient = Patient.objects.create(family="Murray")

        assert mrn.is_valid(patient.mrn)
        assert Patient.objects.get(mrn=patient.mrn) == patient

    def test_keeps_its_number_when_saved_again(self, in_elm):
        patient = Patient.objects.create(family="Murray")
        number = patient.mrn

        patient.family = "Doyle"
        patient.save()

        assert Patient.objects.get().mrn == number

    def test_is_given_a_number_when_many_are_created_at_once(self, in_elm):
        Patient.objects.bulk_create([Patient(family="Murray"), Patient(family="Doyle")])

        assert len({patient.mrn for patient in Patient.objects.all() if patient.mrn}) == 2

    def test_cannot_share_a_number(self, in_elm):
        patient = Patient.objects.create(family="Murray")

        with pytest.raises(IntegrityError, match="mrn"), transaction.atomic():
            Patient.objects.create(family="Doyle", mrn=patient.mrn)
