"""Which files are imported, in which order, and what is no file of FHIR."""

from __future__ import annotations

import io
import os

import pytest

from apps.fhir import sources
from tests.apps.fhir.conftest import said, totals

PATIENT = '{"resourceType": "Patient", "id": "p"}'
BUNDLE = (
    f'{{"resourceType": "Bundle", "type": "transaction", "entry": [{{"resource": {PATIENT}}}]}}'
)


class TestFind:
    def test_searches_folders_for_json_and_ndjson(self, write, tmp_path):
        write(BUNDLE, "deep/er/b.json")
        write(PATIENT, "a.NDJSON")
        write("not for us", "LICENSE")

        found = sources.find([str(tmp_path)])

        assert [source.path.name for source in found] == ["b.json", "a.NDJSON"]

    def test_puts_places_and_people_before_patients_whatever_their_names(self, files):
        found = [source.path.name for source in sources.find([str(files)])]

        assert found.index("directory.json") < found.index("conditional.json")
        assert found[-4:] == [
            "Patient.000.ndjson",
            "Encounter.000.ndjson",
            "Condition.000.ndjson",
            "AllergyIntolerance.000.ndjson",
        ]

    def test_takes_a_file_once_however_often_it_is_named(self, files):
        path = str(files / "maria.json")

        assert len(sources.find([path, path, os.path.relpath(path)])) == 1

    def test_refuses_a_path_that_does_not_exist(self):
        with pytest.raises(sources.UnableToRead, match="'nowhere' does not exist"):
            sources.find(["nowhere"])

    def test_refuses_a_folder_with_nothing_to_import(self, tmp_path):
        with pytest.raises(sources.UnableToRead, match=r"no \.json or \.ndjson files"):
            sources.find([str(tmp_path)])


class TestReading:
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"{", "is not JSON at line 1, column 2"),
            (b"\x00", "is not JSON at line 1, column 1"),
            (b'{"a": "\xe9"}', "is not UTF-8 at byte 7"),
            ("\ufeff{}".encode("utf-16"), "is not UTF-8 at byte 0"),
            (b'{"a": NaN}', "has a number that is not JSON"),
            (b"[" * 100_000, "is nested too deeply"),
            (b"[]", "is not a Bundle; single resources can be imported from .ndjson"),
            (PATIENT.encode(), "is not a Bundle; single resources can be imported from .ndjson"),
            (
                BUNDLE.replace("transaction", "searchset").encode(),
                "Bundle.type is not one of batch, collection, transaction",
            ),
            (b'{"resourceType":"Bundle","type":"batch","entry":1}', "Bundle.entry must be a list"),
            (
                b'{"resourceType":"Bundle","type":["batch"]}',
                "Bundle.type is not one of batch, collection, transaction",
            ),
        ],
    )
    def test_of_what_is_no_bundle_says_why(self, in_elm, take_in, write, content, problem):
        assert said(take_in(write(content))) == [problem]

    def test_takes_a_byte_order_mark(self, in_elm, take_in, write):
        content = b"\xef\xbb\xbf" + BUNDLE.encode()

        assert totals(take_in(write(content))) == {"new": 1}

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ("1", "entry[0] must be an object"),
            ("{}", "entry[0] has no resource with a resourceType"),
            ('{"resource": {"id": "1"}}', "entry[0] has no resource with a resourceType"),
            (
                f'{{"resource": {PATIENT}, "request": {{"method": "DELETE"}}}}',
                "entry[0] request.method: asks for something else than POST or PUT",
            ),
            (f'{{"resource": {BUNDLE}}}', "entry[0] resource: is a Bundle inside a Bundle"),
            (
                f'{{"resource": {PATIENT}, "fullUrl": 1}}',
                "entry[0] has a request or fullUrl of the wrong type",
            ),
        ],
    )
    def test_of_an_entry_that_is_none_says_which(self, in_elm, take_in, write, entry, problem):
        content = f'{{"resourceType": "Bundle", "type": "batch", "entry": [{entry}]}}'

        assert said(take_in(write(content))) == [problem]

    def test_refuses_the_same_full_url_twice(self, in_elm, take_in, maria, write):
        maria["entry"][5]["fullUrl"] = maria["entry"][4]["fullUrl"]

        assert "entry[5] fullUrl: is also that of another entry" in said(take_in(write(maria)))

    def test_refuses_the_same_resource_twice(self, in_elm, take_in, maria, write):
        maria["entry"].append({**maria["entry"][4], "fullUrl": "urn:uuid:other"})

        assert said(take_in(write(maria))) == [
            "entry[15] Condition: is the same resource as another entry"
        ]

    def test_of_a_file_that_may_not_be_read_says_so(self, in_elm, take_in, write, monkeypatch):
        path = write(BUNDLE)
        found = sources.find([str(path)])
        path.unlink()
        path.mkdir()

        with pytest.raises(sources.UnreadableFile, match="cannot be read"):
            sources.read_bundle(found[0])


class TestLines:
    def test_may_be_empty_and_end_as_they_like(self, in_elm, take_in, write):
        content = f"\ufeff{PATIENT}\r\n\r\n" + PATIENT.replace('"p"', '"q"')

        assert totals(take_in(write(content, "a.ndjson"))) == {"new": 2}

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("", "is empty"),
            (f"{PATIENT}\n{{", "line 2 is not JSON at column 2"),
            (f"{PATIENT}\n[1]", "line 2 is not a resource"),
            (f"{PATIENT}\n{BUNDLE}", "line 2 is a Bundle, which belongs into a .json file"),
        ],
    )
    def test_that_are_none_refuse_the_file(self, in_elm, take_in, write, content, problem):
        assert said(take_in(write(content, "a.ndjson"))) == [problem]


class TestStandardInput:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (PATIENT, sources.Kind.NDJSON),
            (f"{PATIENT}\n{PATIENT}\n", sources.Kind.NDJSON),
            (BUNDLE, sources.Kind.BUNDLE),
            (BUNDLE.replace(", ", ",\n"), sources.Kind.BUNDLE),
            ("no JSON", sources.Kind.BUNDLE),
        ],
        ids=["line", "lines", "bundle", "bundle over lines", "nonsense"],
    )
    def test_is_taken_for_what_it_is(self, monkeypatch, content, kind):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))

        (source,) = sources.find(["-"])

        assert source.kind is kind
        assert source.size == len(content)
        for _ in range(2):
            with source.open() as opened:
                assert opened.read() == content.encode()
        source.close()
