"""How files of FHIR become rows, all of a file or nothing of it."""

from __future__ import annotations

import copy
import json

import pytest
from django.apps import apps

from apps.chart.models import AllergyIntolerance, Condition, Encounter, Observation
from apps.fhir import chunk, importer, mapping, references, sources
from apps.fhir.models import ImportedResource, RawResource, SourceName
from apps.patients import mrn
from apps.patients.models import Patient, PatientName
from apps.scheduling.models import Practitioner
from tenancy import context
from tests.apps.fhir.conftest import (
    CONDITION,
    ENCOUNTER,
    NOW,
    PATIENT,
    said,
    stored,
    totals,
)

LABELS = ["patients", "scheduling", "chart", "fhir"]


def rows():
    """Return every row that an import could have written, with the time of its last change."""
    return {
        (model._meta.label, values["id"]): values
        for label in LABELS
        for model in apps.get_app_config(label).get_models()
        for values in model._default_manager.values()
    }


class TestIdempotence:
    def test_makes_a_second_import_change_nothing(self, in_elm, take_in, files):
        first = take_in(files)
        before = rows()

        second = take_in(files)

        assert totals(first) == {"new": 25, "unchanged": 2}
        assert totals(second) == {"unchanged": 27}
        assert rows() == before

    def test_asks_little_for_a_file_that_brings_nothing(
        self, in_elm, take_in, files, django_assert_max_num_queries
    ):
        """
        Once for the names, once for each table whether the rows are there.
        """
        take_in(files / "maria.json")

        with django_assert_max_num_queries(16):
            take_in(files / "maria.json")

    def test_knows_a_resource_that_comes_by_another_address(self, in_elm, take_in, maria, write):
        """
        The same record number under another id is the same person, as it is the same doctor.
        """
        take_in(write(maria))
        text = json.dumps(maria, default=float).replace("-8000-", "-9000-")

        results = take_in(write(text, "again.json"))

        assert said(results) == []
        assert Patient.objects.count() == Practitioner.objects.count() == 1
        assert RawResource.objects.filter(resource_type="Organization").count() == 1

    @pytest.mark.parametrize("type_code", ["SS", "DL", "PPN"])
    def test_does_not_take_people_for_one_who_share_a_lesser_number(
        self, in_elm, take_in, maria, write, type_code
    ):
        take_in(write(maria))
        patient = copy.deepcopy(maria["entry"][PATIENT]["resource"])
        patient["id"] = "00000000-0000-4000-8000-0000000000ff"
        patient["identifier"] = [
            each
            for each in patient["identifier"]
            if each.get("type", {}).get("coding", [{}])[0].get("code") == type_code
        ]
        del patient["generalPractitioner"], patient["managingOrganization"]

        take_in(write([patient], "other.ndjson"))

        assert Patient.objects.count() == 2

    def test_does_not_take_people_for_one_who_share_a_birth_date(self, in_elm, take_in, files):
        take_in(files / "export")

        assert Patient.objects.filter(birth_date="1935-12-29", gender="female").count() == 3


