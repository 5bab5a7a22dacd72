"""
Who wants to hear that a table was written, once that is committed?

Asked by the compilers of the ORM's INSERT, UPDATE and DELETE, so that it hears of `save`,
`bulk_create`, `QuerySet.update`, `delete` and what follows from them, many-to-many too. SQL
written by hand, COPY and triggers come past no compiler: nobody hears of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeAlias

from tenancy import context
from tenancy.context import Target

Listener: TypeAlias = Callable[[str], None]

_listeners: dict[str, list[Listener]] = {}

# Of an open transaction's callbacks the last few are looked at, whether one is the same.
LOOKED_AT = 16


class _Told:
    """A callback of a transaction: it wrote this table, for whoever is active when called."""

    def __init__(self, table: str, owner: Target | None) -> None:
        self.table = table
        self.owner = owner

    def __call__(self) -> None:
        for listener in _listeners[self.table]:
            listener(self.table)


def listen(tables: Iterable[str], listener: Listener) -> None:
    """
    Have `listener` called with each of `tables` that is written, for whoever wrote it.

    After the commit, and never when it is rolled back; once or more often for a transaction.
    """
    for table in tables:
        listeners = _listeners.setdefault(table, [])
        if listener not in listeners:
            listeners.append(listener)


def note(table: str, connection: Any) -> None:
    """Tell who listens that a statement wrote `table`, once it is committed."""
    if table not in _listeners:
        return
    told = _Told(table, context.get_current())
    # What a savepoint's rollback took away is no longer among them.
    waiting = islice(reversed(connection.run_on_commit), LOOKED_AT)
    if not any(_is_same(func, told) for _, func, *_ in waiting):
        connection.on_commit(told)


def _is_same(func: Any, told: _Told) -> bool:
    # The connection carries what it is given, so that it works for who is active now.
    other = getattr(func, "__wrapped__", None)
    if not isinstance(other, _Told) or other.table != told.table:
        return False
    return other.owner is told.owner or other.owner == told.owner
