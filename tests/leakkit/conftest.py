"""The planted project has a pytest of its own, which the tests here start."""

from __future__ import annotations

collect_ignore = ["project"]
