"""The registry in a clinic's admin: found, put right, and on record who did it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.patients.models import Patient
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

LIST = "/admin/patients/patient/"
PARTS = ("names", "telecoms", "addresses", "identifiers", "contacts", "communications")

Register = Callable[..., Patient]


def change_page(patient: Patient) -> str:
    return f"{LIST}{patient.pk}/change/"


def form(**fields: Any) -> dict[str, Any]:
    """Return a filled-in form of a patient without any part, plus `fields`."""
    counts = {f"{part}-TOTAL_FORMS": "0" for part in PARTS}
    counts |= {f"{part}-INITIAL_FORMS": "0" for part in PARTS}
    return {"active": "on", "gender": "", "birth_date_precision": "", **counts, **fields}


def with_name(patient: Patient, family: str) -> dict[str, Any]:
    name = patient.names.get()
    return form(
        **{
            "names-TOTAL_FORMS": "1",
            "names-INITIAL_FORMS": "1",
            "names-0-id": str(name.pk),
            "names-0-patient": str(patient.pk),
            "names-0-use": "official",
            "names-0-given": "Carla, María",
            "names-0-family": family,
        }
    )


@pytest.fixture
def admin_client(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's clinic admin at a browser."""
    sign_in(elm_client, "clinic_admin")
    return elm_client


@pytest.fixture
def carla(in_elm: Organization, register: Register) -> Patient:
    """Carla Echevarría, Elm's patient."""
    return register("Echevarría", "Carla", born="1990-05-17", phone="+34 600 100 200")


class TestList:
    def test_finds_as_the_pages_do(
        self, admin_client: TenantClient, carla: Patient, register: Register
    ) -> None:
        register("Somebody", "Else")

        for text in ("echevarria car", carla.mrn, "100200", "17 May 1990"):
            page = admin_client.get(LIST, {"q": text}).content.decode()

            assert carla.mrn in page
            assert "Somebody" not in page

    @pytest.mark.parametrize("text", ["%", "'", "\x00", "a" * 5000, "1 " * 500])
    def test_takes_any_text(self, admin_client: TenantClient, text: str) -> None:
        assert admin_client.get(LIST, {"q": text}).status_code == 200

    def test_takes_the_same_queries_for_one_and_for_many(
        self, admin_client: TenantClient, carla: Patient, register: Register
    ) -> None:
        admin_client.get(LIST)
        with CaptureQueriesContext(connection) as one:
            admin_client.get(LIST)
        for number in range(20):
            register(f"Next{number}", "Ned", phone="555 1234")

        with CaptureQueriesContext(connection) as many:
            page = admin_client.get(LIST).content.decode()

        assert "Next19" in page
        assert len(many) == len(one)

    def test_never_shows_another_clinics(
        self, admin_client: TenantClient, oak: Organization, register: Register
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            otto = register("Oakes", "Otto")

        assert "Oakes" not in admin_client.get(LIST).content.decode()
        assert admin_client.get(change_page(otto)).status_code == 302
        assert admin_client.post(change_page(otto), form()).status_code == 302
        with context.override(oak.as_active(), in_transaction=True):
            assert Patient.objects.get().family == "Oakes"


class TestChangePage:
    def test_shows_what_the_registry_knows(
        self, admin_client: TenantClient, carla: Patient
    ) -> None:
        carla.contacts.create(family="Ruiz", given="Ana")
        carla.addresses.create(city="Sevilla")
        carla.identifiers.create(value="999-81-1234")
        carla.communications.create(language="es")

        page = admin_client.get(change_page(carla)).content.decode()

        for expected in (carla.mrn, "+34 600 100 200", "Ruiz", "Sevilla", "999-81-1234"):
            assert expected in page

    def test_keeps_the_row_true_to_its_names(
        self, admin_client: TenantClient, carla: Patient
    ) -> None:
        response = admin_client.post(change_page(carla), with_name(carla, "Ruiz"))

        carla.refresh_from_db()
        assert response.status_code == 302
        assert (carla.family, carla.given) == ("Ruiz", "Carla María")
        assert carla.sort_name == "ruiz carla maria"

    def test_takes_no_number_from_whoever_types(
        self, admin_client: TenantClient, carla: Patient
    ) -> None:
        admin_client.post(
            change_page(carla), form(mrn="OAK0000011", family="Typed", gender="other")
        )

        changed = Patient.objects.get()
        assert changed.gender == "other"
        assert changed.mrn == carla.mrn
        assert changed.family == "Echevarría"

    def test_registers_a_patient_with_a_number(self, admin_client: TenantClient) -> None:
        admin_client.post(
            f"{LIST}add/",
            form(
                **{
                    "names-TOTAL_FORMS": "1",
                    "names-0-use": "official",
                    "names-0-given": "Ann",
                    "names-0-family": "Adler",
                }
            ),
        )

        ann = Patient.objects.get()
        assert ann.full_name == "Ann Adler"
        assert ann.mrn.startswith("ELM")

    def test_deletes_nobody(self, admin_client: TenantClient, carla: Patient) -> None:
        response = admin_client.post(f"{LIST}{carla.pk}/delete/", {"post": "yes"})

        assert response.status_code == 403
        assert Patient.objects.exists()


class TestHistory:
    @pytest.fixture(autouse=True)
    def _forget_content_types(self) -> Iterator[None]:
        """What Django remembered in a test was rolled back with it."""
        yield
        with context.override(None):
            ContentType.objects.clear_cache()

    def test_is_the_clinics_own_and_names_its_own_content_type(
        self,
        in_elm: Organization,
        oak: Organization,
        elm_client: TenantClient,
        oak_client: TenantClient,
        sign_in: Any,
        register: Register,
    ) -> None:
        """
        Each schema numbers its content types for itself, and Django remembers them for
        the whole process: Elm's change, then Oak's, must each be logged under its own.
        """
        clinics = [(in_elm, elm_client, 1000), (oak, oak_client, 2000)]
        for clinic, client, number in clinics:
            with context.override(clinic.as_active(), in_transaction=True):
                numbered = ContentType.objects.filter(model="patient")
                Permission.objects.filter(content_type__in=numbered).update(content_type=number)
                numbered.update(id=number)
                ContentType.objects.clear_cache()
            sign_in(client, "clinic_admin")

        for clinic, client, number in clinics:
            with context.override(clinic.as_active(), in_transaction=True):
                patient = register(f"Of {clinic.slug}")
                client.post(change_page(patient), with_name(patient, "Changed"))

                [entry] = LogEntry.objects.all()

                assert entry.content_type_id == number
                assert entry.object_id == str(patient.pk)
                assert entry.object_repr == f"Carla María Changed ({patient.mrn})"
                assert entry.user.username == "clinic_admin"

    def test_is_shown_beside_the_patient(self, admin_client: TenantClient, carla: Patient) -> None:
        admin_client.post(change_page(carla), with_name(carla, "Ruiz"))

        page = admin_client.get(f"{LIST}{carla.pk}/history/").content.decode()

        assert "clinic_admin" in page.casefold()
