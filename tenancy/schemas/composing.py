"""
How do names get into a statement?

"Can a tenant's name escape?" is answered here: names are composed as identifiers, values
travel as parameters, and nothing is formatted into a string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def ask_one(connection: BaseDatabaseWrapper, query: str, parameters: dict[str, str]) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def compose(statement: str, **names: str | sql.Composable) -> bytes:
    parts = {
        key: sql.Identifier(value) if isinstance(value, str) else value
        for key, value in names.items()
    }
    return sql.SQL(statement).format(**parts).as_bytes(None)
