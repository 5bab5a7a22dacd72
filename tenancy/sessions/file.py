"""Sessions are files of one directory for all tenants."""

from __future__ import annotations

from django.contrib.sessions.backends import file

from tenancy.sessions import OwnedSession


class SessionStore(OwnedSession, file.SessionStore):
    pass
