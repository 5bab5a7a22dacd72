"""The chart of the API: six lists below a patient, for those who may see charts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.chart.models import (
    AllergyIntolerance,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
)
from apps.patients.api import COLLECTIONS
from apps.patients.models import Patient
from apps.scheduling.models import Practitioner
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

Add = Callable[[Patient], Model]


def add_encounter(patient: Patient) -> Encounter:
    return Encounter.objects.create(
        patient=patient,
        practitioner=Practitioner.objects.create(family="Ng", given="Nora", prefix="Dr."),
        status="finished",
        class_code="AMB",
        period_start=datetime(2024, 3, 1, 9, tzinfo=UTC),
    )


def add_observation(patient: Patient) -> Observation:
    pressure = Observation.objects.create(
        patient=patient,
        status="final",
        category="vital-signs",
        code_system="http://loinc.org",
        code="85354-9",
        display="Blood pressure",
        effective_at=datetime(2024, 3, 1, 9, tzinfo=UTC),
    )
    for position, (code, value) in enumerate([("8480-6", "120.50"), ("8462-4", "80")]):
        pressure.components.create(
            position=position,
            code_system="http://loinc.org",
            code=code,
            value_quantity=Decimal(value),
            value_unit="mmHg",
        )
    return pressure


def add_condition(patient: Patient) -> Condition:
    return Condition.objects.create(
        patient=patient,
        clinical_status="active",
        verification_status="confirmed",
        code="38341003",
        onset_at=datetime(2020, 1, 1, tzinfo=UTC),
    )


def add_allergy(patient: Patient) -> AllergyIntolerance:
    allergy = AllergyIntolerance.objects.create(
        patient=patient,
        clinical_status="active",
        verification_status="confirmed",
        categories=["food", "environment"],
        criticality="high",
        display="Peanut",
    )
    allergy.reactions.create(manifestations=["Hives"], severity="severe")
    return allergy


def add_medication(patient: Patient) -> MedicationRequest:
    return MedicationRequest.objects.create(
        patient=patient,
        requester=Practitioner.objects.create(family="Ng", given="Nora"),
        status="active",
        intent="order",
        display="Lisinopril 10 mg",
        authored_at=datetime(2024, 3, 1, tzinfo=UTC),
    )


def add_immunization(patient: Patient) -> Immunization:
    return Immunization.objects.create(
        patient=patient, status="completed", code="140", occurrence_text="as a child"
    )


ADD: dict[str, Add] = {
    "encounters": add_encounter,
    "observations": add_observation,
    "conditions": add_condition,
    "allergies": add_allergy,
    "medications": add_medication,
    "immunizations": add_immunization,
}

each_collection = pytest.mark.parametrize("collection", COLLECTIONS)


def list_of(patient: Patient | Any, collection: str) -> str:
    return f"/api/v1/patients/{patient.pk}/{collection}/"


def ids_in(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [row["id"] for row in response.json()["results"]]


@pytest.fixture
def carla(in_elm: Organization) -> Patient:
    """Carla Echevarría, Elm's patient."""
    return Patient.objects.create(family="Echevarría", given="Carla")