class TestChange:
    def test_writes_over_what_changed_at_the_source(self, in_elm, take_in, maria, write):
        take_in(write(maria))
        before = Patient.objects.get()
        patient = maria["entry"][PATIENT]["resource"]
        patient["name"] = [{"use": "official", "family": "Doyle", "given": ["María"]}]
        patient["deceasedBoolean"] = True
        maria["entry"][ENCOUNTER]["resource"]["status"] = "cancelled"

        results = take_in(write(maria))

        after = Patient.objects.get()
        assert totals(results) == {"changed": 2, "unchanged": 13}
        assert (after.pk, after.mrn, after.created_at) == (before.pk, before.mrn, before.created_at)
        assert (after.full_name, after.deceased) == ("María Doyle", True)
        assert PatientName.objects.count() == 1
        assert Encounter.objects.get().status == "cancelled"

    def test_leaves_alone_what_staff_changed_and_the_source_did_not(self, in_elm, take_in, files):
        take_in(files / "maria.json")
        Encounter.objects.update(status="entered-in-error")

        take_in(files / "maria.json")

        assert Encounter.objects.get().status == "entered-in-error"

    def test_brings_back_what_was_deleted_here(self, in_elm, take_in, files):
        take_in(files / "maria.json")
        key = Observation.objects.get(code="29463-7").pk
        Observation.objects.filter(pk=key).delete()

        results = take_in(files / "maria.json")

        assert totals(results) == {"new": 1, "unchanged": 14}
        assert Observation.objects.get(code="29463-7").pk == key

    def test_of_the_directory_is_laid_over_what_is_there(self, in_elm, take_in, files):
        """
        Two files tell of one doctor in different words; what one leaves out is not gone,
        and neither importing again nor in the other order ends in something else.
        """
        take_in(files / "maria.json", files / "directory.json")
        doctor = Practitioner.objects.get()
        place = RawResource.objects.get(resource_type="Organization").content

        results = take_in(files / "directory.json", files / "maria.json")

        assert totals(results) == {"unchanged": 17}
        assert doctor.family == "Okafor"
        assert doctor.extra["extension"][0]["valueInteger"] == 7
        assert place["telecom"] == [{"system": "phone", "value": "555-100-2000"}]

    def test_of_the_directory_is_not_made_twice(self, in_elm, take_in, maria, write):
        """
        Two files that contradict each other would otherwise change the doctor for ever.
        """
        one = write(maria)
        maria["entry"][1]["resource"]["name"][0]["family"] = "Okafor-Adeyemi"
        other = write(maria, "other.json")

        first = take_in(one, other)
        second = take_in(one, other)

        assert totals(first) == {"new": 15, "changed": 1, "unchanged": 14}
        assert totals(second) == {"unchanged": 30}
        assert Practitioner.objects.get().family == "Okafor-Adeyemi"

    def test_draws_no_new_record_number(self, in_elm, take_in, maria, write):
        take_in(write(maria))
        maria["entry"][PATIENT]["resource"]["gender"] = "unknown"
        before = mrn.next_mrn()

        take_in(write(maria))

        assert int(mrn.next_mrn()[3:-1]) == int(before[3:-1]) + 1

    def test_forgets_an_identifier_that_the_source_has_withdrawn(
        self, in_elm, take_in, maria, write
    ):
        take_in(write(maria))
        del maria["entry"][PATIENT]["resource"]["identifier"][1]

        take_in(write(maria))

        assert not SourceName.objects.filter(name__endswith="|MR-0001").exists()
        assert SourceName.objects.filter(name__endswith="|r-1").exists()


