"""
May this query be compiled for whoever is active? Django's compilers, which ask first.

Those that write tell `tenancy.writes` afterwards.

The database operations name this module; Django looks its classes up by these names.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import compiler as postgresql

from tenancy import ownership, writes

__all__ = [
    "SQLAggregateCompiler",
    "SQLCompiler",
    "SQLDeleteCompiler",
    "SQLInsertCompiler",
    "SQLUpdateCompiler",
]


class _Asking:
    """Mixed into each compiler; a subquery has one of its own and is asked about too."""

    def __init__(self, query: Any, connection: Any, using: Any, elide_empty: bool = True) -> None:
        ownership.check_query(query)
        super().__init__(query, connection, using, elide_empty)  # type: ignore[call-arg]  # mixin


class _Telling(_Asking):
    """Mixed into those that write: whoever remembers what was read hears of it."""

    query: Any
    connection: Any

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        result = super().execute_sql(*args, **kwargs)  # type: ignore[misc]  # mixin
        writes.note(self.query.get_meta().db_table, self.connection)
        return result


class SQLCompiler(_Asking, postgresql.SQLCompiler):
    pass


class SQLInsertCompiler(_Telling, postgresql.SQLInsertCompiler):
    def __init__(self, query: Any, connection: Any, using: Any, elide_empty: bool = True) -> None:
        for instance in query.objs:
            ownership.check(instance)
        super().__init__(query, connection, using, elide_empty)


class SQLDeleteCompiler(_Telling, postgresql.SQLDeleteCompiler):
    pass


class SQLUpdateCompiler(_Telling, postgresql.SQLUpdateCompiler):
    pass


class SQLAggregateCompiler(_Asking, postgresql.SQLAggregateCompiler):
    pass
