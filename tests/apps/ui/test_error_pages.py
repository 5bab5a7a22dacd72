"""What people see when something is wrong: pages that need nothing to be right."""

from __future__ import annotations

import re

import pytest
from django.template.loader import render_to_string
from django.test import RequestFactory

from apps.accounts.models import User
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient

PAGES = {
    "400.html": "That request made no sense",
    "403.html": "Not for this account",
    "403_csrf.html": "This page was open too long",
    "404.html": "Nothing here",
    "410.html": "Deleted",
    "429.html": "Too much at once",
    "500.html": "Something broke on our side",
    "503.html": "Out of service for now",
}


class TestErrorPage:
    @pytest.mark.parametrize(("template", "heading"), PAGES.items())
    def test_needs_no_request_no_tenant_and_no_database(self, template: str, heading: str) -> None:
        """
        pytest-django refuses every query of a test that did not ask for the database.
        """
        assert context.get_current() is None

        page = render_to_string(template)

        assert re.search(rf'<h1 class="door__name">\s*{heading}\s*</h1>', page)

    @pytest.mark.parametrize("template", PAGES)
    def test_is_the_same_with_a_request_that_got_nowhere(self, template: str) -> None:
        request = RequestFactory().get("/")

        assert "ClinicX" in render_to_string(template, request=request)

    def test_says_why_a_clinic_is_out_of_service(self) -> None:
        page = render_to_string("503.html", {"reason": "Closed until Monday & then open."})

        assert "Closed until Monday &amp; then open." in page


class TestWayOut:
    def test_is_offered_to_whoever_has_no_right(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        """
        Without it, somebody whose account has no role yet could not even sign out.
        """
        elm_client.force_login(User.objects.create_user("newcomer"))

        page = elm_client.get("/patients/").content.decode()

        assert '<form class="door__form"' in page
        assert elm_client.post("/sign-out/").status_code == 302

    def test_leads_to_the_start_of_the_clinic(
        self, in_elm: Organization, elm_client: TenantClient
    ) -> None:
        assert "Back to the start" in elm_client.get("/nowhere/").content.decode()

    def test_is_not_pretended_where_there_is_no_clinic(self, on_platform: None) -> None:
        response = TenantClient(host="nowhere.localhost").get("/")

        assert response.status_code == 404
        assert "Nothing here" in response.content.decode()
        assert "Back to the start" not in response.content.decode()
