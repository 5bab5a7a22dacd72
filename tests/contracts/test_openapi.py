"""The API's description is valid, complete, and without a warning from its generator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from clinicx.api import schema
from tenancy.models import Organization
from tenancy.testing import TenantClient


@pytest.fixture(scope="module")
def description() -> Any:
    schema._describe.cache_clear()
    GENERATOR_STATS.reset()
    return schema._describe()


def resources() -> list[str]:
    """Return the addresses below /api/v1/ as the schema writes them, from the URLs themselves."""

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> list[str]:
        found = []
        for pattern in patterns:
            address = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                found += walk(pattern.url_patterns, address)
            else:
                found.append(address)
        return found

    addresses = walk(get_resolver("clinicx.urls.tenant").url_patterns, "/")
    as_written = [
        address.replace("<uuid:pk>", "{id}").replace("<uuid:patient_id>", "{patient_id}")
        for address in addresses
    ]
    return [address for address in as_written if address.startswith("/api/v1/")]


class TestDescription:
    def test_is_generated_without_a_warning(self, description: Any) -> None:
        assert not GENERATOR_STATS._warn_cache
        assert not GENERATOR_STATS._error_cache

    def test_is_valid(self, description: Any) -> None:
        validate_schema(description)

    def test_names_every_resource(self, description: Any) -> None:
        assert sorted(description["paths"]) == sorted(resources())

    def test_gives_each_operation_its_problems(self, description: Any) -> None:
        for operations in description["paths"].values():
            for operation in operations.values():
                assert {"400", "401", "403", "404", "429"} <= operation["responses"].keys()

    def test_is_open_to_strangers(self, in_elm: Organization, elm_client: TenantClient) -> None:
        response = elm_client.get("/api/schema/", headers={"Accept": "application/json"})

        assert response.status_code == 200
        assert "/api/v1/patients/" in json.loads(response.content)["paths"]

    def test_says_nothing_of_the_clinic(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        answer = elm_client.get("/api/schema/").content.decode().casefold()

        assert in_elm.name.casefold() not in answer
        assert in_elm.host not in answer


class TestDocsPage:
    def test_is_open_to_strangers(self, in_elm: Organization, elm_client: TenantClient) -> None:
        response = elm_client.get("/api/docs/")

        assert response.status_code == 200
        assert 'href="http' not in response.content.decode()
        assert 'src="http' not in response.content.decode()

    def test_brings_its_own_scripts(self, in_elm: Organization, elm_client: TenantClient) -> None:
        response = elm_client.get("/api/docs/?script=")

        assert response["Content-Type"] == "application/javascript"
        assert "/api/schema/" in response.content.decode()

    def test_needs_no_exception_from_the_policy(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        assert "unsafe" not in elm_client.get("/api/docs/")["Content-Security-Policy"]
