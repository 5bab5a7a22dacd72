"""The patients of the API: who may read them, and how they are found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.patients import registry
from apps.patients.models import Patient
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

LIST = "/api/v1/patients/"

Register = Callable[..., Patient]


def address_of(patient: Patient) -> str:
    return f"{LIST}{patient.pk}/"


def names_in(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [row["family"] for row in response.json()["results"]]


@pytest.fixture
def oaks_patient(in_elm: Organization, oak: Organization, register: Register) -> Patient:
    """Otto Oakes, of whom Elm must never hear."""
    with context.override(oak.as_active(), in_transaction=True):
        return register("Oakes", "Otto")


@pytest.fixture
def doctor(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's doctor at a browser."""
    sign_in(elm_client, "doctor")
    return elm_client


class TestPatientList:
    def test_shows_the_clinics_patients_by_name(
        self, doctor: TenantClient, register: Register
    ) -> None:
        register("Özdemir", "Ayşe", born="1981-02")
        register("Echevarría", "Carla", born="1990-05-17", gender="female")

        response = doctor.get(LIST)

        assert names_in(response) == ["Echevarría", "Özdemir"]
        assert response.json()["count"] == 2
        assert response.json()["results"][0]["birth_date"] == "1990-05-17"
        assert response.json()["results"][0]["gender"] == "female"

    def test_says_no_more_of_a_birth_date_than_is_known(
        self, doctor: TenantClient, register: Register
    ) -> None:
        register("Month", born="1981-02")
        register("Year", born="1981")
        register("Zero")

        rows = doctor.get(LIST).json()["results"]

        assert [row["birth_date"] for row in rows] == ["1981-02", "1981", None]

    def test_links_each_patient_to_the_chart(
        self, doctor: TenantClient, register: Register
    ) -> None:
        patient = register("Echevarría", "Carla")

        [row] = doctor.get(LIST).json()["results"]

        assert row["links"]["self"] == address_of(patient)
        assert row["links"]["allergies"] == f"{address_of(patient)}allergies/"
        for link in row["links"].values():
            assert doctor.get(link).status_code == 200

    def test_never_shows_another_clinics(self, doctor: TenantClient, oaks_patient: Patient) -> None:
        response = doctor.get(LIST)

        assert response.json()["count"] == 0

    def test_takes_the_same_queries_for_one_and_for_many(
        self, doctor: TenantClient, register: Register
    ) -> None:
        register("First", "Fay", phone="555 1234", identifier="999-1")
        doctor.get(LIST)
        with CaptureQueriesContext(connection) as one:
            doctor.get(LIST)
        for number in range(20):
            register(f"Next{number}", "Ned", phone="555 1234", identifier="999-1")

        with CaptureQueriesContext(connection) as many:
            doctor.get(LIST)

        assert len(many) == len(one)

    def test_refuses_strangers(self, in_elm: Organization, elm_client: TenantClient) -> None:
        response = elm_client.get(LIST)

        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Session, Basic realm="api"'
        assert elm_client.post(LIST).status_code == 401

    def test_refuses_roles_that_may_not_see_patients(
        self, doctor: TenantClient, staff: Any
    ) -> None:
        staff("doctor").groups.clear()

        assert doctor.get(LIST).status_code == 403

    @pytest.mark.parametrize("role", ["receptionist", "nurse", "doctor", "billing", "clinic_admin"])
    def test_is_open_to_every_role(
        self, in_elm: Organization, elm_client: TenantClient, sign_in: Any, role: str
    ) -> None:
        sign_in(elm_client, role)

        assert elm_client.get(LIST).status_code == 200

    @pytest.mark.parametrize("role", ["doctor", "billing"])
    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_cannot_be_written_to(
        self, in_elm: Organization, elm_client: TenantClient, sign_in: Any, role: str, method: str
    ) -> None:
        sign_in(elm_client, role)

        response = getattr(elm_client, method)(LIST, {}, content_type="application/json")

        assert response.status_code == 405
        assert response["Allow"] == "GET, HEAD, OPTIONS"


