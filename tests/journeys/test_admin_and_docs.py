"""The pages that are drawn by others' scripts, under our policy: the admin, the API's docs."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import DESK, PHONE, OpenPage
from tests.journeys.test_accessibility import check


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
class TestAdmin:
    def test_can_be_used_by_everybody(
        self, open_as: OpenPage, size: tuple[int, int], theme: str
    ) -> None:
        page = open_as("admin", "/admin/", size=size, theme=theme)
        check(page)

        for path in ("patients/patient/", "accounts/user/", "chart/observation/"):
            page.goto(f"/admin/{path}")
            check(page)
            page.locator("#result_list tbody a").first.click()
            expect(page.get_by_text("History").first).to_be_attached()
            check(page)


class TestDocs:
    def test_let_a_person_try_the_api(self, open_as: OpenPage) -> None:
        page = open_as("doctor", "/api/docs/")

        page.get_by_role("button", name="/api/v1/patients/ Find patients").first.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()

        expect(page.locator(".live-responses-table .response-col_status").last).to_have_text("200")
