"""A browser for the journeys: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicx.local.management.commands.prepare_local import PASSWORD
from tests.fixtures.live import LiveClinics

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = (1280, 900), (390, 844)

OpenPage = Callable[..., "Page"]


# Once a module and not once a session: while Playwright runs, Django takes its event loop
# for an asynchronous caller, and refuses the database to whatever test comes next.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, or a reason to skip."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("There is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, live_clinics: LiveClinics) -> Iterator[OpenPage]:
    """
    A function that opens a page of Elm's in a browser that remembers nothing.

    The test fails if the browser complained of anything on the way: what the content
    security policy refused, a script's error, a file that is not there.
    """
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # That a page is a 404 is the page's own business; what it loads has to be there.
        is_of_the_page = message.page and message.location["url"] == message.page.url
        if message.type in ("error", "warning") and not is_of_the_page:
            complaints.append(message.text)

    def open_page(
        path: str = "/", *, size: tuple[int, int] = DESK, theme: str = "light", **options: Any
    ) -> Page:
        context = chromium.new_context(
            base_url=live_clinics.elm,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            reduced_motion="reduce",
            **options,
        )
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def sign_ins() -> dict[str, Any]:
    """What a browser keeps of each role's sign-in, so that a module does it once."""
    return {}


@pytest.fixture
def open_as(open_page: OpenPage, sign_ins: dict[str, Any]) -> OpenPage:
    """
    A function that does the same for somebody who has signed in.

    A test that signs out ends the session of that role for the tests that follow, too:
    it is the only one to come as that role.
    """

    def open_as(role: str, path: str = "/patients/", **options: Any) -> Page:
        if role not in sign_ins:
            page = open_page("/sign-in/")
            page.get_by_label("Username").fill(role)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).click()
            page.wait_for_url("**/patients/")
            sign_ins[role] = page.context.storage_state()
        return open_page(path, storage_state=sign_ins[role], **options)

    return open_as