class TestPatientFilters:
    @pytest.fixture(autouse=True)
    def _people(self, in_elm: Organization, register: Register) -> None:
        """Four people, of whom each test finds some."""
        register("Adler", "Ann", born="1980-05-05", gender="female", identifier="999-11")
        register("Baker", "Bob", born="1980", gender="male")
        register("Carver", "Cy", born="1999-12-31", gender="other", active=False)
        register("Dead", "Dora", gender="female", deceased=True)

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("search=ann%20adl", ["Adler"]),
            ("search=999-11", ["Adler"]),
            ("search=nobody", []),
            ("gender=female", ["Adler", "Dead"]),
            ("gender=female,male", ["Adler", "Baker", "Dead"]),
            ("birthdate=1980-05-05", ["Adler", "Baker"]),
            ("birthdate=1980-05", ["Adler", "Baker"]),
            ("birthdate=1980-05-06", ["Baker"]),
            ("birthdate=1980-06", ["Baker"]),
            ("birthdate=1999", ["Carver"]),
            ("birthdate_ge=1980-05-06", ["Carver"]),
            ("birthdate_ge=1980-05-05", ["Adler", "Carver"]),
            ("birthdate_le=1980-05-05", ["Adler", "Baker"]),
            ("birthdate_le=1980-05-04", ["Baker"]),
            ("birthdate_ge=1980-02&birthdate_le=1980", ["Adler"]),
            ("birthdate_le=9998-12-31", ["Adler", "Baker", "Carver"]),
            ("birthdate_ge=0001-01-01", ["Adler", "Baker", "Carver"]),
            ("active=false", ["Carver"]),
            ("active=true&deceased=false", ["Adler", "Baker"]),
            ("deceased=true", ["Dead"]),
            ("identifier=999-11", ["Adler"]),
            ("identifier=|999-11", ["Adler"]),
            ("identifier=urn:other|999-11", []),
            ("identifier=999", []),
            ("ordering=-family", ["Dead", "Carver", "Baker", "Adler"]),
            ("ordering=birthdate", ["Baker", "Adler", "Carver", "Dead"]),
            ("ordering=-birthdate", ["Carver", "Adler", "Baker", "Dead"]),
            ("updated_since=2020-01-01T00:00:00Z", ["Adler", "Baker", "Carver", "Dead"]),
            ("updated_since=2999-01-01T00:00:00%2B02:00", []),
            ("updated_since=9999-12-31T23:59:59-14:00", []),
            ("page=2&page_size=3", ["Dead"]),
        ],
    )
    def test_find(self, doctor: TenantClient, query: str, names: list[str]) -> None:
        assert names_in(doctor.get(f"{LIST}?{query}")) == names

    def test_find_by_the_clinics_number(self, doctor: TenantClient) -> None:
        mrn = Patient.objects.get(family="Baker").mrn

        assert names_in(doctor.get(LIST, {"mrn": mrn})) == ["Baker"]
        assert names_in(doctor.get(LIST, {"identifier": f"{mrn},999-11"})) == ["Adler", "Baker"]
        assert names_in(doctor.get(LIST, {"identifier": f"urn:other|{mrn}"})) == []

    def test_find_by_a_system(self, doctor: TenantClient, register: Register) -> None:
        patient = register("Esser", "Eva")
        patient.identifiers.create(system="urn:oid:1.2.3", value="7")

        assert names_in(doctor.get(LIST, {"identifier": "urn:oid:1.2.3|7"})) == ["Esser"]
        assert names_in(doctor.get(LIST, {"identifier": "urn:oid:1.2.3|"})) == ["Esser"]
        assert names_in(doctor.get(LIST, {"identifier": "7"})) == ["Esser"]
        assert names_in(doctor.get(LIST, {"identifier": "|7"})) == []

    def test_find_what_changed(self, doctor: TenantClient) -> None:
        long_ago = timezone.now() - timedelta(days=30)
        Patient.objects.exclude(family="Adler").update(updated_at=long_ago)
        yesterday = (timezone.now() - timedelta(days=1)).isoformat()

        assert names_in(doctor.get(LIST, {"updated_since": yesterday})) == ["Adler"]

    @pytest.mark.parametrize(
        ("query", "name", "says"),
        [
            ("colour=red", "colour", "active, birthdate, birthdate_ge"),
            ("Gender=male", "Gender", "There is no such parameter."),
            ("gender=m", "gender", "'m' is not one of: male, female, other, unknown."),
            ("gender=male&gender=female", "gender", "2 times"),
            ("mrn=", "mrn", "It has no value"),
            ("search=%20", "search", "It has no value"),
            ("active=yes", "active", "'yes' is neither true nor false."),
            ("birthdate=05/05/1980", "birthdate", "YYYY-MM-DD"),
            ("birthdate=1980-02-30", "birthdate", "'1980-02-30' is no date."),
            ("birthdate=1980-00", "birthdate", "is no date"),
            ("birthdate=0000", "birthdate", "is no date"),
            ("birthdate_le=9999-12-31", "birthdate_le", "is no date"),
            ("birthdate=%25s", "birthdate", "'%s' is no date."),
            ("gender=%25(x)s", "gender", "'%(x)s' is not one of"),
            ("ordering=%25d", "ordering", "'%d' is not one of"),
            ("updated_since=%25s", "updated_since", "no moment"),
            ("page=%25s", "page", "valid integer"),
            ("%25s=1", "%s", "no such parameter"),
            ("birthdate=%D9%A1%D9%A9%D9%A8%D9%A0", "birthdate", "is no date"),
            ("updated_since=yesterday", "updated_since", "2026-03-01T08:00:00Z"),
            ("updated_since=2020-01-01T00:00:00+02:00", "updated_since", "%2B"),
            ("ordering=password", "ordering", "'password' is not one of: family, -family"),
            ("ordering=family,search_text", "ordering", "search_text"),
            ("search=%00", "search", "Null characters"),
            ("mrn=ELM%00", "mrn", "Null characters"),
            ("identifier=a|%00", "identifier", "Null characters"),
            ("gender=%00", "gender", "is not one of"),
            ("updated_since=%00", "updated_since", "no moment"),
            ("page=0", "page", "greater than or equal to 1"),
            ("page=abc", "page", "valid integer"),
            ("page=last", "page", "valid integer"),
            ("page=%00", "page", "valid integer"),
            ("page_size=101", "page_size", "less than or equal to 100"),
            ("page_size=1000000000", "page_size", "less than or equal to 100"),
            ("page_size=1e9", "page_size", "valid integer"),
            ("page_size=-1", "page_size", "greater than or equal to 1"),
        ],
    )
    def test_refuse_what_they_do_not_understand(
        self, doctor: TenantClient, query: str, name: str, says: str
    ) -> None:
        response = doctor.get(f"{LIST}?{query}")

        assert response.status_code == 400
        assert list(response.json()["errors"]) == [name]
        assert says in response.json()["errors"][name][0]

    @pytest.mark.parametrize("name", ["page", "page_size"])
    def test_refuse_a_number_of_5000_digits(self, doctor: TenantClient, name: str) -> None:
        assert doctor.get(LIST, {name: "9" * 5000}).status_code == 400

    def test_have_no_page_after_the_last(self, doctor: TenantClient) -> None:
        response = doctor.get(f"{LIST}?page=999999999999999999999")

        assert response.status_code == 404
        assert response.json()["detail"] == "The list has fewer pages."

    def test_lead_from_page_to_page(self, doctor: TenantClient) -> None:
        first = doctor.get(f"{LIST}?page_size=2&ordering=-family")
        second = doctor.get(first.json()["next"])

        assert names_in(first) + names_in(second) == ["Dead", "Carver", "Baker", "Adler"]
        assert second.json()["next"] is None
        assert second.json()["previous"].endswith(f"{LIST}?ordering=-family&page_size=2")

    def test_order_equals_by_their_ids(self, doctor: TenantClient, register: Register) -> None:
        for _ in range(9):
            register("Same", "Sam")

        pages = [
            doctor.get(f"{LIST}?search=same&ordering=family&page_size=2&page={number}").json()
            for number in range(1, 6)
        ]

        ids = [row["id"] for page in pages for row in page["results"]]
        assert ids == sorted(ids)
        assert len(set(ids)) == 9


