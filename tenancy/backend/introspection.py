"""
Which tables does the active schema have?

The path of a tenant goes on to the public schema, and Django's introspection shows whatever
the path leads to: so it is asked with the tenant's schema alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.postgresql import introspection as postgresql


class DatabaseIntrospection(postgresql.DatabaseIntrospection):
    connection: Any

    def get_table_list(self, cursor: Any) -> Any:
        with self._one_schema():
            return super().get_table_list(cursor)

    def get_table_description(self, cursor: Any, table_name: str) -> Any:
        with self._one_schema():
            return super().get_table_description(cursor, table_name)

    def get_sequences(self, cursor: Any, table_name: str, table_fields: Any = ()) -> Any:
        with self._one_schema():
            return super().get_sequences(cursor, table_name, table_fields)

    def get_relations(self, cursor: Any, table_name: str) -> Any:
        with self._one_schema():
            return super().get_relations(cursor, table_name)

    def get_constraints(self, cursor: Any, table_name: str) -> Any:
        with self._one_schema():
            return super().get_constraints(cursor, table_name)

    @contextmanager
    def _one_schema(self) -> Iterator[None]:
        before = self.connection.include_public_schema
        self.connection.include_public_schema = False
        try:
            yield
        finally:
            self.connection.include_public_schema = before