class TestReferences:
    def test_are_never_lost(self, in_elm, take_in, files):
        """
        Each place that referred to something still does, and to a row of this clinic.
        """
        take_in(files)
        written = 0

        for path in [*files.glob("*.json"), *files.glob("export/*.ndjson")]:
            source = sources.Source(str(path), sources._kind(path), path)
            for entries, _ in importer._read(source):
                for entry in entries:
                    written += _check_references(entry)

        assert written == 44

    def test_may_be_conditional(self, in_elm, take_in, files):
        results = take_in(files / "maria.json", files / "conditional.json")

        assert said(results) == []
        visit = Encounter.objects.get(patient__family="Lindqvist")
        assert visit.practitioner == Practitioner.objects.get()
        assert visit.service_provider == "Elm Street Surgery"

    def test_may_be_to_a_file_that_comes_later(self, in_elm, take_in, files, maria, write):
        """
        Both files begin with a patient, so their order says nothing of who needs whom.
        """
        first = write((files / "conditional.json").read_bytes(), "a.json")
        maria["entry"].insert(0, maria["entry"].pop(PATIENT))
        last = write(maria, "b.json")

        assert said(take_in(first, last)) == []
        visit = Encounter.objects.get(patient__family="Lindqvist")
        assert visit.practitioner == Practitioner.objects.get()

    def test_may_be_relative_to_a_server(self, in_elm, take_in, files):
        assert said(take_in(files / "relative.json")) == []
        assert Observation.objects.get().patient == Patient.objects.get()

    def test_may_go_both_ways_between_lines(self, in_elm, take_in, files):
        assert said(take_in(files / "export")) == []

        (diagnosis,) = Encounter.objects.get().extra["diagnosis"]
        assert diagnosis["condition"]["reference"] == f"Condition/{Condition.objects.get().pk}"

    @pytest.mark.parametrize(
        ("reference", "kind"),
        [
            ("urn:uuid:00000000-0000-4000-8000-0000000000ff", "resource"),
            ("Patient/nobody", "Patient"),
            ("https://else.example.org/Patient/1", "Patient"),
            ("Patient?identifier=http://secret|999", "Patient"),
            ("Patient?name=Secret", "Patient"),
            ("secret", "resource"),
        ],
    )
    def test_that_lead_nowhere_refuse_the_file(
        self, in_elm, take_in, maria, write, reference, kind
    ):
        maria["entry"][CONDITION]["resource"]["subject"]["reference"] = reference

        results = take_in(write(maria))

        assert said(results) == [
            f"entry[4] Condition.subject.reference: refers to a {kind} that is neither in this "
            "file nor in this clinic"
        ]
        assert totals(results) == {"failed": 1, "skipped": 14}
        assert rows() == {}

    def test_to_what_was_deleted_here_refuse_the_file(self, in_elm, take_in, files):
        take_in(files / "directory.json")
        Practitioner.objects.all().delete()

        results = take_in(files / "conditional.json")

        assert ["individual" in problem for problem in said(results)] == [True]

    def test_to_what_is_deleted_meanwhile_refuse_the_file(
        self, in_elm, take_in, files, monkeypatch
    ):
        """
        Foreign keys are asked before the file counts as imported, not at some later commit.
        """
        take_in(files / "directory.json")
        Practitioner.objects.all().delete()
        monkeypatch.setattr(chunk, "_existing", set)

        results = take_in(files / "conditional.json")

        (problem,) = said(results)
        assert "practitioner" in problem
        assert totals(results) == {"skipped": 2}
        assert not Patient.objects.exists()

    def test_inside_must_be_to_something_contained(self, in_elm, take_in, maria, write):
        maria["entry"][-1]["resource"]["insurance"][0]["coverage"]["reference"] = "#other"

        assert said(take_in(write(maria))) == [
            "entry[14] ExplanationOfBenefit.insurance[0].coverage.reference: refers to nothing "
            "contained"
        ]

    def test_must_be_to_one(self, in_elm, take_in, maria, write, files):
        """
        A conditional reference that fits two doctors is no answer to which of them.
        """
        other = copy.deepcopy(maria["entry"][1])
        other["fullUrl"] = "urn:uuid:00000000-0000-4000-8000-0000000000ff"
        other["resource"]["id"] = "00000000-0000-4000-8000-0000000000ff"
        maria["entry"].append(other)

        results = take_in(write(maria), files / "conditional.json")

        assert said(results) == [
            "entry[1] Encounter.participant[0].individual.reference: is true of more than one "
            "resource"
        ]

    def test_to_the_patient_are_needed(self, in_elm, take_in, maria, write):
        del maria["entry"][ENCOUNTER]["resource"]["subject"]
        weight = maria["entry"][6]["resource"]
        weight["subject"] = maria["entry"][0]["resource"]["managingOrganization"] = {
            "reference": maria["entry"][0]["fullUrl"]
        }
        del maria["entry"][0]["resource"]["managingOrganization"]

        assert said(take_in(write(maria))) == [
            "entry[3] Encounter.subject: must refer to a Patient",
            "entry[6] Observation.subject: must refer to a Patient",
        ]


def _check_references(entry):
    name = f"{entry.resource_type}/{entry.resource['id']}"
    imported = SourceName.objects.get(name__endswith=name).resource
    kept = stored(imported.resource_type, imported.id)
    original = {each.steps for each in references.find(entry.resource)}
    found = {each.steps: each for each in references.find(kept)}
    assert original <= found.keys()
    for reference in found.values():
        if not reference.is_internal:
            kind, _, key = reference.text.partition("/")
            mapped = mapping.TYPES.get(kind)
            model = mapped.model if mapped else RawResource
            assert model._default_manager.filter(pk=key).exists()
    return len(original)


