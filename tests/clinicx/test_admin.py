"""Organizations and their domains on the base domain."""

from __future__ import annotations

import pytest

from apps.accounts.models import User
from tenancy.models import Domain, Organization
from tenancy.testing import TenantClient

LIST = "/admin/tenancy/organization/"


@pytest.fixture
def operator(on_platform: None, platform_client: TenantClient) -> TenantClient:
    """The operator at the base domain."""
    platform_client.force_login(User.objects.create_superuser("operator", password="clinicx"))
    return platform_client


def domains(organization: Organization, host: str) -> dict[str, str]:
    return {
        "name": organization.name,
        "domains-TOTAL_FORMS": "1",
        "domains-INITIAL_FORMS": "0",
        "domains-0-domain": host,
    }


class TestOrganizations:
    def test_are_listed(self, operator: TenantClient, elm: Organization, oak: Organization) -> None:
        page = operator.get(LIST).content.decode()

        assert elm.name in page
        assert oak.schema_name in page

    def test_get_domains(self, operator: TenantClient, elm: Organization) -> None:
        response = operator.post(f"{LIST}{elm.pk}/change/", domains(elm, "Elm.Example.ORG."))

        assert response.status_code == 302
        assert Domain.objects.get(tenant=elm).domain == "elm.example.org"

    def test_refuse_what_is_no_domain(self, operator: TenantClient, elm: Organization) -> None:
        response = operator.post(f"{LIST}{elm.pk}/change/", domains(elm, "https://elm.example/x"))

        assert response.status_code == 200
        assert not Domain.objects.filter(tenant=elm).exists()

    def test_are_neither_made_nor_deleted_here(
        self, operator: TenantClient, elm: Organization
    ) -> None:
        """A web request runs no DDL."""
        assert operator.get(f"{LIST}add/").status_code == 403
        assert operator.post(f"{LIST}{elm.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_are_for_operators(self, on_platform: None, platform_client: TenantClient) -> None:
        platform_client.force_login(User.objects.create(username="visitor"))

        assert platform_client.get(LIST).status_code == 403
