"""
May this query be compiled for whoever is active? Django's compilers, which ask first.

The database operations name this module; Django looks its classes up by these names.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import compiler as postgresql

from tenancy import ownership

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


class SQLCompiler(_Asking, postgresql.SQLCompiler):
    pass


class SQLInsertCompiler(_Asking, postgresql.SQLInsertCompiler):
    def __init__(self, query: Any, connection: Any, using: Any, elide_empty: bool = True) -> None:
        for instance in query.objs:
            ownership.check(instance)
        super().__init__(query, connection, using, elide_empty)


class SQLDeleteCompiler(_Asking, postgresql.SQLDeleteCompiler):
    pass


class SQLUpdateCompiler(_Asking, postgresql.SQLUpdateCompiler):
    pass


class SQLAggregateCompiler(_Asking, postgresql.SQLAggregateCompiler):
    pass
