"""Sessions are rows of the active tenant's table, and copies in the cache."""

from __future__ import annotations

from django.contrib.sessions.backends import cached_db

from tenancy.sessions import OwnedSession


class SessionStore(OwnedSession, cached_db.SessionStore):
    pass
