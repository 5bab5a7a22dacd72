"""How a reference is found and read."""

from __future__ import annotations

import pytest

from apps.fhir import references

UUID = "0000000a-0000-4000-8000-000000000001"


class TestFind:
    def test_looks_everywhere(self):
        resource = {
            "resourceType": "Observation",
            "subject": {"reference": "Patient/1", "display": "Ann"},
            "performer": [{"display": "nobody"}, {"reference": "Practitioner/2"}],
            "contained": [{"subject": {"reference": "#"}}],
            "extension": [{"valueReference": {"reference": "urn:uuid:3"}}],
        }

        found = {(each.text, each.steps) for each in references.find(resource)}

        assert found == {
            ("Patient/1", ("subject", "reference")),
            ("Practitioner/2", ("performer", 1, "reference")),
            ("#", ("contained", 0, "subject", "reference")),
            ("urn:uuid:3", ("extension", 0, "valueReference", "reference")),
        }


class TestName:
    @pytest.mark.parametrize(
        ("reference", "base", "name"),
        [
            ("Patient/1", "", "Patient/1"),
            ("Patient/1/_history/2", "", "Patient/1"),
            ("Patient/1", "https://a.example/fhir", "https://a.example/fhir/Patient/1"),
            ("https://b.example/Patient/1", "https://a.example", "https://b.example/Patient/1"),
            (f"Patient/{UUID}", "https://a.example", f"Patient/{UUID}"),
            (f"https://b.example/Patient/{UUID}", "", f"Patient/{UUID}"),
            (f"urn:uuid:{UUID}", "", f"urn:uuid:{UUID}"),
            (
                "Practitioner?identifier=http://npi|99",
                "https://a.example",
                "Practitioner?identifier=http://npi|99",
            ),
            (
                "Practitioner?identifier=http%3A%2F%2Fnpi%7C99",
                "",
                "Practitioner?identifier=http://npi|99",
            ),
        ],
    )
    def test_is_the_same_for_the_same_resource(self, reference, base, name):
        assert references.name_of(reference, base=base) == name

    @pytest.mark.parametrize(
        "reference",
        [
            "",
            "Patient",
            "patient/1",
            "Patient?name=ann",
            "Practitioner?identifier=99",
            "Practitioner?identifier=|99",
            "Practitioner?identifier=http://npi|99&active=true",
            "mailto:ann@example.org",
        ],
    )
    def test_is_none_for_what_nobody_can_follow(self, reference):
        assert references.name_of(reference, base="") is None

    def test_fits_into_an_index_however_long_it_is(self):
        name = references.identifier_name("Patient", "http://a.example", "9" * 5000)
        other = references.identifier_name("Patient", "http://a.example", "9" * 5001)

        assert len(name) < 600
        assert name != other