class TestPatientDetail:
    def test_has_all_that_the_registry_knows(
        self, doctor: TenantClient, register: Register
    ) -> None:
        patient = register(
            "Echevarría", "Carla", maiden="Ruiz", phone="+34 600 100 200", identifier="999-81"
        )
        patient.addresses.create(line=["Calle Mayor 1"], city="Sevilla", country="ES")
        patient.contacts.create(relationship="N", family="Echevarría", given="Ana")
        patient.communications.create(language="es", language_display="Spanish", preferred=True)

        record = doctor.get(address_of(patient)).json()

        assert record["id"] == str(patient.pk)
        assert record["mrn"] == patient.mrn
        assert [name["family"] for name in record["name"]] == ["Echevarría", "Ruiz"]
        assert record["name"][0]["given"] == ["Carla"]
        assert record["telecom"][0]["value"] == "+34 600 100 200"
        assert record["identifier"][0]["type"] == {"system": None, "code": "SS", "display": None}
        assert record["identifier"][0]["system"] is None
        assert record["identifier"][0]["period"] is None
        assert record["address"][0]["line"] == ["Calle Mayor 1"]
        assert record["contact"][0]["relationship"]["code"] == "N"
        assert record["communication"][0]["language"]["display"] == "Spanish"
        assert record["marital_status"] is None

    def test_keeps_what_is_derived_or_raw_to_itself(
        self, doctor: TenantClient, register: Register
    ) -> None:
        patient = register("Adler", "Ann", phone="555 1234")
        Patient.objects.update(extra={"secret": "kept"})

        answer = doctor.get(address_of(patient)).content.decode()

        assert "kept" not in answer
        assert "search_text" not in answer
        assert "reversed_digits" not in answer

    def test_is_not_there_for_another_clinic(
        self, doctor: TenantClient, oaks_patient: Patient
    ) -> None:
        """The answer for another clinic's patient is the answer for nobody's."""
        others = doctor.get(address_of(oaks_patient))
        nobodys = doctor.get(f"{LIST}{uuid4()}/")
        no_id = doctor.get(f"{LIST}not-an-id/")

        assert others.status_code == nobodys.status_code == no_id.status_code == 404
        problems = [response.json() for response in (others, nobodys, no_id)]
        paths = [problem.pop("instance") for problem in problems]
        assert problems[0] == problems[1] == problems[2]
        assert paths[0] == address_of(oaks_patient)

    def test_is_not_there_for_another_clinics_session(
        self, in_elm: Organization, oak_client: TenantClient, sign_in: Any, register: Register
    ) -> None:
        patient = register("Adler", "Ann")
        sign_in(oak_client, "doctor")

        assert oak_client.get(address_of(patient)).status_code == 404
        oak_client.defaults["HTTP_HOST"] = in_elm.host
        assert oak_client.get(address_of(patient)).status_code == 401

    def test_refuses_strangers_before_it_looks(
        self, in_elm: Organization, elm_client: TenantClient, register: Register
    ) -> None:
        patient = register("Adler", "Ann")

        there = elm_client.get(address_of(patient))
        not_there = elm_client.get(f"{LIST}{uuid4()}/")

        assert there.status_code == not_there.status_code == 401

    def test_refuses_roles_that_may_not_see_patients(
        self, doctor: TenantClient, staff: Any, register: Register
    ) -> None:
        patient = register("Adler", "Ann")
        staff("doctor").groups.clear()

        assert doctor.get(address_of(patient)).status_code == 403

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_cannot_be_written_to(
        self, doctor: TenantClient, register: Register, method: str
    ) -> None:
        patient = register("Adler", "Ann")

        response = getattr(doctor, method)(address_of(patient), {}, content_type="application/json")

        assert response.status_code == 405

    def test_takes_no_parameters(self, doctor: TenantClient, register: Register) -> None:
        """Of a filter meant for the list, nothing may come of here, not even a 404."""
        patient = register("Adler", "Ann", gender="female")

        response = doctor.get(f"{address_of(patient)}?gender=female")

        assert response.status_code == 400
        assert response.json()["errors"] == {"gender": ["This address takes no parameters."]}


