"""From the door to a patient and out again, as staff do it all day."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import PHONE, OpenPage
from tests.journeys.people import as_typed, family_of, rows


class TestByKeyboard:
    def test_signs_in_finds_a_patient_reads_the_banner_and_leaves(
        self, open_page: OpenPage
    ) -> None:
        page = open_page("/")
        expect(page.get_by_label("Username")).to_be_focused()
        page.keyboard.type("doctor")
        page.keyboard.press("Tab")
        page.keyboard.type("clinicx")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Patients")).to_be_visible()
        family = family_of(rows(page).last)

        page.keyboard.press("/")
        page.keyboard.type(as_typed(family))
        expect(page.locator("#count")).to_contain_text(f"for “{as_typed(family)}”")
        page.keyboard.press("ArrowDown")
        expect(rows(page).first).to_be_focused()
        found = family_of(rows(page).first)
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", level=1)).to_contain_text(found)
        banner = page.locator(".banner")
        expect(banner).to_contain_text(re.compile(r"Born .*\d{4}"))
        expect(banner).to_contain_text("MRN")
        expect(banner).to_contain_text(re.compile("allergies", re.IGNORECASE))

        page.locator(".menu__button").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("You are signed out.")).to_be_visible()

    def test_reaches_the_page_past_the_rail_in_one_step(self, open_as: OpenPage) -> None:
        page = open_as("doctor")

        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")

        expect(rows(page).first).to_be_focused()


class TestSearch:
    def test_follows_the_typing_and_says_how_many(self, open_as: OpenPage) -> None:
        page = open_as("receptionist")
        everybody = page.locator("#count").inner_text()

        page.get_by_label("Search patients").press_sequentially("zzzz")
        expect(page.locator("#count")).to_have_text("No match for “zzzz”")
        expect(page.get_by_text("Nobody by that description")).to_be_visible()
        page.get_by_label("Search patients").fill("")

        expect(page.locator("#count")).to_have_text(everybody)

    def test_is_still_there_on_the_way_back(self, open_as: OpenPage) -> None:
        page = open_as("receptionist")
        typed = as_typed(family_of(rows(page).first))
        page.get_by_label("Search patients").press_sequentially(typed)
        expect(page).to_have_url(re.compile(r"\?search="))

        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()
        page.go_back()

        expect(page.get_by_label("Search patients")).to_have_value(typed)
        expect(page.locator("#count")).to_contain_text(typed)

    def test_works_from_every_page(self, open_as: OpenPage) -> None:
        page = open_as("receptionist")
        typed = as_typed(family_of(rows(page).first))
        rows(page).first.click()

        page.get_by_label("Search patients").fill(typed)
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name="Patients")).to_be_visible()
        expect(page.locator("#count")).to_contain_text(typed)

    def test_after_the_session_ended_leads_to_the_sign_in_page(self, open_as: OpenPage) -> None:
        page = open_as("receptionist")
        page.context.clear_cookies(name="sessionid")

        page.get_by_label("Search patients").press_sequentially("a")

        expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        expect(page.locator(".shell")).to_have_count(0)


class TestWithoutScript:
    def test_all_of_it_works(self, open_page: OpenPage) -> None:
        page = open_page("/", java_script_enabled=False)
        page.get_by_label("Username").fill("doctor")
        page.get_by_label("Password").fill("clinicx")
        page.get_by_role("button", name="Sign in", exact=True).click()
        typed = as_typed(family_of(rows(page).first))

        page.get_by_label("Search patients").fill(typed)
        page.keyboard.press("Enter")
        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()
        page.locator(".menu__button").click()
        page.get_by_role("button", name="Sign out").click()

        expect(page.get_by_text("You are signed out.")).to_be_visible()


class TestSignInPage:
    def test_shows_what_was_typed_on_request(self, open_page: OpenPage) -> None:
        page = open_page("/sign-in/")
        box = page.get_by_label("Password")
        box.fill("a secret")

        page.get_by_role("button", name="Show").click()
        expect(box).to_have_attribute("type", "text")
        page.get_by_role("button", name="Hide").click()

        expect(box).to_have_attribute("type", "password")

    def test_fills_in_a_demo_sign_in(self, open_page: OpenPage) -> None:
        page = open_page("/sign-in/")

        page.get_by_role("button", name="Nurse").click()
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name="Patients")).to_be_visible()

    def test_speaks_of_operators_on_the_base_domain(
        self, open_page: OpenPage, live_clinics: object
    ) -> None:
        page = open_page("/sign-in/")

        page.goto(f"{live_clinics.base}/sign-in/")  # type: ignore[attr-defined]

        expect(page.get_by_role("heading", level=1)).to_have_text("ClinicX operations")


class TestPatientPage:
    @pytest.fixture
    def page(self, open_as: OpenPage) -> Page:
        """A patient of Elm's before the doctor."""
        page = open_as("doctor", permissions=["clipboard-read", "clipboard-write"])
        rows(page).first.click()
        expect(page.locator(".banner")).to_be_visible()
        return page

    def test_copies_the_record_number(self, page: Page) -> None:
        number = page.locator(".copy > span").first.inner_text()

        page.get_by_role("button", name="Copy MRN").click()

        expect(page.get_by_text(f"{number} copied")).to_be_attached()
        assert page.evaluate("navigator.clipboard.readText()") == number

    def test_keeps_the_banner_in_sight(self, page: Page) -> None:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")

        expect(page.locator(".banner h1")).to_be_in_viewport()

    def test_prints_the_record_and_nothing_around_it(self, page: Page) -> None:
        page.emulate_media(media="print")

        for around in (".rail", ".topbar", ".reach__act", ".copy__button"):
            expect(page.locator(around).first).to_be_hidden()
        expect(page.locator(".print-only")).to_contain_text("Elm Street Clinic · printed")

    def test_on_a_phone_has_the_rail_below(self, open_as: OpenPage) -> None:
        page = open_as("doctor", size=PHONE)
        box = page.get_by_role("navigation", name="Main").bounding_box()

        assert box is not None
        assert (box["x"], box["width"]) == (0, PHONE[0])
        assert box["y"] + box["height"] == PHONE[1]
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_label("Search patients")).to_be_focused()
