"""What counts as a FHIR R4 resource."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.fhir import validation

CODE = {"text": "Weight"}
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": CODE}
ALLERGY = {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"}}
CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"


def complaints(resource):
    return [f"{problem.path}: {problem.reason}" for problem in validation.check(resource)]


class TestSound:
    @pytest.mark.parametrize(
        "resource",
        [
            OBSERVATION,
            {**OBSERVATION, "valueQuantity": {"value": Decimal("1.50"), "comparator": "<"}},
            {**OBSERVATION, "status": "corrected", "effectiveDateTime": "2018-05"},
            {"resourceType": "Patient", "birthDate": "1981", "gender": "unknown"},
            {
                "resourceType": "Patient",
                "name": [{"given": [None], "_given": [{"extension": []}]}],
            },
            {**ALLERGY, "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "resolved"}]}},
            {**OBSERVATION, "contained": [{"resourceType": "Patient", "id": "p"}]},
        ],
    )
    def test_has_nothing_to_complain_about(self, resource):
        assert complaints(resource) == []


class TestShape:
    @pytest.mark.parametrize(
        ("resource", "complaint"),
        [
            ({}, "resourceType: is required"),
            ({"resourceType": 5}, "resourceType: is required"),
            ({"resourceType": "Person2"}, "resourceType: is not a resource type of FHIR R4"),
            ({"resourceType": "HumanName"}, "resourceType: is not a resource type of FHIR R4"),
            (
                {**OBSERVATION, "colour": "red"},
                "Observation.colour: is not an element of this type",
            ),
            ({"resourceType": "Observation", "code": CODE}, "Observation.status: is required"),
            (
                {"resourceType": "Patient", "name": [{"family": ["A"]}]},
                "Patient.name[0].family: must be text",
            ),
            ({"resourceType": "Patient", "name": {}}, "Patient.name: must be a list"),
            (
                {"resourceType": "Patient", "birthDate": "14/2/81"},
                "Patient.birthDate: is not a date",
            ),
            (
                {**OBSERVATION, "effectiveDateTime": "2018-05-04T09:15"},
                "Observation.effectiveDateTime: is not a date and time",
            ),
            (
                {**OBSERVATION, "valueString": "a", "valueBoolean": True},
                "Observation: has more than one of a choice's elements",
            ),
            ({**OBSERVATION, "valueString": None}, "Observation.valueString: must not be null"),
            (
                {**OBSERVATION, "contained": [{"resourceType": "Nothing"}]},
                "Observation: contains something that is not FHIR R4",
            ),
            (
                {**OBSERVATION, "contained": [{"resourceType": {"text": "x"}}]},
                "Observation: contains something that is not FHIR R4",
            ),
        ],
    )
    def test_is_named_with_its_element(self, resource, complaint):
        assert complaints(resource) == [complaint]

    @pytest.mark.parametrize(
        ("element", "complaint"),
        [
            ({"valueQuantity": {"value": "1.5"}}, "valueQuantity.value: must be a number"),
            ({"valueInteger": "2"}, "valueInteger: must be a whole number"),
            ({"valueBoolean": "true"}, "valueBoolean: must be true or false"),
        ],
    )
    def test_of_a_number_is_not_text(self, element, complaint):
        """
        fhir.resources takes "1.5" for a number; JSON and FHIR do not.
        """
        assert complaints({**OBSERVATION, **element}) == [f"Observation.{complaint}"]

    @pytest.mark.parametrize("text", ["a\x00b", "é\x00", "half a pair \ud800"])
    def test_has_no_text_that_cannot_be_stored(self, text):
        assert len(complaints({**OBSERVATION, "note": [{"text": text}]})) == 1

    def test_never_shows_a_value(self):
        resource = {
            "resourceType": "Patient",
            "gender": "Secret",
            "birthDate": "Secret",
            "name": [{"family": 5, "given": "Secret", "Secret\x1b[2J": 1}],
        }

        assert "\x1b" not in "".join(complaints(resource))
        assert "Secret" not in "".join(complaints(resource))


class TestCodes:
    @pytest.mark.parametrize(
        ("resource", "path"),
        [
            ({**OBSERVATION, "status": "finale"}, "Observation.status"),
            ({"resourceType": "Patient", "gender": "f"}, "Patient.gender"),
            (
                {"resourceType": "Patient", "name": [{"use": "birth"}]},
                "Patient.name[0].use",
            ),
            (
                {
                    **OBSERVATION,
                    "component": [{"code": CODE, "valueQuantity": {"comparator": "~"}}],
                },
                "Observation.component[0].valueQuantity.comparator",
            ),
            ({**ALLERGY, "category": ["food", "dust"]}, "AllergyIntolerance.category[1]"),
            (
                {**OBSERVATION, "contained": [{"resourceType": "Patient", "gender": "f"}]},
                "Observation.contained[0].gender",
            ),
            ({"resourceType": "Task", "status": "todo", "intent": "order"}, "Task.status"),
        ],
    )
    def test_must_be_of_the_required_value_set(self, resource, path):
        """
        fhir.resources does not look at codes at all.
        """
        assert [problem.path for problem in validation.check(resource)] == [path]

    @pytest.mark.parametrize(
        "status",
        [
            {"text": "active"},
            {"coding": [{"code": "active"}]},
            {"text": "active", "coding": []},
            {"coding": [{"system": CLINICAL, "code": "recurrence"}]},
        ],
    )
    def test_of_a_required_concept_must_be_of_its_system(self, status):
        (problem,) = validation.check({**ALLERGY, "clinicalStatus": status})

        assert problem.path == "AllergyIntolerance.clinicalStatus"
