"""`manage.py import_fhir`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from apps.patients.models import Patient


@pytest.fixture
def import_fhir():
    """A function that runs the command and returns what it wrote on both outputs."""

    def import_fhir(*arguments):
        out, err = io.StringIO(), io.StringIO()
        error = None
        try:
            call_command("import_fhir", *map(str, arguments), stdout=out, stderr=err)
        except CommandError as caught:
            error = caught
        return out.getvalue(), err.getvalue(), error

    return import_fhir


class TestImportFhir:
    def test_closes_with_a_table_by_resource_type(self, in_elm, import_fhir, files):
        out, err, error = import_fhir("elm", files)

        lines = [line.split() for line in out.splitlines()]
        assert lines[0][2:] == ["new", "changed", "unchanged", "skipped", "failed"]
        assert ["Practitioner", "1", "0", "1", "0", "0"] in lines
        assert ["all", "25", "0", "2", "0", "0"] in lines
        assert out.splitlines()[-1].startswith("27 resources of 8 files in ")
        assert (err, error) == ("", None)

    def test_names_file_entry_path_and_reason_and_fails(
        self, in_elm, import_fhir, files, maria, write
    ):
        maria["entry"][2]["resource"]["gender"] = "f"
        path = write(maria)

        out, err, error = import_fhir("elm", path, files / "relative.json")

        assert err.strip() == (
            f"{path}: entry[2] Patient.gender: is not one of female, male, other, unknown"
        )
        assert str(error) == "1 of 2 files were refused; nothing of them was imported."
        assert error.returncode == 1
        assert ["all", "2", "0", "0", "14", "1"] in [line.split() for line in out.splitlines()]

    def test_says_that_a_dry_run_was_one(self, in_elm, import_fhir, files):
        out, _, error = import_fhir("elm", files, "--dry-run")

        assert out.splitlines()[-1] == "This was a dry run: nothing was kept."
        assert error is None
        assert not Patient.objects.exists()

    def test_does_nothing_for_a_clinic_that_does_not_exist(self, in_elm, import_fhir, files):
        out, _, error = import_fhir("elmo", files)

        assert "'elmo'" in str(error)
        assert out == ""

    def test_does_nothing_if_a_path_does_not_exist(self, in_elm, import_fhir, files):
        out, _, error = import_fhir("elm", files, "nowhere")

        assert str(error) == "'nowhere' does not exist."
        assert out == ""
        assert not Patient.objects.exists()
