"""The sign-in page: at a clinic and on the base domain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import override_settings

from apps.accounts.models import User
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures.clinics import PASSWORD

PAGE = "/sign-in/"


def submit(client: TenantClient, username: str, password: str, **rest: str):
    return client.post(PAGE, {"username": username, "password": password, **rest})


@pytest.fixture
def doctor(in_elm: Organization, staff: Callable[[str], User]) -> User:
    """Elm's doctor."""
    return staff("doctor")


@pytest.fixture
def operator(on_platform: None) -> User:
    """Who runs the service; has no business at a clinic."""
    return User.objects.create_superuser("operator", password=PASSWORD)


class TestPage:
    def test_shows_the_clinics_name(self, doctor: User, elm_client: TenantClient) -> None:
        response = elm_client.get(PAGE)

        assert response.status_code == 200
        assert "Elm Street Clinic" in response.content.decode()

    def test_on_the_base_domain_is_for_operators(
        self, on_platform: None, platform_client: TenantClient
    ) -> None:
        response = platform_client.get(PAGE)

        assert "ClinicX operations" in response.content.decode()
        assert "Clinic</h1>" not in response.content.decode()

    def test_lets_password_managers_help(self, doctor: User, elm_client: TenantClient) -> None:
        page = elm_client.get(PAGE).content.decode()

        assert 'autocomplete="username"' in page
        assert 'autocomplete="current-password"' in page

    def test_is_in_no_cache(self, doctor: User, elm_client: TenantClient) -> None:
        assert "no-store" in elm_client.get(PAGE)["Cache-Control"]

    def test_sends_on_whoever_is_signed_in(
        self, doctor: User, elm_client: TenantClient, sign_in: Callable
    ) -> None:
        sign_in(elm_client, "doctor")

        assert elm_client.get(PAGE)["Location"] == "/"

    @pytest.mark.parametrize("method", ["delete", "patch"])
    def test_answers_405_to_another_method(
        self, doctor: User, elm_client: TenantClient, method: str
    ) -> None:
        assert getattr(elm_client, method)(PAGE).status_code == 405


class TestSignIn:
    def test_leads_to_the_start(self, doctor: User, elm_client: TenantClient) -> None:
        response = submit(elm_client, "doctor", PASSWORD)

        assert response.status_code == 302
        assert response["Location"] == "/"
        assert elm_client.get("/patients/").status_code == 200

    def test_leads_to_the_page_that_was_asked_for(
        self, doctor: User, elm_client: TenantClient
    ) -> None:
        asked = elm_client.get("/patients/")
        page = elm_client.get(asked["Location"]).content.decode()

        response = submit(elm_client, "doctor", PASSWORD, next="/patients/")

        assert 'name="next" value="/patients/"' in page
        assert response["Location"] == "/patients/"

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example/", "//evil.example/", "http:///evil.example", "javascript:alert(1)"],
    )
    def test_leads_to_no_other_host(
        self, doctor: User, elm_client: TenantClient, elsewhere: str
    ) -> None:
        response = submit(elm_client, "doctor", PASSWORD, next=elsewhere)

        assert response["Location"] == "/"

    def test_gives_the_session_a_new_key(self, doctor: User, elm_client: TenantClient) -> None:
        """
        A key that somebody planted in the browser before is worth nothing afterwards.
        """
        session = elm_client.session
        session["planted"] = "yes"
        session.save()
        before = session.session_key

        submit(elm_client, "doctor", PASSWORD)

        assert elm_client.cookies["sessionid"].value != before
        assert not elm_client.session.exists(before)

    @pytest.mark.parametrize(
        ("username", "password"),
        [("doctor", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("DOCTOR", PASSWORD)],
    )
    def test_is_refused_in_the_same_words_whatever_is_wrong(
        self, doctor: User, elm_client: TenantClient, username: str, password: str
    ) -> None:
        User.objects.create_user("gone", password=PASSWORD, is_active=False)

        response = submit(elm_client, username, password)

        assert response.status_code == 200
        assert response.context["form"].non_field_errors() == [
            "That username and password do not belong together. Check both; capitals count."
        ]

    def test_does_not_repeat_a_password(self, doctor: User, elm_client: TenantClient) -> None:
        assert "correct horse" not in submit(elm_client, "doctor", "correct horse").content.decode()

    def test_names_the_box_that_was_left_empty(
        self, doctor: User, elm_client: TenantClient
    ) -> None:
        page = submit(elm_client, "doctor", "").content.decode()

        assert "Type your password." in page
        assert 'aria-describedby="id_password_error"' in page
        assert 'id="id_password_error"' in page

    def test_at_one_clinic_opens_no_door_at_another(
        self, doctor: User, oak: Organization, elm_client: TenantClient, oak_client: TenantClient
    ) -> None:
        submit(elm_client, "doctor", PASSWORD)
        oak_client.cookies["sessionid"] = elm_client.cookies["sessionid"].value

        assert submit(oak_client, "doctor", PASSWORD).status_code == 200
        assert oak_client.get("/patients/").status_code == 302

    def test_of_an_operator_works_on_the_base_domain_only(
        self, operator: User, platform_client: TenantClient, elm_client: TenantClient
    ) -> None:
        assert submit(platform_client, "operator", PASSWORD).status_code == 302
        assert submit(elm_client, "operator", PASSWORD).status_code == 200


class TestDemoSignIns:
    def test_are_shown_where_the_settings_list_them(
        self, doctor: User, elm_client: TenantClient
    ) -> None:
        with override_settings(CLINICX_DEMO_SIGN_INS=[("doctor", "Doctor"), ("nurse", "Nurse")]):
            response = elm_client.get(PAGE)

        assert response.context["demo_sign_ins"] == [("doctor", "Doctor")]
        assert "Demo sign-ins" in response.content.decode()

    @override_settings(CLINICX_DEMO_SIGN_INS=[])
    def test_are_not_in_production(self, doctor: User, elm_client: TenantClient) -> None:
        assert "Demo" not in elm_client.get(PAGE).content.decode()


class TestSignOut:
    @pytest.fixture(autouse=True)
    def signed_in(self, doctor: User, elm_client: TenantClient, sign_in: Callable) -> None:
        sign_in(elm_client, "doctor")

    def test_ends_the_session_and_says_so(self, elm_client: TenantClient) -> None:
        key = elm_client.session.session_key

        response = elm_client.post("/sign-out/", follow=True)

        assert response.redirect_chain == [(PAGE, 302)]
        assert "You are signed out." in response.content.decode()
        assert not elm_client.session.exists(key)
        assert elm_client.get("/patients/").status_code == 302

    def test_answers_405_to_a_link(self, elm_client: TenantClient) -> None:
        assert elm_client.get("/sign-out/").status_code == 405
        assert elm_client.get("/patients/").status_code == 200

    def test_refuses_a_form_of_another_site(
        self, elm_client: TenantClient, in_elm: Organization
    ) -> None:
        stranger = TenantClient(in_elm, enforce_csrf_checks=True)
        stranger.cookies["sessionid"] = elm_client.cookies["sessionid"].value

        response = stranger.post("/sign-out/")

        assert response.status_code == 403
        assert "This page was open too long" in response.content.decode()
        assert elm_client.get("/patients/").status_code == 200
