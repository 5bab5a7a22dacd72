"""
Where in the caller's own statement did PostgreSQL find an error?

The server counts from the beginning of the message, and there the binding stands.
"""

from __future__ import annotations

import re

from psycopg import Error, errors
from psycopg.pq import DiagnosticField
from psycopg.pq.abc import PGresult

# libpq shows the line and a caret below it; the line is the message's, binding and all.
SHOWN_LINE = re.compile(r"\nLINE \d+: [^\n]*\n *\^")
WIDTH = 60


def error_from_result(result: PGresult, *, prefix: bytes, statement: bytes, encoding: str) -> Error:
    """Return psycopg's error for `result`, whose position and line are those of `statement`."""
    error = errors.error_from_result(result, encoding=encoding)
    at = error.diag.statement_position
    text = statement.decode(encoding, errors="replace")
    position = int(at) - len(prefix.decode(encoding, errors="replace")) if at else 0
    if not 0 < position <= len(text) + 1:
        return error

    shown = _show(text, position - 1)
    message = SHOWN_LINE.sub(lambda _: shown, str(error), count=1)
    facts: dict[int, bytes | None] = {field: result.error_field(field) for field in DiagnosticField}
    facts[DiagnosticField.STATEMENT_POSITION] = str(position).encode()
    return type(error)(message, info=facts, encoding=encoding)


def _show(text: str, index: int) -> str:
    """Return the line with the character at `index`, cut to WIDTH, and a caret below it."""
    number = text.count("\n", 0, index) + 1
    start = text.rfind("\n", 0, index) + 1
    line, _, _ = text[start:].partition("\n")
    column = index - start
    cut = max(0, column - WIDTH // 2)
    head = f"LINE {number}: {'...' if cut else ''}"
    tail = "..." if len(line) > cut + WIDTH else ""
    return f"\n{head}{line[cut : cut + WIDTH]}{tail}\n{' ' * (len(head) + column - cut)}^"
