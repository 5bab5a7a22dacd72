"""A patient whose every detail is found again wherever it gets to."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

FAMILY = "Zanzibarović"
GIVEN = "Quillonia"
MRN = "ZQ7734219"
PHONE = "+15550177342"
NOTE = "zirconium allergy since spring"

ALL = (FAMILY, GIVEN, MRN, PHONE, NOTE)


def find(text: str) -> list[str]:
    """Return the canaries that `text` has, however they were written down."""
    return [canary for canary in ALL if any(each in text for each in _ways_to_write(canary))]


def _ways_to_write(canary: str) -> set[str]:
    return {
        canary,
        canary.lower(),
        canary.upper(),
        quote(canary),
        quote_plus(canary),
        quote(canary).lower(),
        json.dumps(canary)[1:-1],
        repr(canary.encode())[2:-1],
        canary.encode("unicode_escape").decode(),
        # What is left of a name where somebody took its accents.
        canary.rstrip("ć") if canary.endswith("ć") else canary,
    }
