"""What a patient's own row repeats of the names and numbers beside it."""

from __future__ import annotations

from apps.patients import registry
from apps.patients.models import Patient


class TestRefresh:
    def test_lists_the_patient_under_the_official_name(self, in_elm):
        patient = Patient.objects.create()
        patient.names.create(use="maiden", family="Doyle", given=["Ann"])
        patient.names.create(use="official", family="Murray", given=["Ann", "Lee"], position=1)

        registry.refresh([patient])

        patient.refresh_from_db()
        assert (patient.family, patient.given) == ("Murray", "Ann Lee")
        assert patient.search_text == " murray ann lee doyle"

    def test_takes_a_name_that_came_in_one_piece(self, in_elm):
        patient = Patient.objects.create()
        patient.names.create(text="Madonna Ciccone")

        registry.refresh([patient])

        patient.refresh_from_db()
        assert patient.full_name == "Madonna Ciccone"

    def test_empties_what_no_longer_has_a_name(self, in_elm):
        patient = Patient.objects.create(family="Murray", search_text=" murray")

        registry.refresh([patient])

        patient.refresh_from_db()
        assert (patient.family, patient.search_text) == ("", "")

    def test_counts_as_an_update(self, in_elm):
        patient = Patient.objects.create()
        patient.names.create(family="Murray")

        registry.refresh([patient])

        before = patient.updated_at
        patient.refresh_from_db()
        assert patient.updated_at > before

    def test_writes_the_numbers_as_they_are_searched(self, in_elm):
        patient = Patient.objects.create()
        identifier = patient.identifiers.create(value="999-81-5679")
        phone = patient.telecoms.create(system="phone", value="(020) 7946-0018")
        email = patient.telecoms.create(system="email", value="ann1981@example.com")

        registry.refresh([patient])

        for row in (identifier, phone, email):
            row.refresh_from_db()
        assert identifier.search_value == "999815679"
        assert phone.reversed_digits == "8100649702"
        assert email.reversed_digits == ""
