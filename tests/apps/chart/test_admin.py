"""Charts in a clinic's admin: to be looked up, and nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.patients import registry
from apps.patients.models import Patient
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.apps.chart.test_api import ADD

each_kind = pytest.mark.parametrize("kind", sorted(ADD))


def list_of(entry: Model) -> str:
    return f"/admin/chart/{entry._meta.model_name}/"


@pytest.fixture
def admin_client(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's clinic admin at a browser."""
    sign_in(elm_client, "clinic_admin")
    return elm_client


@pytest.fixture
def carla(in_elm: Organization) -> Patient:
    """Carla Echevarría, Elm's patient."""
    patient = Patient.objects.create()
    patient.names.create(family="Echevarría", given=["Carla"])
    registry.refresh([patient])
    patient.refresh_from_db()
    return patient


@each_kind
class TestEveryKindOfEntry:
    def test_is_found_by_its_patient(
        self, admin_client: TenantClient, carla: Patient, kind: str
    ) -> None:
        entry = ADD[kind](carla)
        ADD[kind](Patient.objects.create(family="Somebody", sort_name="somebody"))

        everything = admin_client.get(list_of(entry)).content.decode()
        hers = admin_client.get(list_of(entry), {"q": "echevarria"}).content.decode()

        assert "Somebody" in everything
        assert str(entry.pk) in hers
        assert "Somebody" not in hers

    def test_takes_the_same_queries_for_one_and_for_many(
        self, admin_client: TenantClient, carla: Patient, kind: str
    ) -> None:
        entry = ADD[kind](carla)
        admin_client.get(list_of(entry))
        with CaptureQueriesContext(connection) as one:
            admin_client.get(list_of(entry))
        for _ in range(10):
            ADD[kind](carla)

        with CaptureQueriesContext(connection) as many:
            admin_client.get(list_of(entry))

        assert len(many) == len(one)

    def test_can_be_read(self, admin_client: TenantClient, carla: Patient, kind: str) -> None:
        entry = ADD[kind](carla)

        response = admin_client.get(f"{list_of(entry)}{entry.pk}/change/")

        assert response.status_code == 200
        assert 'name="_save"' not in response.content.decode()

    def test_is_written_by_nobody(
        self, admin_client: TenantClient, in_elm: Organization, carla: Patient, kind: str
    ) -> None:
        entry = ADD[kind](carla)
        root = TenantClient(in_elm)
        root.force_login(User.objects.create_superuser("root", password="clinicx"))

        for client in (admin_client, root):
            for page in ("add/", f"{entry.pk}/change/", f"{entry.pk}/delete/"):
                response = client.post(f"{list_of(entry)}{page}", {"status": "cancelled"})
                assert response.status_code == 403
        assert type(entry)._default_manager.count() == 1

    def test_is_not_there_for_another_clinic(
        self, admin_client: TenantClient, oak: Organization, kind: str
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            entry = ADD[kind](Patient.objects.create(family="Oakes"))

        assert "Oakes" not in admin_client.get(list_of(entry)).content.decode()
        assert admin_client.get(f"{list_of(entry)}{entry.pk}/change/").status_code == 302
