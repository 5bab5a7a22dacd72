"""Where are sessions kept? In the table of whoever the host belongs to, as Django keeps them."""

from __future__ import annotations

import re

from django.contrib.sessions.backends import db

_KEY = re.compile(r"[a-z0-9]{32}")


class SessionStore(db.SessionStore):
    def _validate_session_key(self, key: str | None) -> bool:
        """
        Return whether `key` may be one of ours.

        Django asks only for its length. A quoted cookie can carry a NUL byte, which
        PostgreSQL takes for no text at all: the answer would be a 500.
        """
        return key is not None and _KEY.fullmatch(key) is not None
