"""
What is in a schema?

Everything but its rows: tables with their columns, constraints, indexes and triggers,
functions, types, rights, comments; and the content types and permissions, which migrations
make as they make tables. The names of the schema and of its own role are no part of the
answer, so that two schemas can be compared. Neither is the order of a table's columns: one
that a migration added stands behind those that a fresh table has before it.
"""

from __future__ import annotations

from tenancy.catalogue.reading import Item, fingerprints, read
from tenancy.catalogue.scripts import PREAMBLE, Making, Source, open_source, script

__all__ = ["PREAMBLE", "Item", "Making", "Source", "fingerprints", "open_source", "read", "script"]
