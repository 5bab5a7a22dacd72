"""Commands for the tests of what runs for every tenant at once."""

from __future__ import annotations
