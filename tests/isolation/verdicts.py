"""
With which code did PostgreSQL refuse?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from django.db import DatabaseError

INSUFFICIENT_PRIVILEGE = "42501"
UNDEFINED_TABLE = "42P01"
NOT_REFUSED = "not refused"


def sqlstate_of(attempt: Callable[..., Any], *args: Any) -> str:
    """Return the SQLSTATE of the error that the call ends in, or NOT_REFUSED."""
    try:
        attempt(*args)
    except psycopg.Error as error:
        return error.sqlstate or repr(error)
    except DatabaseError as error:
        return getattr(error.__cause__, "sqlstate", None) or repr(error)
    return NOT_REFUSED
