"""Sessions are in the cache alone, and end when it forgets them."""

from __future__ import annotations

from django.contrib.sessions.backends import cache

from tenancy.sessions import OwnedSession


class SessionStore(OwnedSession, cache.SessionStore):
    pass
