"""Can everybody use the pages: whatever they see, in whichever light, on whichever screen?"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, OpenPage
from tests.journeys.people import rows

axe_playwright_python = pytest.importorskip(
    "axe_playwright_python.sync_playwright",
    reason="axe is not installed: pip install axe-playwright-python",
)

SCREENS = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])

# Axe writes styles into the page, which the page's own policy would refuse.
FOR_AXE = {"bypass_csp": True}

# It would also fetch the stylesheets again, by the wrong addresses.
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}

# A finger needs 44 pixels (WCAG 2.5.5); an area around the drawing counts.
TOO_SMALL = """
    () => [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden])")]
        .filter((target) => target.checkVisibility() && !target.closest("p, .skip"))
        .filter((target) => {
            target.scrollIntoView({ block: "center" });
            const { x, y, width, height } = target.getBoundingClientRect();
            const [middle, centre] = [x + width / 2, y + height / 2];
            return [-21, 21].some((away) => {
                const hit = document.elementFromPoint(middle, centre + away);
                const isIts = hit && (target.contains(hit) || hit.matches("label:has(input)"));
                return !isIts;
            });
        })
        .map((target) => target.outerHTML.slice(0, 120))
"""


def check(page: Page) -> None:
    """Fail if axe finds something serious, or if the page is wider than the screen."""
    found: dict[str, Any] = axe_playwright_python.Axe().run(page, options=AXE_OPTIONS).response
    serious = [
        f"{violation['id']}: {node['html']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@SCREENS
@THEMES
class TestEveryPage:
    """Axe finds nothing serious, and nothing has to be scrolled sideways."""

    def test_sign_in(self, open_page: OpenPage, size: tuple[int, int], theme: str) -> None:
        page = open_page("/sign-in/", size=size, theme=theme, **FOR_AXE)
        check(page)

        page.get_by_label("Username").fill("doctor")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in", exact=True).click()

        expect(page.get_by_role("alert")).to_be_visible()
        check(page)

    def test_patient_list(self, open_as: OpenPage, size: tuple[int, int], theme: str) -> None:
        page = open_as("doctor", size=size, theme=theme, **FOR_AXE)
        check(page)
        page.get_by_label("Search patients").fill("zzzz")
        page.keyboard.press("Enter")
        page.get_by_text("Nobody by that description").wait_for()
        check(page)

        page.locator(".menu__button").click()

        check(page)

    def test_patient_page(self, open_as: OpenPage, size: tuple[int, int], theme: str) -> None:
        page = open_as("doctor", size=size, theme=theme, **FOR_AXE)
        addresses = [row.get_attribute("href") for row in rows(page).all()[:3]]

        for address in addresses:
            assert address
            page.goto(address)
            for summary in page.locator("details.card__more > summary").all():
                summary.click()
            check(page)

    def test_cheat_sheet(self, open_as: OpenPage, size: tuple[int, int], theme: str) -> None:
        page = open_as("doctor", size=size, theme=theme, **FOR_AXE)

        page.keyboard.press("?")

        expect(page.get_by_role("dialog")).to_be_visible()
        check(page)


class TestErrorPage:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_is_as_good(self, open_page: OpenPage, theme: str) -> None:
        page = open_page("/sign-in/", theme=theme, **FOR_AXE)

        page.goto("/nowhere/")

        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")
        check(page)


class TestTouch:
    def test_targets_are_wide_enough_for_a_finger(self, open_as: OpenPage) -> None:
        page = open_as("doctor", size=PHONE)
        assert page.evaluate(TOO_SMALL) == []

        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()

        assert page.evaluate(TOO_SMALL) == []


class TestZoom:
    def test_of_four_hundred_percent_leaves_room_to_read(self, open_as: OpenPage) -> None:
        """
        A desk's screen at 400 % is 320 by 225 (WCAG 1.4.10): no part of it may be given away.
        """
        page = open_as("doctor", size=(320, 225))
        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()

        page.evaluate("scrollTo(0, document.body.scrollHeight)")

        expect(page.locator(".banner h1")).not_to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