class TestRefusal:
    def test_keeps_nothing_of_the_file_and_goes_on_with_the_others(
        self, in_elm, take_in, maria, write, files
    ):
        maria["entry"][CONDITION]["resource"]["clinicalStatus"] = {"text": "active"}

        results = take_in(write(maria), files / "relative.json")

        assert [result.is_refused for result in results] == [True, False]
        assert totals(results) == {"failed": 1, "skipped": 14, "new": 2}
        assert Patient.objects.get().family == "Tom Twelvetrees"

    def test_reports_every_entry_but_no_more_than_can_be_read(self, in_elm, take_in, maria, write):
        maria["entry"] += [{"resource": {"resourceType": "Nonsense"}}] * 200

        (result,) = take_in(write(maria))

        assert len(result.problems) == importer.MOST_PROBLEMS
        assert result.more_problems == 200 - importer.MOST_PROBLEMS

    def test_never_shows_what_a_record_says(self, in_elm, take_in, maria, write):
        maria["entry"][PATIENT]["resource"]["gender"] = "Secret"
        maria["entry"][PATIENT]["resource"]["name"][0]["Secret!"] = "Secret"
        maria["entry"][CONDITION]["resource"]["subject"]["reference"] = "Patient/Secret"
        maria["entry"][CONDITION]["resource"]["recordedDate"] = "Secret"

        assert "Secret" not in "".join(said(take_in(write(maria))))

    def test_of_a_database_says_which_rule_but_no_value(self, in_elm, take_in, files, monkeypatch):
        monkeypatch.setattr("apps.patients.mrn.next_mrns", lambda count: ["SECRET"] * count)

        results = take_in(files / "export" / "Patient.000.ndjson")

        (problem,) = said(results)
        assert "mrn" in problem
        assert "SECRET" not in problem
        assert totals(results) == {"skipped": 3}

    def test_of_one_file_takes_with_it_what_it_cannot_be_separated_from(
        self, in_elm, take_in, files, write
    ):
        """
        The visit names the problem and the problem the visit: neither comes alone.
        """
        for path in files.glob("export/*.ndjson"):
            write(path.read_bytes(), f"export/{path.name}")
        broken = write([{"resourceType": "Condition", "id": "d1"}], "export/Condition.000.ndjson")

        results = take_in(broken.parent)

        refused = {result.label.rpartition("/")[2]: said([result]) for result in results}
        assert refused["Patient.000.ndjson"] == []
        assert refused["AllergyIntolerance.000.ndjson"] == []
        assert refused["Condition.000.ndjson"] == ["line 1 Condition.subject: is required"]
        assert refused["Encounter.000.ndjson"] == ["was left out with the file that it refers to"]
        assert Patient.objects.count() == 3
        assert AllergyIntolerance.objects.count() == 1
        assert not Encounter.objects.exists()

    def test_of_several_files_for_want_of_another_ends_when_that_has_come(
        self, in_elm, take_in, files, write
    ):
        """
        A visit and its problem hang together, both on a patient who is in a bundle, and the
        patient on a doctor who is in a file that comes after it.
        """
        visit, problem, doctor = (
            write(lines, f"{name}.ndjson")
            for name, lines in {
                "Encounter": (files / "export/Encounter.000.ndjson").read_bytes(),
                "Condition": (files / "export/Condition.000.ndjson").read_bytes(),
                "Practitioner": [{"resourceType": "Practitioner", "id": "d"}],
            }.items()
        )
        link = {"reference": "Practitioner/d"}
        patient = {"resourceType": "Patient", "id": "a1", "generalPractitioner": [link]}
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": patient}]}

        results = take_in(write(bundle), visit, problem, doctor)

        assert said(results) == []
        assert totals(results) == {"new": 4}


