"""The page on caching has a line for each query whose results are remembered, and no other."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from django.conf import settings

from tenancy import query_cache

PAGE = Path(__file__).parent.parent.parent / "docs" / "explanation" / "caching.md"


def test_every_remembered_query_has_its_line() -> None:
    import_module(settings.ROOT_URLCONF)
    ours = {
        name for name in query_cache.queries if name.startswith(("apps.", "clinicx.", "tenancy."))
    }

    named = set(re.findall(r"^\| `([a-z_]+(?:\.[a-z_]+)+)`", PAGE.read_text(), re.M))

    assert named == ours
