"""The host of a request, and nothing else in it, decides whose request it is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tenancy import context
from tenancy.models import Domain, Organization
from tenancy.testing import TenantClient

SIGN_IN = reverse("accounts:sign_in", urlconf="clinicx.urls.public")

ELMS = [
    "elm.localhost",
    "ELM.localhost",
    "Elm.LocalHost",
    "elm.localhost.",
    "elm.localhost:8443",
    "ELM.LOCALHOST.:8000",
]

BASES = ["localhost", "LOCALHOST", "localhost.", "localhost:8000"]

# Well-formed, and nobody's: a name is one label of letters, digits and dashes below the
# base domain, or a domain that an organization has.
UNKNOWN = [
    "nowhere.localhost",
    "elm.oak.localhost",
    "oak.elm.localhost",
    "elm.localhost.localhost",
    "elm..localhost",
    "..localhost",
    ".localhost",
    "-elm.localhost",
    "elm-.localhost",
    "xelm.localhost",
    "elm.localhost.example.org",
    "elmlocalhost",
    "elm",
    "evil.example.org",
    "www.localhost",
    "public.localhost",
    "tenant-elm.localhost",
    "pg-catalog.localhost",
    "127.0.0.1",
    "127.0.0.1:8000",
    "10.0.0.7",
    "169.254.169.254",
    "0x7f000001",
    "[::1]",
    "[::1]:8000",
    "[fe80::1]",
    # What looks like elm: Cyrillic e, Greek mu, full width, a soft hyphen, a joiner.
    "xn--lm-flc.localhost",
    "xn--el-emc.localhost",
    "xn--zr9haa.localhost",
    "xn--elm-n7a.localhost",
    "xn--elm-.localhost",
    "xn--elm.localhost",
    "elm.xn--localhost",
    f"{'e' * 64}.localhost",
    f"{'e' * 300}.localhost",
    f"{'e.' * 200}localhost",
]

MALFORMED = [
    "",
    " ",
    "elm.localhost, oak.localhost",
    "elm.localhost oak.localhost",
    "elm.localhost@oak.localhost",
    "oak@elm.localhost",
    "elm.localhost/",
    "elm.localhost#",
    "elm.localhost?",
    "elm.localhost:",
    "elm.localhost:port",
    "elm.localhost:80:80",
    "elm_.localhost",
    "elm%2elocalhost",
    "elm\x00.localhost",
    "elm\r\n.localhost",
    "elm\t.localhost",
    "\xe9lm.localhost",
    "'; DROP SCHEMA tenant_elm; --",
    '"elm".localhost',
    "[::1",
    "::1",
    "*",
    "*.localhost",
]

# What proxies, other products and wishful thinking send along.
HEADERS = [
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Host",
    "X-HTTP-Host-Override",
    "Forwarded",
    "X-Tenant",
    "X-Tenant-ID",
    "X-Tenant-Slug",
    "X-Organization",
    "X-Schema",
    "DTS-SCHEMA",
]


pytestmark = pytest.mark.usefixtures("owned_keys")


def _ask(host: str, **headers: str) -> HttpResponse:
    return TenantClient(host=host, headers=headers).get(SIGN_IN)


def _name_of(organization: Organization | None) -> str:
    return organization.slug if organization else "the platform"


class TestHost:
    @pytest.mark.parametrize("host", ELMS)
    def test_is_elms_however_it_is_written(self, host: str, outside: list[Organization]):
        response = _ask(host)

        assert response.status_code == 200
        assert _name_of(response.wsgi_request.tenant) == "elm"

    @pytest.mark.parametrize("host", BASES)
    def test_is_the_platforms_however_it_is_written(self, host: str, outside: list[Organization]):
        response = _ask(host)

        assert response.status_code == 200
        assert _name_of(response.wsgi_request.tenant) == "the platform"

    @pytest.mark.parametrize(
        "host", ["Praxis.Example.ORG", "praxis.example.org.", "PRAXIS.example.org:81"]
    )
    def test_of_its_own_is_oaks_however_it_is_written(
        self, host: str, outside: list[Organization], oak: Organization
    ):
        with context.override(context.PLATFORM):
            Domain(domain="praxis.example.org", tenant=oak).save(using="default")

        response = _ask(host)

        assert _name_of(response.wsgi_request.tenant) == "oak"

    @pytest.mark.parametrize("host", UNKNOWN, ids=lambda host: host[:30])
    def test_that_is_nobodys_is_not_found(self, host: str, outside: list[Organization]):
        response = _ask(host)

        assert response.status_code == 404
        assert not any(each.name.encode() in response.content for each in outside)
        assert not hasattr(response.wsgi_request, "tenant")
        assert not response.cookies

    @pytest.mark.parametrize("host", MALFORMED, ids=ascii)
    def test_that_is_none_is_a_bad_request(self, host: str, outside: list[Organization]):
        response = _ask(host)

        assert response.status_code == 400
        assert not any(each.name.encode() in response.content for each in outside)
        assert not response.cookies

    @pytest.mark.parametrize("host", ["elm.localhost", "nowhere.localhost", "example.org"])
    def test_is_looked_up_once(self, host: str, outside: list[Organization]):
        """
        What asks for ten thousand hosts that nobody has costs the database nothing twice.
        """
        with context.override(context.PLATFORM):
            first = _count_lookups(host)
            second = _count_lookups(host)
            other_spelling = _count_lookups(f"{host.upper()}.:8000")

        assert first > 0
        assert (second, other_spelling) == (0, 0)

    @pytest.mark.parametrize("host", MALFORMED, ids=ascii)
    def test_that_is_none_is_never_looked_up(self, host: str, outside: list[Organization]):
        with context.override(context.PLATFORM):
            assert _count_lookups(host) == 0


def _count_lookups(host: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        _ask(host)
    return sum("tenancy_" in query["sql"] for query in queries)


class TestRequest:
    @pytest.mark.parametrize("header", HEADERS)
    @pytest.mark.parametrize("value", ["oak.localhost", "oak", "tenant_oak", "host=oak.localhost"])
    def test_at_elms_host_is_elms_whatever_its_headers_say(
        self, header: str, value: str, outside: list[Organization]
    ):
        response = _ask("elm.localhost", **{header: value})

        assert response.status_code == 200
        assert _name_of(response.wsgi_request.tenant) == "elm"
        assert b"Oak Lane" not in response.content

    def test_at_elms_host_is_elms_by_oaks_id(self, outside: list[Organization], oak: Organization):
        headers = {header: str(oak.id) for header in HEADERS}

        response = _ask("elm.localhost", **headers)

        assert _name_of(response.wsgi_request.tenant) == "elm"

    @pytest.mark.parametrize(
        "name", ["tenant", "tenant_id", "schema", "organization", "host", "slug"]
    )
    def test_at_elms_host_is_elms_whatever_its_parameters_say(
        self, name: str, outside: list[Organization]
    ):
        client = TenantClient(outside[0])

        for value in ("oak", "tenant_oak", "oak.localhost"):
            asked = client.get(SIGN_IN, {name: value})
            sent = client.post(SIGN_IN, {name: value})

            assert _name_of(asked.wsgi_request.tenant) == "elm"
            assert _name_of(sent.wsgi_request.tenant) == "elm"
            assert b"Oak Lane" not in asked.content + sent.content
