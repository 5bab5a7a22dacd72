"""
Would this SQL leave something on the session, where a pooler's next client finds it?

For SQL that a project writes by hand. It reads spellings, as a linter does: what is hidden
in a function, a DO block or a string is refused by PostgreSQL, where the application's
roles may neither use a procedural language nor call set_config (see `tenancy.roles`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from psycopg import sql

from tenancy.errors import SessionStateRefused

# Long statements are bulk inserts, each different: remembering them would only cost memory.
LONGEST_REMEMBERED = 4_000

# Most statements hold none of these words, and then no more is asked.
SUSPICIOUS = re.compile(
    r"\b(?:set|reset|discard|listen|unlisten|load|prepare|do|declare|set_config"
    r"|pg_(?:try_)?advisory_(?:un)?lock\w*)\b",
    re.IGNORECASE,
)

# What is no code (PostgreSQL, chapter 4.1): comments, strings, quoted names.
NOT_CODE = re.compile(
    r"""
      (?P<comment> --[^\n\r]* | /\* )
    | \b[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | (?<![\w$])(?P<dollars>\$(?:[^\W\d]\w*)?\$).*?(?P=dollars)
    | (?P<name>"(?:[^"]|"")*")
    """,
    re.VERBOSE | re.DOTALL,
)
EDGE_OF_COMMENT = re.compile(r"/\*|\*/")
PLAIN_NAME = re.compile(r'"(\w+)"')

_BINDING = "Schema and role belong to the active tenant: work for another with context.override()."
_ELSEWHERE = "Do that on a connection of its own that goes to PostgreSQL directly."
_LOCAL = "Say SET LOCAL inside transaction.atomic(), or put it into the login role."

REMEDIES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), remedy)
    for pattern, remedy in (
        (
            r"^set\s+(?:local\s+|session\s+)?"
            r"(?:role|search_path|schema|session\s+authorization|session_authorization)\b",
            _BINDING,
        ),
        (
            r"^reset\s+(?:role|search_path|session\s+authorization|session_authorization)\b",
            _BINDING,
        ),
        # These three end with the transaction, or are no setting at all.
        (r"^set\s+(?!(?:local|constraints|transaction)\s)", _LOCAL),
        (r"\bset_config\s*\(", _LOCAL),
        (r"^(?:reset|discard|listen|unlisten|load|prepare|do)\b", _ELSEWHERE),
        (
            r"^declare\b.*\bwith\s+hold\b",
            "Declare the cursor without HOLD, inside transaction.atomic().",
        ),
        (
            r"\bpg_(?:try_)?advisory_(?:un)?lock(?!_xact)\w*",
            "Use pg_advisory_xact_lock() inside transaction.atomic(): through a pooler a lock "
            "of the session excludes nobody.",
        ),
    )
)


def refuse(query: object) -> None:
    """Raise SessionStateRefused when `query` would outlive its transaction on the session."""
    text = query if isinstance(query, str) else _as_text(query)
    problem = _problem(text) if len(text) <= LONGEST_REMEMBERED else _look_for_problem(text)
    if problem is not None:
        raise SessionStateRefused(problem)


def _as_text(query: object) -> str:
    if isinstance(query, sql.Composable):
        return query.as_string(None)
    return query.decode(errors="replace") if isinstance(query, bytes) else str(query)


def _look_for_problem(query: str) -> str | None:
    if not SUSPICIOUS.search(query):
        return None
    for statement in map(str.strip, "".join(_list_code(query)).split(";")):
        for pattern, remedy in REMEDIES:
            if pattern.search(statement):
                return (
                    f"{' '.join(statement.split())[:80]!r} would change the session or its "
                    f"binding, and others use the session next. {remedy}"
                )
    return None


_problem = lru_cache(maxsize=2048)(_look_for_problem)


def _list_code(query: str) -> Iterator[str]:
    """Yield `query` piece by piece, with nothing but code in it."""
    position = 0
    while found := NOT_CODE.search(query, position):
        yield query[position : found.start()]
        position = found.end()
        if found["comment"] == "/*":
            position = _end_of_comment(query, position)
        if found["comment"]:
            yield " "
        elif found["name"]:
            # A plain name means the same without its quotes; of another only that it is one.
            plain = PLAIN_NAME.fullmatch(found["name"])
            yield plain[1] if plain else "_"
        else:
            yield "''"
    yield query[position:]


def _end_of_comment(query: str, position: int) -> int:
    """Return where the comment ends in which `position` lies; comments nest."""
    depth = 1
    while depth and (edge := EDGE_OF_COMMENT.search(query, position)):
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position if depth == 0 else len(query)
