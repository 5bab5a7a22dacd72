"""What of a resource becomes which column, and that nothing of it is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from apps.chart.models import (
    AllergyIntolerance,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
)
from apps.fhir.chunk import Outcome
from apps.fhir.mapping.elements import is_same, moment
from apps.fhir.models import RawResource, SourceName
from apps.patients import mrn
from apps.patients.models import Patient
from apps.scheduling.models import Practitioner
from tests.apps.fhir.conftest import ENCOUNTER, FILES, PATIENT, said, stored, totals

NINE_FIFTEEN = datetime(2018, 5, 4, 13, 15, tzinfo=UTC)


@pytest.fixture
def imported(in_elm, take_in):
    """María and her visit are at Elm."""
    results = take_in(FILES / "maria.json")
    assert said(results) == []


class TestPatient:
    @pytest.fixture(autouse=True)
    def _imported(self, imported):
        self.maria = Patient.objects.get()

    def test_has_a_number_of_the_clinic_and_keeps_those_of_the_source(self):
        assert mrn.is_valid(self.maria.mrn)
        numbers = [(each.type_code, each.value) for each in self.maria.identifiers.all()]
        assert numbers == [
            ("", "r-1"),
            ("MR", "MR-0001"),
            ("SS", "999-12-3456"),
            ("DL", "S99912345"),
            ("PPN", "X1234567X"),
        ]

    def test_has_an_official_and_a_maiden_name(self):
        assert self.maria.full_name == "María Luisa O'Hara-Núñez"
        assert [(name.use, name.family) for name in self.maria.names.all()] == [
            ("official", "O'Hara-Núñez"),
            ("maiden", "Núñez"),
        ]
        assert self.maria.search_text == " ohara nunez maria luisa oharanunez mrs".removesuffix(
            " mrs"
        )

    def test_is_born_as_precisely_as_is_known(self):
        assert self.maria.birth_date == date(1981, 2, 1)
        assert self.maria.birth_date_text == "1981-02"

    def test_has_parts(self):
        contact = self.maria.contacts.get()
        assert (contact.full_name, contact.phone) == ("Sean O'Hara", "555-000-1111")
        assert self.maria.telecoms.first().reversed_digits == "5789709555"
        assert self.maria.addresses.get().postal_code == "01331"
        assert self.maria.communications.get().language == "es"
        assert self.maria.marital_status == "M"

    def test_keeps_beside_it_what_has_no_column(self):
        geolocation = self.maria.addresses.get().extra["extension"][0]["extension"][0]
        assert geolocation["valueDecimal"] == Decimal("42.123456789012345")
        assert self.maria.extra["multipleBirthBoolean"] is False


class TestDeath:
    def test_has_its_moment(self, in_elm, take_in):
        take_in(FILES / "maria.json", FILES / "conditional.json")

        asa = Patient.objects.get(family="Lindqvist")

        assert asa.deceased
        assert asa.deceased_at == datetime(2019, 3, 4, 4, 6, 7, tzinfo=UTC)


class TestChart:
    @pytest.fixture(autouse=True)
    def _imported(self, imported):
        self.maria = Patient.objects.get()
        self.visit = Encounter.objects.get()

    def test_has_the_visit(self):
        assert self.visit.patient == self.maria
        assert self.visit.practitioner == Practitioner.objects.get()
        assert str(self.visit.practitioner) == "Dr. Ngozi Okafor"
        assert self.visit.class_code == "AMB"
        assert self.visit.service_provider == "Elm Street Surgery"
        assert self.visit.reason_display == "Sinusitis (disorder)"

    def test_has_the_problem_since_a_year(self):
        problem = Condition.objects.get()

        assert problem.encounter == self.visit
        assert problem.onset_at == datetime(2018, 1, 1, tzinfo=UTC)
        assert problem.extra["onsetDateTime"] == "2018"

    def test_has_the_allergy_with_its_reaction(self):
        allergy = AllergyIntolerance.objects.get()

        assert (allergy.display, allergy.categories) == ("House dust mite allergy", ["food"])
        assert allergy.is_severe
        assert allergy.reactions.get().manifestations == ["Hives"]

    def test_keeps_each_decimal(self):
        assert str(Observation.objects.get(code="29463-7").value_quantity) == "71.50123456789012"
        assert str(Observation.objects.get(code="8310-5").value_quantity) == "37.10"

    def test_finds_old_blood_pressure_under_todays_code(self):
        pressure = Observation.objects.get(code="85354-9")

        assert pressure.effective_at == NINE_FIFTEEN
        values = {each.code: each.value_quantity for each in pressure.components.all()}
        assert values == {"8480-6": Decimal(121), "8462-4": Decimal("80.0")}
        assert pressure.extra["code"]["coding"][1]["code"] == "55284-4"

    def test_finds_old_temperature_with_its_method(self):
        temperature = Observation.objects.get(code="8310-5")

        assert temperature.extra["method"] == {"text": "Oral"}

    def test_has_a_coded_value(self):
        smoking = Observation.objects.get(code="72166-2")

        assert (smoking.value_code, smoking.value_text) == ("266919005", "Never smoker")
        assert smoking.value_quantity is None

    def test_has_the_medication_in_words(self):
        medication = MedicationRequest.objects.get()

        assert medication.requester == self.visit.practitioner
        assert medication.dosage_text == "1 twice a day as needed"
        assert medication.is_due_for_review(at=NINE_FIFTEEN)

    def test_has_the_immunization(self):
        assert Immunization.objects.get().primary_source

    def test_has_beside_it_what_has_no_table(self):
        kept = RawResource.objects.exclude(resource_type="Organization")

        assert {raw.resource_type for raw in kept} == {
            "Procedure",
            "Claim",
            "ExplanationOfBenefit",
        }
        assert all(raw.patient == self.maria for raw in kept)
        assert RawResource.objects.get(resource_type="Organization").patient is None


class TestNothing:
    @pytest.mark.parametrize("name", ["maria.json", "relative.json"])
    def test_of_a_resource_is_lost(self, in_elm, take_in, files, name):
        """
        Columns and `extra` together give back every element that was written, except the
        offset of an instant; each reference names the row that it meant.
        """
        from apps.patients.fields import loads

        take_in(files / name)

        for entry in loads((files / name).read_bytes())["entry"]:
            resource = entry["resource"]
            imported_as = SourceName.objects.get(
                name__endswith=f"{resource['resourceType']}/{resource['id']}"
            ).resource
            kept = stored(imported_as.resource_type, imported_as.id)
            for element in resource.keys() - {"id", "resourceType", "code", "method"}:
                assert is_same(kept[element], _resolved(resource[element])), element
            if "code" in resource:
                written = resource["code"].get("coding", [])
                assert all(coding in kept["code"].get("coding", []) for coding in written)

    def test_of_a_rare_value_is_lost_and_it_can_be_read(self, in_elm, take_in, maria, write):
        rare = {
            "valueBoolean": (True, "yes"),
            "valueTime": ("12:30:00", "12:30:00"),
            "valueRange": (
                {"low": {"value": 1, "unit": "mg"}, "high": {"value": 2}},
                "1 mg to 2",
            ),
            "valueRatio": (
                {"numerator": {"value": 1, "comparator": "<"}, "denominator": {"value": 128}},
                "<1 : 128",
            ),
            "valuePeriod": ({"start": "2018", "end": "2019"}, "2018 to 2019"),
        }
        for position, (element, (value, _)) in enumerate(rare.items()):
            resource = {
                "resourceType": "Observation",
                "id": f"rare-{position}",
                "status": "final",
                "code": {"text": element},
                "subject": maria["entry"][ENCOUNTER]["resource"]["subject"],
                element: value,
            }
            maria["entry"].append({"fullUrl": f"urn:x:{position}", "resource": resource})

        assert said(take_in(write(maria))) == []

        for element, (value, words) in rare.items():
            row = Observation.objects.get(display=element)
            assert row.value_text == words
            kept = stored("Observation", row.pk)
            assert kept[element] == value
            assert "valueString" not in kept

    def test_is_written_into_a_column_that_is_too_short(self, in_elm, take_in, maria, write):
        patient = maria["entry"][PATIENT]["resource"]
        patient["address"][0]["city"] = "Llanfairpwllgwyngyll" * 20

        results = take_in(write(maria))

        assert said(results) == ["entry[2] Patient: has a city of more than 200 characters"]
        assert totals(results)[Outcome.FAILED.value] == 1


def _resolved(element):
    """Return `element` with each reference as the row of this clinic that it means."""
    if isinstance(element, dict):
        changed = {name: _resolved(value) for name, value in element.items()}
        if "reference" in element and not element["reference"].startswith("#"):
            source_id = element["reference"].split("/_history")[0].rpartition(":")[2]
            name = SourceName.objects.get(
                name__endswith=f"/{source_id.rpartition('Patient/')[2]}",
                name__contains=_kind(element["reference"]),
            )
            changed["reference"] = f"{name.resource.resource_type}/{name.resource_id}"
        return changed
    if isinstance(element, list):
        return [_resolved(value) for value in element]
    return element


def _kind(reference):
    return "Patient/" if "Patient/" in reference else "/"


class TestMoment:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2018", datetime(2018, 1, 1, tzinfo=UTC)),
            ("2018-05", datetime(2018, 5, 1, tzinfo=UTC)),
            ("2018-05-04", datetime(2018, 5, 4, tzinfo=UTC)),
            ("2018-05-04T09:15:00-04:00", NINE_FIFTEEN),
            ("2018-05-04T13:15:00Z", NINE_FIFTEEN),
            ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
            (None, None),
            ("", None),
        ],
    )
    def test_is_the_first_of_what_is_known(self, text, expected):
        assert moment(text) == expected

    def test_beyond_the_calendar_is_refused(self, in_elm, take_in, maria, write):
        maria["entry"][PATIENT]["resource"]["deceasedDateTime"] = "9999-12-31T23:59:59-14:00"
        del maria["entry"][PATIENT]["resource"]["deceasedBoolean"]

        assert said(take_in(write(maria))) == [
            "entry[2] Patient: has a date that is in no calendar"
        ]


class TestIds:
    def test_are_other_ones_at_another_clinic(self, in_elm, oak, take_in):
        from tenancy import context

        take_in(FILES / "maria.json")
        with context.override(oak.as_active(), in_transaction=True):
            take_in(FILES / "maria.json")
            at_oak = Patient.objects.get().pk

        assert isinstance(at_oak, UUID)
        assert Patient.objects.get().pk != at_oak
