"""What the API answers when something is wrong: always a problem, never a page, never a 500."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from unittest import mock

import pytest

from apps.patients.models import Patient
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures.clinics import PASSWORD

LIST = "/api/v1/patients/"


def basic(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"}


@pytest.fixture
def doctor(in_elm: Organization, elm_client: TenantClient, sign_in: Any) -> TenantClient:
    """Elm's doctor at a browser."""
    sign_in(elm_client, "doctor")
    return elm_client


class TestProblem:
    def test_has_the_members_of_rfc_9457(self, doctor: TenantClient) -> None:
        response = doctor.get(f"{LIST}?gender=m")

        assert response["Content-Type"] == "application/problem+json"
        assert response.json() == {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "Some parameters are wrong; each is named below.",
            "instance": LIST,
            "errors": {"gender": ["'m' is not one of: male, female, other, unknown."]},
        }

    def test_repeats_nothing_of_the_query(self, doctor: TenantClient) -> None:
        response = doctor.get(f"{LIST}?search=echevarria&page=7")

        assert response.status_code == 404
        assert "echevarria" not in response.content.decode()

    @pytest.mark.parametrize(
        "address",
        ["/api/", "/api/v1/", "/api/v2/patients/", f"{LIST}1/", f"{LIST}%00/", f"{LIST}x/y/z/"],
    )
    def test_is_what_an_unknown_address_gets(self, doctor: TenantClient, address: str) -> None:
        response = doctor.get(address)

        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["detail"] == "There is nothing at this address."

    def test_is_for_the_api_only(self, doctor: TenantClient) -> None:
        response = doctor.get("/nowhere/")

        assert response.status_code == 404
        assert response["Content-Type"].startswith("text/html")

    def test_says_which_methods_there_are(self, doctor: TenantClient) -> None:
        response = doctor.delete(LIST)

        assert response.status_code == 405
        assert response["Content-Type"] == "application/problem+json"
        assert response["Allow"] == "GET, HEAD, OPTIONS"

    def test_is_what_an_unexpected_error_gets(self, doctor: TenantClient) -> None:
        """Nothing of the error is told: its text may be about a patient."""
        doctor.raise_request_exception = False
        Patient.objects.create(family="Adler")

        with mock.patch(
            "apps.patients.api.PatientSerializer.get_links", side_effect=ValueError("Ann Adler")
        ):
            response = doctor.get(LIST)

        assert response.status_code == 500
        assert response["Content-Type"] == "application/problem+json"
        assert "Adler" not in response.content.decode()

    def test_is_what_an_unknown_host_gets(self, in_elm: Organization) -> None:
        response = TenantClient(host="nowhere.localhost").get(LIST)

        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"


class TestHostileRequests:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Accept": "application/xml"}, 406),
            ({"Accept": "text/html"}, 406),
            ({"Accept": "," * 9000}, 406),
            ({"Accept": "*/*" + ",a/b" * 2000}, 200),
            ({"If-None-Match": "\\" * 5000}, 200),
            ({"If-None-Match": "*"}, 304),
            ({"If-Modified-Since": "yesterday"}, 200),
            ({"Range": "bytes=0-1"}, 200),
            ({"X-HTTP-Method-Override": "DELETE"}, 200),
        ],
    )
    def test_headers(self, doctor: TenantClient, headers: dict[str, str], status: int) -> None:
        assert doctor.get(LIST, headers=headers).status_code == status

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000 + b"]" * 100_000,
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            b"9" * 5000,
            b"\xff\xfe\x00",
            b'{"gender": NaN}',
            b"",
        ],
        ids=["deep list", "deep object", "5000 digits", "no text", "NaN", "nothing"],
    )
    def test_bodies(self, doctor: TenantClient, body: bytes) -> None:
        response = doctor.post(LIST, body, content_type="application/json")

        assert response.status_code == 405

    def test_body_of_a_read(self, doctor: TenantClient) -> None:
        response = doctor.generic("GET", LIST, b"[" * 100_000, content_type="application/json")

        assert response.status_code == 200

    def test_more_parameters_than_django_reads(self, doctor: TenantClient) -> None:
        response = doctor.get(LIST + "?" + "&".join(f"a{number}=1" for number in range(1500)))

        assert response.status_code == 400
        assert response["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("query", ["%ff=%ff", "search=%ff%fe", "search=%ed%a0%80", "=", "&&&"])
    def test_what_is_not_utf_8(self, doctor: TenantClient, query: str) -> None:
        assert doctor.get(f"{LIST}?{query}").status_code in (200, 400)

    @pytest.mark.parametrize(
        "text",
        ["%", "_", "\\", "'", '"', "(", "%25%25", "a" * 10_000, "1 " * 500, "🙂", "' OR 1=1 --"],
    )
    def test_searches(self, doctor: TenantClient, text: str) -> None:
        response = doctor.get(LIST, {"search": text})

        assert response.status_code == 200
        assert response.json()["count"] == 0


class TestWhoIsAsking:
    def test_may_say_so_in_each_request(self, in_elm: Organization, staff: Any) -> None:
        """Only on the local stack and here; production's settings do not have it."""
        staff("doctor")

        response = TenantClient(in_elm).get(LIST, headers=basic("doctor"))

        assert response.status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            basic("doctor", "wrong"),
            basic("nobody"),
            basic(""),
            basic("doctor", "a\x00b"),
            basic("a" * 5000),
            {"Authorization": "Basic"},
            {"Authorization": "Basic !!!"},
            {"Authorization": "Basic " + b64encode(b"doc\x00tor:clinicx").decode()},
            {"Authorization": "Basic " + b64encode(b"\xff\xfe").decode()},
            {"Authorization": "Basic " + b64encode(b"no colon").decode()},
            {"Authorization": "Bearer abc"},
            {"Cookie": "sessionid=" + "a" * 32},
            {"Cookie": 'sessionid="aaaaaaaaaaaa\\000aaaa"'},
        ],
    )
    def test_is_asked_for(
        self, in_elm: Organization, elm_client: TenantClient, staff: Any, headers: dict[str, str]
    ) -> None:
        staff("doctor")

        response = elm_client.get(LIST, headers=headers)

        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"
        assert "Basic" in response["WWW-Authenticate"]

    def test_must_be_active(self, doctor: TenantClient, staff: Any) -> None:
        user = staff("doctor")
        user.is_active = False
        user.save()

        assert doctor.get(LIST).status_code == 401
        assert doctor.get(LIST, headers=basic("doctor")).status_code == 401

    def test_is_not_believed_without_the_csrf_token(
        self, in_elm: Organization, sign_in: Any
    ) -> None:
        client = TenantClient(in_elm, enforce_csrf_checks=True)
        sign_in(client, "doctor")

        response = client.post(LIST, {}, content_type="application/json")

        assert response.status_code == 403
        assert response["Content-Type"] == "application/problem+json"
        assert "CSRF" in response.json()["detail"]