class TestStrangers:
    def test_are_not_written_over_each_other(self, in_elm, take_in, write):
        """
        Two servers both have a Patient/1, who are two people.
        """
        first = {"system": "https://one.example", "value": "7"}
        other = {"system": "https://two.example", "value": "9"}
        take_in(write([{"resourceType": "Patient", "id": "1", "identifier": [first]}], "a.ndjson"))
        again = write([{"resourceType": "Patient", "id": "1", "identifier": [other]}], "b.ndjson")

        refused = take_in(again)
        accepted = take_in(again, base="https://two.example/fhir")

        assert "--source" in said(refused)[0]
        assert totals(accepted) == {"new": 1}
        assert Patient.objects.count() == 2


class TestCondition:
    @pytest.fixture
    def conditional(self, maria):
        """The doctor's entry asks to be created only if there is none."""
        entry = maria["entry"][1]
        entry["request"]["ifNoneExist"] = "identifier=http://hl7.org/fhir/sid/us-npi|4711"
        entry["resource"]["name"][0]["family"] = "Somebody-Else"
        return maria

    def test_creates_what_does_not_exist(self, in_elm, take_in, conditional, write):
        assert totals(take_in(write(conditional))) == {"new": 15}

    def test_leaves_alone_what_exists(self, in_elm, take_in, files, conditional, write):
        take_in(files / "maria.json")

        results = take_in(write(conditional))

        assert said(results) == []
        assert Practitioner.objects.get().family == "Okafor"

    def test_must_be_one_that_can_be_followed(self, in_elm, take_in, conditional, write):
        conditional["entry"][1]["request"]["ifNoneExist"] = "name=Okafor"

        assert "request.ifNoneExist" in said(take_in(write(conditional)))[0]


class TestDryRun:
    def test_does_everything_and_keeps_nothing(self, in_elm, take_in, files):
        before = rows()

        results = take_in(files, dry_run=True)

        assert totals(results) == {"new": 25, "unchanged": 2}
        assert rows() == before == {}


class TestInterruption:
    def test_keeps_the_files_that_were_done_and_can_go_on(self, in_elm, files):
        """
        Ctrl-C in the middle of the second file: the first is in, of the second nothing.
        """
        found = sources.find([str(files)])
        done = []

        def stop_at_the_second(size):
            done.append(size)
            if len(done) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(importer.run(found, now=NOW, on_bytes=stop_at_the_second))

        assert ImportedResource.objects.count() == 2
        assert not Patient.objects.exists()

        again = list(importer.run(found, now=NOW))

        assert totals(again) == {"new": 23, "unchanged": 4}


class TestChunks:
    def test_of_a_long_file_resolve_each_other(self, in_elm, take_in, files, write, monkeypatch):
        monkeypatch.setattr(sources, "CHUNK", 2)

        assert totals(take_in(files / "export")) == {"new": 6}
        assert totals(take_in(files / "export")) == {"unchanged": 6}

    def test_of_a_refused_file_are_all_looked_at(self, in_elm, take_in, write, monkeypatch):
        monkeypatch.setattr(sources, "CHUNK", 1)
        lines = [{"resourceType": "Patient", "gender": "f"}] * 3

        results = take_in(write(lines, "a.ndjson"))

        assert totals(results) == {"failed": 3}

    def test_may_not_promise_a_row_that_turns_out_to_be_another(
        self, in_elm, take_in, write, monkeypatch
    ):
        """
        The parent is known here by its identifier, under another id than was promised.
        """
        monkeypatch.setattr(sources, "CHUNK", 1)
        number = {"system": "https://example.org/places", "value": "7"}
        parent = {"resourceType": "Organization", "name": "Trust", "identifier": [number]}
        take_in(write([{**parent, "id": "known"}], "before.ndjson"))
        child = {"resourceType": "Organization", "id": "child", "name": "Ward"}
        child["partOf"] = {"reference": "Organization/parent"}

        results = take_in(write([child, {**parent, "id": "parent"}], "a.ndjson"))

        assert said(results) == [
            "line 2 was referred to before it came, and is known here under another id"
        ]


class TestOtherClinics:
    def test_have_none_of_it(self, in_elm, oak, take_in, files):
        take_in(files)

        with context.override(oak.as_active(), in_transaction=True):
            assert rows() == {}
