"""
How does a migration reach PostgreSQL that does not fit into a transaction as it is?

`atomic = False` is said for what PostgreSQL refuses in a transaction, such as CREATE INDEX
CONCURRENTLY, and the binding of a statement makes one: so the session is bound instead.
A schema that nobody uses yet is made in one transaction all the same: see `unused`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.db.backends.postgresql.schema import DatabaseSchemaEditor as PostgreSQLSchemaEditor

# At the beginning of a line: a migration's RunSQL may have comments before it.
CONCURRENTLY = re.compile(
    r"^(\s*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX)\s+CONCURRENTLY\b", re.IGNORECASE | re.MULTILINE
)
# What COMMIT does between two migrations: a table that rows were added to may be altered then.
CHECK_CONSTRAINTS = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"

_is_unused: ContextVar[bool] = ContextVar("tenancy.is_unused", default=False)


@contextmanager
def unused() -> Iterator[None]:
    """
    Migrate a schema that nobody uses in the block, inside the open transaction.

    Nobody can be in the way of an index there, so it is made without CONCURRENTLY, and each
    migration ends with its constraints checked, as its commit would have it.
    """
    _allow_in_transaction()
    token = _is_unused.set(True)
    try:
        yield
    finally:
        _is_unused.reset(token)


@cache
def _allow_in_transaction() -> None:
    """Let AddIndexConcurrently and its like go on in a transaction, where a schema is unused."""
    from django.contrib.postgres.operations import NotInTransactionMixin

    mixin: Any = NotInTransactionMixin
    refuse = mixin._ensure_not_in_transaction

    def refuse_unless_unused(operation: Any, schema_editor: Any) -> None:
        if not _is_unused.get():
            refuse(operation, schema_editor)

    mixin._ensure_not_in_transaction = refuse_unless_unused


class DatabaseSchemaEditor(PostgreSQLSchemaEditor):
    def __enter__(self) -> DatabaseSchemaEditor:
        connection: Any = self.connection
        with ExitStack() as stack:
            if not (self.atomic_migration or self.collect_sql or connection.in_atomic_block):
                stack.enter_context(connection.outside_transaction())
            super().__enter__()
            self._session = stack.pop_all()
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        with self._session:
            super().__exit__(exc_type, exc_value, traceback)
            if _is_unused.get() and exc_type is None:
                self.execute(CHECK_CONSTRAINTS, None)

    def execute(self, sql: Any, params: Any = ()) -> None:
        if _is_unused.get():
            sql = CONCURRENTLY.sub(r"\1", str(sql))
        super().execute(sql, params)
