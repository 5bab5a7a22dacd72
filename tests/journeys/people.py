"""Whom the journeys look for among the demo's patients."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def rows(page: Page) -> Locator:
    return page.locator("[data-list] [data-item]")


def family_of(row: Locator) -> str:
    return row.locator("strong").inner_text()


def as_typed(name: str) -> str:
    """Return the beginning of a name as somebody in a hurry types it: small, no accents."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())[:5]
