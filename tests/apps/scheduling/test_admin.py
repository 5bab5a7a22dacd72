"""Practitioners in a clinic's admin."""

from __future__ import annotations

from typing import Any

import pytest

from apps.scheduling.models import Practitioner
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

LIST = "/admin/scheduling/practitioner/"


@pytest.fixture
def admin_client(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's clinic admin at a browser."""
    sign_in(elm_client, "clinic_admin")
    return elm_client


class TestPractitioners:
    def test_are_added_with_their_numbers(self, admin_client: TenantClient) -> None:
        admin_client.post(
            f"{LIST}add/",
            {
                "prefix": "Dr.",
                "given": "Nora",
                "family": "Ng",
                "gender": "female",
                "qualifications": "MD, PhD",
                "active": "on",
                "identifiers-TOTAL_FORMS": "1",
                "identifiers-INITIAL_FORMS": "0",
                "identifiers-0-value": "NPI-1",
            },
        )

        nora = Practitioner.objects.get()
        assert nora.full_name == "Dr. Nora Ng"
        assert nora.qualifications == ["MD", "PhD"]
        assert nora.identifiers.get().value == "NPI-1"

    def test_are_found(self, admin_client: TenantClient) -> None:
        Practitioner.objects.create(family="Ng", given="Nora")
        Practitioner.objects.create(family="Poe", given="Paul")

        page = admin_client.get(LIST, {"q": "nora"}).content.decode()

        assert "Nora Ng" in page
        assert "Poe" not in page

    def test_are_not_deleted_from_the_charts_that_name_them(
        self, admin_client: TenantClient
    ) -> None:
        nora = Practitioner.objects.create(family="Ng")

        assert admin_client.post(f"{LIST}{nora.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_are_not_there_for_another_clinic(
        self, admin_client: TenantClient, oak: Organization
    ) -> None:
        with context.override(oak.as_active(), in_transaction=True):
            otto = Practitioner.objects.create(family="Oakes")

        assert "Oakes" not in admin_client.get(LIST).content.decode()
        assert admin_client.get(f"{LIST}{otto.pk}/change/").status_code == 302
