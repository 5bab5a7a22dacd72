"""
Would this SQL leave something on the session, where a pooler's next client finds it?

For SQL that a project writes by hand. It reads spellings, as a linter does: what is hidden
in a function or a DO block is refused by PostgreSQL, where the application's roles may
use neither a procedural language nor temporary tables (see `tenancy.roles`).
"""

from __future__ import annotations

import re
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
NOT_CODE = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | \b[eE]'(?:[^'\\]|\\.|'')*'            # a string with escapes
    | '(?:[^']|'')*'                        # a string
    | (?P<dollars>\$\w*\$).*?(?P=dollars)   # a string in dollars
    """,
    re.VERBOSE | re.DOTALL,
)
STRING = "''"

# What may follow SET: these end with the transaction, or are no setting at all.
SET = re.compile(r"^set\s+(?!local\b|constraints\b|transaction\b)", re.IGNORECASE)
# Schema and role are the binding's, also for the rest of a transaction.
SET_BINDING = re.compile(
    r"^set\s+(?:local\s+|session\s+)?"
    r"\"?(?:role|search_path|schema|session\s+authorization|session_authorization)\b",
    re.IGNORECASE,
)
FIRST_WORD = re.compile(r"^(?:reset|discard|listen|unlisten|load|prepare|do)\b", re.IGNORECASE)
WITH_HOLD = re.compile(r"^declare\b.*\bwith\s+hold\b", re.IGNORECASE | re.DOTALL)
SET_CONFIG = re.compile(r"\bset_config\"?\s*\((?!.*,\s*true\s*\))", re.IGNORECASE | re.DOTALL)
SESSION_LOCK = re.compile(r"\bpg_(?:try_)?advisory_(?:un)?lock(?!_xact)\w*", re.IGNORECASE)

REMEDIES = (
    (
        SET_BINDING,
        "Schema and role belong to the active tenant: work for another with context.override().",
    ),
    (SET, "Say SET LOCAL inside transaction.atomic(), or put it into the login role."),
    (
        FIRST_WORD,
        "Do that on a connection of its own that goes to PostgreSQL directly.",
    ),
    (WITH_HOLD, "Declare the cursor without HOLD, inside transaction.atomic()."),
    (SET_CONFIG, "Pass true as its third argument, and only inside transaction.atomic()."),
    (
        SESSION_LOCK,
        "Use pg_advisory_xact_lock() inside transaction.atomic(): through a pooler a lock "
        "of the session excludes nobody.",
    ),
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
    code = NOT_CODE.sub(lambda found: " " if found["comment"] else STRING, query)
    for statement in map(str.strip, code.split(";")):
        for pattern, remedy in REMEDIES:
            if pattern.search(statement):
                return (
                    f"{' '.join(statement.split())[:80]!r} would change the session or its "
                    f"binding, and others use the session next. {remedy}"
                )
    return None


_problem = lru_cache(maxsize=2048)(_look_for_problem)
