"""The board of the house, in the public schema."""

from __future__ import annotations

from django.db import connections, models


class Entry(models.Model):
    text = models.TextField()

    @classmethod
    def put(cls, text: str) -> None:
        """Put it up, in a transaction of its own."""
        with connections["ddl"].cursor() as cursor:
            cursor.execute("INSERT INTO board_entry (text) VALUES (%s)", [text])
