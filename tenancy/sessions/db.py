"""Sessions are rows of the active tenant's own table."""

from __future__ import annotations

from django.contrib.sessions.backends import db

from tenancy.sessions import OwnedSession


class SessionStore(OwnedSession, db.SessionStore):
    pass