@pytest.fixture
def doctor(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's doctor at a browser."""
    sign_in(elm_client, "doctor")
    return elm_client


@each_collection
class TestEveryList:
    def test_shows_what_is_in_the_patients_chart(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        entry = ADD[collection](carla)
        ADD[collection](Patient.objects.create(family="Somebody"))

        response = doctor.get(list_of(carla, collection))

        assert ids_in(response) == [str(entry.pk)]
        assert response.json()["results"][0]["patient"] == str(carla.pk)
        assert response["Cache-Control"] == "private, no-store"

    def test_takes_the_same_queries_for_one_and_for_many(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        ADD[collection](carla)
        doctor.get(list_of(carla, collection))
        with CaptureQueriesContext(connection) as one:
            doctor.get(list_of(carla, collection))
        for _ in range(10):
            ADD[collection](carla)

        with CaptureQueriesContext(connection) as many:
            doctor.get(list_of(carla, collection))

        assert len(many) == len(one)

    def test_refuses_strangers(
        self, elm_client: TenantClient, carla: Patient, collection: str
    ) -> None:
        assert elm_client.get(list_of(carla, collection)).status_code == 401

    @pytest.mark.parametrize("role", ["receptionist", "billing"])
    def test_refuses_roles_that_may_not_see_charts(
        self, elm_client: TenantClient, sign_in: Any, carla: Patient, collection: str, role: str
    ) -> None:
        sign_in(elm_client, role)

        assert elm_client.get(list_of(carla, collection)).status_code == 403
        assert elm_client.head(list_of(carla, collection)).status_code == 403
        assert elm_client.options(list_of(carla, collection)).status_code == 403

    @pytest.mark.parametrize("role", ["nurse", "doctor", "clinic_admin"])
    def test_is_open_to_roles_that_may(
        self, elm_client: TenantClient, sign_in: Any, carla: Patient, collection: str, role: str
    ) -> None:
        sign_in(elm_client, role)

        assert elm_client.get(list_of(carla, collection)).status_code == 200

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_cannot_be_written_to(
        self, doctor: TenantClient, carla: Patient, collection: str, method: str
    ) -> None:
        address = list_of(carla, collection)

        response = getattr(doctor, method)(address, {}, content_type="application/json")

        assert response.status_code == 405

    def test_is_not_there_without_the_patient(
        self, doctor: TenantClient, oak: Organization, collection: str
    ) -> None:
        """An empty list would say that somebody else's patient is well."""
        with context.override(oak.as_active(), in_transaction=True):
            otto = Patient.objects.create(family="Oakes")
            ADD[collection](otto)

        others = doctor.get(list_of(otto, collection))
        nobodys = doctor.get(list_of(Patient(pk=uuid4()), collection))

        assert others.status_code == nobodys.status_code == 404
        assert others.json() | {"instance": ""} == nobodys.json() | {"instance": ""}

    def test_refuses_parameters_that_it_does_not_declare(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        response = doctor.get(list_of(carla, collection), {"patient": str(carla.pk)})

        assert response.status_code == 400
        assert "There is no such parameter." in response.json()["errors"]["patient"][0]

    def test_orders_as_declared_and_leaves_nobody_out(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        entries = {str(ADD[collection](carla).pk) for _ in range(5)}

        refused = doctor.get(list_of(carla, collection), {"ordering": "?"})
        names = refused.json()["errors"]["ordering"][0].partition(": ")[2].rstrip(".").split(", ")

        for name in names:
            pages = [
                ids_in(
                    doctor.get(
                        list_of(carla, collection),
                        {"ordering": name, "page_size": "2", "page": str(number)},
                    )
                )
                for number in (1, 2, 3)
            ]
            assert {entry for page in pages for entry in page} == entries

    def test_finds_what_changed(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        ADD[collection](carla)
        now = timezone.now().isoformat()
        later = ADD[collection](carla)

        assert ids_in(doctor.get(list_of(carla, collection), {"updated_since": now})) == [
            str(later.pk)
        ]


@each_collection
class TestEveryEntry:
    def test_reads_as_in_its_list(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        entry = ADD[collection](carla)

        response = doctor.get(f"{list_of(carla, collection)}{entry.pk}/")

        assert [response.json()] == doctor.get(list_of(carla, collection)).json()["results"]
        assert response["Last-Modified"]
        assert response["ETag"]

    def test_is_there_below_its_own_patient_only(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        entry = ADD[collection](Patient.objects.create(family="Somebody"))

        assert doctor.get(f"{list_of(carla, collection)}{entry.pk}/").status_code == 404

    def test_is_not_there_for_another_clinic(
        self, doctor: TenantClient, oak: Organization, collection: str
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            otto = Patient.objects.create(family="Oakes")
            entry = ADD[collection](otto)

        assert doctor.get(f"{list_of(otto, collection)}{entry.pk}/").status_code == 404

    def test_refuses_strangers_and_the_front_desk(
        self, elm_client: TenantClient, sign_in: Any, carla: Patient, collection: str
    ) -> None:
        address = f"{list_of(carla, collection)}{ADD[collection](carla).pk}/"

        stranger = elm_client.get(address)
        sign_in(elm_client, "receptionist")
        receptionist = elm_client.get(address)

        assert (stranger.status_code, receptionist.status_code) == (401, 403)

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_cannot_be_written_to(
        self, doctor: TenantClient, carla: Patient, collection: str, method: str
    ) -> None:
        address = f"{list_of(carla, collection)}{ADD[collection](carla).pk}/"

        response = getattr(doctor, method)(address, {}, content_type="application/json")

        assert response.status_code == 405

    def test_keeps_what_has_no_column_to_itself(
        self, doctor: TenantClient, carla: Patient, collection: str
    ) -> None:
        entry: Any = ADD[collection](carla)
        entry.extra = {"note": "kept back"}
        entry.save()

        answer = doctor.get(f"{list_of(carla, collection)}{entry.pk}/").content.decode()

        assert "kept back" not in answer


class TestObservation:
    def test_gives_numbers_digit_for_digit(self, doctor: TenantClient, carla: Patient) -> None:
        add_observation(carla)

        [row] = doctor.get(list_of(carla, "observations")).json()["results"]

        assert row["code"] == {
            "system": "http://loinc.org",
            "code": "85354-9",
            "display": "Blood pressure",
        }
        assert row["value_quantity"] is None
        assert [part["value_quantity"] for part in row["component"]] == [
            {"value": "120.50", "comparator": None, "unit": "mmHg", "code": None},
            {"value": "80", "comparator": None, "unit": "mmHg", "code": None},
        ]

    def test_writes_small_numbers_without_an_exponent(
        self, doctor: TenantClient, carla: Patient
    ) -> None:
        Observation.objects.create(
            patient=carla, status="final", value_quantity=Decimal("1E-9"), value_comparator="<"
        )

        [row] = doctor.get(list_of(carla, "observations")).json()["results"]

        assert row["value_quantity"]["value"] == "0.000000001"
        assert row["value_quantity"]["comparator"] == "<"


class TestEncounter:
    def test_names_the_practitioner(self, doctor: TenantClient, carla: Patient) -> None:
        encounter = add_encounter(carla)

        [row] = doctor.get(list_of(carla, "encounters")).json()["results"]

        assert row["practitioner"] == {
            "id": str(encounter.practitioner_id),
            "display": "Dr. Nora Ng",
        }
        assert row["period"] == {"start": "2024-03-01T09:00:00Z", "end": None}


class TestAllergy:
    def test_says_what_happened(self, doctor: TenantClient, carla: Patient) -> None:
        add_allergy(carla)

        [row] = doctor.get(list_of(carla, "allergies")).json()["results"]

        assert row["category"] == ["food", "environment"]
        assert row["reaction"][0]["manifestation"] == ["Hives"]
        assert row["reaction"][0]["severity"] == "severe"
        assert row["type"] is None


class TestFilters:
    @pytest.fixture(autouse=True)
    def _chart(self, carla: Patient) -> None:
        """A chart with one entry of each kind, and one more observation, without a date."""
        for add in ADD.values():
            add(carla)
        Observation.objects.create(patient=carla, status="entered-in-error", code="8867-4")

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("observations/?status=final", 1),
            ("observations/?status=final,entered-in-error", 2),
            ("observations/?status=amended", 0),
            ("observations/?category=vital-signs,laboratory", 1),
            ("observations/?code=85354-9", 1),
            ("observations/?code=85354-9,8867-4", 2),
            ("observations/?code=http://loinc.org|85354-9", 1),
            ("observations/?code=http://loinc.org|", 1),
            ("observations/?code=|85354-9", 0),
            ("observations/?code=|8867-4", 1),
            ("observations/?date=2024-03-01", 1),
            ("observations/?date=2024-03", 1),
            ("observations/?date=2024", 1),
            ("observations/?date=2023", 0),
            ("observations/?date_ge=2024-03-01&date_le=2024-03-01", 1),
            ("observations/?date_ge=2024-03-02", 0),
            ("observations/?date_le=2024-02", 0),
            ("observations/?date_ge=0001-01-01&date_le=9998-12-31", 1),
            ("encounters/?status=finished&class_code=AMB,EMER&date=2024", 1),
            ("encounters/?class_code=EMER", 0),
            ("encounters/?type=185345009", 0),
            ("conditions/?clinical_status=active&verification_status=confirmed", 1),
            ("conditions/?code=38341003&onset_date_le=2020-01-01", 1),
            ("conditions/?onset_date_ge=2020-01-02", 0),
            ("conditions/?recorded_date_ge=2000", 0),
            ("allergies/?category=food", 1),
            ("allergies/?category=medication,environment", 1),
            ("allergies/?category=medication", 0),
            ("allergies/?criticality=high&clinical_status=active", 1),
            ("allergies/?type=allergy", 0),
            ("medications/?status=active&intent=order&authored_on=2024-03", 1),
            ("medications/?status=stopped", 0),
            ("immunizations/?status=completed&vaccine_code=140", 1),
            ("immunizations/?date_ge=1900", 0),
        ],
    )
    def test_find(self, doctor: TenantClient, carla: Patient, query: str, found: int) -> None:
        response = doctor.get(f"/api/v1/patients/{carla.pk}/{query}")

        assert response.status_code == 200, response.json()
        assert response.json()["count"] == found

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("observations/?status=done", "status"),
            ("observations/?status=final&status=amended", "status"),
            ("observations/?date=yesterday", "date"),
            ("observations/?date_le=9999-12-31", "date_le"),
            ("observations/?code=%00", "code"),
            ("observations/?category=%00", "category"),
            ("observations/?ordering=patient__family", "ordering"),
            ("allergies/?category=nuts", "category"),
            ("conditions/?status=active", "status"),
            ("encounters/?class=AMB", "class"),
        ],
    )
    def test_refuse_what_they_do_not_understand(
        self, doctor: TenantClient, carla: Patient, query: str, name: str
    ) -> None:
        response = doctor.get(f"/api/v1/patients/{carla.pk}/{query}")

        assert response.status_code == 400
        assert list(response.json()["errors"]) == [name]
