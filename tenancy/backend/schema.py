"""
How does a migration that is not atomic reach PostgreSQL?

`atomic = False` is said for what PostgreSQL refuses in a transaction, such as CREATE INDEX
CONCURRENTLY, and the binding of a statement makes one: so the session is bound instead.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgreSQLSchemaEditor


class DatabaseSchemaEditor(PostgreSQLSchemaEditor):
    def __enter__(self) -> DatabaseSchemaEditor:
        connection: Any = self.connection
        with ExitStack() as stack:
            if not (self.atomic_migration or self.collect_sql or connection.in_atomic_block):
                stack.enter_context(connection.outside_transaction())
            super().__enter__()
            self._session = stack.pop_all()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        with self._session:
            super().__exit__(*exc_info)
