"""
Sessions are cookies, signed for one tenant.

Signed and not encrypted: whoever has the browser reads them, and nobody can end one before
its time. For health data `tenancy.sessions.db` is the engine.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends import signed_cookies
from django.core import signing

from tenancy.sessions import OwnedSession


class SessionStore(OwnedSession, signed_cookies.SessionStore):  # type: ignore[misc]  # a default
    def _is_ours(self, key: str | None) -> bool:
        # What the cookie holds is its own key; whose it is, the signature says.
        return bool(key)

    @property
    def _salt(self) -> str:
        return f"tenancy.sessions.signed_cookies:{self._owner}"

    def load(self) -> dict[str, Any]:
        self._check_owner()
        try:
            data: dict[str, Any] = signing.loads(
                self.session_key or "",
                serializer=self.serializer,
                max_age=self.get_session_cookie_age(),
                salt=self._salt,
            )
        except Exception:  # noqa: BLE001  # a cookie is a stranger's text; whatever is wrong with it, it is no session
            # Nobody's, so that the middleware deletes the cookie here and signs no new one.
            self._session_key = None
            return {}
        return data

    async def aload(self) -> dict[str, Any]:
        return self.load()

    def _get_session_key(self) -> str:
        self._check_owner()
        data = self._session  # type: ignore[attr-defined]  # not in the stubs
        return signing.dumps(data, compress=True, salt=self._salt, serializer=self.serializer)
