"""
For whom, as whom and for how long did a statement run? A line in the log for each.

To the logger `tenancy.sql`, at DEBUG. The statement is told as it was written, with its
placeholders: parameters are patients' data. Django's own `django.db.backends` tells them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from psycopg import sql

from tenancy import context

LOGGER = logging.getLogger("tenancy.sql")


def watch(wrappers: list[Callable[..., Any]]) -> None:
    """
    Log what a connection sends from now on, if the log takes it.

    `wrappers` are Django's execute_wrappers. Asked at each new connection, so that a
    statement costs nothing where nobody listens.
    """
    is_wanted = LOGGER.isEnabledFor(logging.DEBUG)
    if is_wanted and _log not in wrappers:
        # In front: connection.execute_wrapper() takes its own away from the end.
        wrappers.insert(0, _log)
    elif not is_wanted and _log in wrappers:
        wrappers.remove(_log)


def _log(
    execute: Callable[..., Any], statement: Any, params: Any, many: bool, told: dict[str, Any]
) -> Any:
    began = time.perf_counter()
    outcome = "failed"
    try:
        result = execute(statement, params, many, told)
        outcome = "done"
        return result
    finally:
        target = context.get_current()
        role = told["connection"].binding_for(target).role if target else "its login"
        LOGGER.debug(
            "%s as %s, %s in %.1f ms: %s",
            target or "nobody",
            role,
            outcome,
            (time.perf_counter() - began) * 1000,
            _without_values(statement),
        )


def _without_values(statement: Any) -> str:
    match statement:
        case sql.Composed():
            return "".join(map(_without_values, statement))
        case sql.Literal():
            return "%s"
        case sql.Composable():
            return statement.as_string(None)
        case bytes():
            return statement.decode(errors="replace")
    return str(statement)
