"""What a person sets up once and finds again: the theme, and which keys do something."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import OpenPage
from tests.journeys.people import rows

DAY = "rgb(242, 245, 245)"
NIGHT = "rgb(14, 22, 24)"


def expect_background(page: Page, color: str) -> None:
    expect(page.locator("body")).to_have_css("background-color", color)


def choose(page: Page, theme: str) -> None:
    page.locator(".menu__button").click()
    page.get_by_role("button", name=theme).click()
    page.keyboard.press("Escape")


class TestTheme:
    @pytest.mark.parametrize(("theme", "color"), [("light", DAY), ("dark", NIGHT)])
    def test_is_the_devices_at_first(self, open_as: OpenPage, theme: str, color: str) -> None:
        expect_background(open_as("doctor", theme=theme), color)

    def test_that_was_chosen_holds_on_every_page_and_after_signing_out(
        self, open_as: OpenPage
    ) -> None:
        page = open_as("nurse", theme="light")
        choose(page, "Dark")
        expect_background(page, NIGHT)

        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()
        expect_background(page, NIGHT)
        page.locator(".menu__button").click()
        expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are signed out.")).to_be_visible()

        expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    def test_can_be_the_devices_again(self, open_as: OpenPage) -> None:
        page = open_as("doctor", theme="light")
        choose(page, "Dark")
        expect_background(page, NIGHT)

        choose(page, "Device")

        expect_background(page, DAY)

    def test_is_there_before_the_page_is_painted(self, open_as: OpenPage) -> None:
        page = open_as("doctor", theme="light")
        choose(page, "Dark")
        page.add_init_script(
            "new MutationObserver(() => { if (document.body && !window.atFirst)"
            " window.atFirst = document.documentElement.dataset.theme || 'none' })"
            ".observe(document, {childList: true, subtree: true})"
        )

        page.reload()

        assert page.evaluate("window.atFirst") == "dark"


class TestKeys:
    @pytest.fixture
    def page(self, open_as: OpenPage) -> Page:
        """The list of patients before the doctor."""
        return open_as("doctor")

    def test_show_a_cheat_sheet(self, page: Page) -> None:
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()

        page.keyboard.press("Escape")

        expect(page.get_by_role("dialog")).to_be_hidden()

    def test_go_to_the_patients(self, page: Page) -> None:
        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()

        page.keyboard.press("g")
        page.keyboard.press("p")

        expect(page.get_by_role("heading", name="Patients")).to_be_visible()

    def test_move_in_the_list(self, page: Page) -> None:
        page.get_by_label("Search patients").focus()

        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        expect(rows(page).nth(1)).to_be_focused()
        page.keyboard.press("End")
        expect(rows(page).last).to_be_focused()
        page.keyboard.press("Home")
        expect(rows(page).first).to_be_focused()
        page.keyboard.press("ArrowUp")

        expect(page.get_by_label("Search patients")).to_be_focused()

    def test_are_letters_while_somebody_types(self, page: Page) -> None:
        page.get_by_label("Search patients").focus()

        page.keyboard.type("g/?p")

        expect(page.get_by_label("Search patients")).to_have_value("g/?p")
        expect(page.get_by_role("dialog")).to_be_hidden()

    def test_can_be_turned_off(self, page: Page) -> None:
        page.keyboard.press("?")
        page.get_by_role("checkbox", name="Use the single keys").uncheck()
        page.keyboard.press("Escape")
        page.reload()

        page.keyboard.press("?")
        page.keyboard.press("/")

        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_label("Search patients")).not_to_be_focused()
        page.get_by_role("button", name="Keys").click()
        expect(page.get_by_role("checkbox", name="Use the single keys")).not_to_be_checked()

    def test_close_a_menu_and_come_back_to_its_button(self, page: Page) -> None:
        page.locator(".menu__button").click()

        page.keyboard.press("Escape")

        expect(page.locator(".menu__panel")).to_be_hidden()
        expect(page.locator(".menu__button")).to_be_focused()