class TestAnswersAboutPatients:
    def test_are_kept_by_nobody(self, doctor: TenantClient, register: Register) -> None:
        patient = register("Adler", "Ann")

        for address in (LIST, address_of(patient), f"{LIST}?colour=red", f"{LIST}{uuid4()}/"):
            assert doctor.get(address)["Cache-Control"] == "private, no-store"

    def test_are_not_sent_again_while_nothing_changed(
        self, doctor: TenantClient, register: Register
    ) -> None:
        patient = register("Adler", "Ann")
        tag = doctor.get(address_of(patient))["ETag"]

        again = doctor.get(address_of(patient), headers={"If-None-Match": tag})
        patient.names.update(family="Eagle")
        registry.refresh([patient])
        changed = doctor.get(address_of(patient), headers={"If-None-Match": tag})

        assert (again.status_code, again.content) == (304, b"")
        assert again["Cache-Control"] == "private, no-store"
        assert changed.json()["family"] == "Eagle"

    @pytest.mark.parametrize(
        ("header", "value", "status"),
        [
            ("If-None-Match", "{tag}", 304),
            ("If-None-Match", 'W/{tag}, "another"', 304),
            ("If-None-Match", '"another"', 200),
            ("If-Match", "{tag}", 200),
            ("If-Match", '"another"', 412),
        ],
    )
    def test_are_compared_by_their_tag(
        self, header: str, value: str, status: int, doctor: TenantClient
    ) -> None:
        tag = doctor.get(LIST)["ETag"]

        for method in (doctor.get, doctor.head):
            answer = method(LIST, headers={header: value.format(tag=tag)})
            assert (answer.status_code, answer.get("ETag", tag)) == (status, tag)
        assert not tag.startswith("W/")

    def test_have_a_tag_that_is_nobody_elses(
        self, doctor: TenantClient, in_elm: Organization, oak: Organization, sign_in: Any
    ) -> None:
        """
        All are told the same: that there is no patient.
        """
        nurse, oaks_doctor = TenantClient(in_elm), TenantClient(oak)
        sign_in(nurse, "nurse")
        sign_in(oaks_doctor, "doctor")

        answers = [client.get(LIST) for client in (doctor, nurse, oaks_doctor)]

        assert len({answer.content for answer in answers}) == 1
        assert len({answer["ETag"] for answer in answers}) == 3

    def test_say_when_the_row_changed(self, doctor: TenantClient, register: Register) -> None:
        patient = register("Adler", "Ann")
        moment = timezone.now().replace(2024, 2, 29, 13, 7, 5)
        Patient.objects.update(updated_at=moment)

        response = doctor.get(address_of(patient))

        assert response["Last-Modified"] == "Thu, 29 Feb 2024 13:07:05 GMT"

    def test_do_not_trust_a_date_in_whole_seconds(
        self, doctor: TenantClient, register: Register
    ) -> None:
        patient = register("Adler", "Ann")
        moment = doctor.get(address_of(patient))["Last-Modified"]

        response = doctor.get(address_of(patient), headers={"If-Modified-Since": moment})

        assert response.status_code == 200
