"""
What was typed into the search box, under a token that may stand in an address.

An address is written down in many places: browsers' histories, bookmarks, the logs of
whatever lies between. So a patient's name never is in one. The text stays in the session,
which is a row in the clinic's own schema.
"""

from __future__ import annotations

import secrets

from django.contrib.sessions.backends.base import SessionBase

SESSION_KEY = "patients.searches"
KEPT = 30  # enough for the way back through a morning


def remember(session: SessionBase, text: str) -> str:
    """Return the token under which `text` is kept; the same text has the same token."""
    kept: dict[str, str] = session.get(SESSION_KEY, {})
    token = next((token for token, known in kept.items() if known == text), None)
    if token is None:
        token = secrets.token_urlsafe(6)
        newest = [*kept.items(), (token, text)][-KEPT:]
        session[SESSION_KEY] = dict(newest)
    return token


def recall(session: SessionBase, token: str) -> str:
    """Return the text that was kept under `token`, or nothing if it is gone or another's."""
    kept: dict[str, str] = session.get(SESSION_KEY, {})
    return kept.get(token, "")
