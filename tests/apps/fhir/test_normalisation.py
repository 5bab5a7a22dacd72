"""Which codes of older files become today's."""

from __future__ import annotations

import pytest

from apps.fhir.normalisation import normalise

LOINC = "http://loinc.org"


def observation(*codes, **more):
    coding = [{"system": LOINC, "code": code} for code in codes]
    return {"resourceType": "Observation", "code": {"coding": coding, "text": "As said"}, **more}


class TestNormalise:
    @pytest.mark.parametrize(("old", "today"), [("55284-4", "85354-9"), ("8331-1", "8310-5")])
    def test_puts_todays_code_first_and_keeps_what_was_written(self, old, today):
        concept = normalise(observation(old))["code"]

        assert [coding["code"] for coding in concept["coding"]] == [today, old]
        assert concept["text"] == "As said"

    def test_says_by_which_method_a_temperature_was_taken(self):
        assert normalise(observation("8331-1"))["method"] == {"text": "Oral"}

    def test_keeps_a_method_that_was_given(self):
        given = observation("8331-1", method={"text": "Under the tongue"})

        assert normalise(given)["method"] == {"text": "Under the tongue"}

    @pytest.mark.parametrize(
        "resource",
        [
            observation("85354-9", "55284-4"),
            observation("29463-7"),
            observation(),
            {"resourceType": "Observation", "code": {"text": "55284-4"}},
            {
                "resourceType": "Observation",
                "code": {"coding": [{"system": "http://else", "code": "8331-1"}]},
            },
            {"resourceType": "Condition", "code": {"coding": [{"code": "55284-4"}]}},
        ],
    )
    def test_leaves_everything_else_alone(self, resource):
        assert normalise(resource) is resource
