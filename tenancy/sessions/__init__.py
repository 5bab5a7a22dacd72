"""
Whose is this session, wherever sessions are kept?

    SESSION_ENGINE = "tenancy.sessions.db"

or `.cached_db`, `.cache`, `.file`, `.signed_cookies`: Django's engines, whose sessions are
of the tenant they began at and of nobody else. An engine of a project's own is a module
with

    class SessionStore(OwnedSession, theirs.SessionStore): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare, salted_hmac

from tenancy import context
from tenancy.errors import CrossTenantAccess

# Django's random key, and behind it what says whose it is: as long as its column.
KEY_LENGTH, SEAL_LENGTH = 32, 8
# A cookie can be quoted and carry a NUL byte, which PostgreSQL takes for no text at all.
KEY = re.compile(f"[a-z0-9]{{{KEY_LENGTH}}}[0-9a-f]{{{SEAL_LENGTH}}}")


class OwnedSession(SessionBase):
    """
    Mixed in before a SessionStore: its keys say whose they are, and another's is none.

    A key brought from another tenant, from the platform, or made before there were owners
    is taken for no session at all: nothing is read, kept alive or deleted under it. Making
    one with nobody active raises NoActiveTenant, and using one while another than its own
    tenant is active raises CrossTenantAccess before anything is read or written.
    """

    def __init__(self, session_key: str | None = None) -> None:
        self._target = context.require_current()
        self._owner = context.require_owner()
        super().__init__(session_key)

    # Which keys are ours?

    def _validate_session_key(self, key: str | None) -> bool:
        return self._is_ours(key)

    def _is_ours(self, key: str | None) -> bool:
        if key is None or not KEY.fullmatch(key):
            return False
        name, seal = key[:KEY_LENGTH], key[KEY_LENGTH:]
        return any(constant_time_compare(seal, each) for each in self._list_seals(name))

    def _list_seals(self, name: str) -> Iterator[str]:
        """Yield what may stand behind `name`, with today's SECRET_KEY first."""
        for secret in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS):
            told = salted_hmac("tenancy.sessions", f"{self._owner}:{name}", secret=secret)
            yield told.hexdigest()[:SEAL_LENGTH]

    def _sealed(self, name: str) -> str:
        return name + next(self._list_seals(name))

    def _get_new_session_key(self) -> str:
        # Whether there is such a session already the engine asks when it creates one.
        return self._sealed(super()._get_new_session_key())  # type: ignore[misc]  # not in the stubs

    async def _aget_new_session_key(self) -> str:
        return self._sealed(await super()._aget_new_session_key())  # type: ignore[misc]  # likewise

    # What leaves the process, and what comes back

    def _check_owner(self) -> None:
        if context.require_owner() != self._owner:
            raise CrossTenantAccess(
                f"A session belongs to {self._target}, and {context.get_current()} is active. "
                "Use request.session and request.user before `with context.override(...):`."
            )

    def exists(self, session_key: str) -> bool:
        self._check_owner()
        return self._is_ours(session_key) and bool(super().exists(session_key))

    async def aexists(self, session_key: str) -> bool:
        self._check_owner()
        return self._is_ours(session_key) and bool(await super().aexists(session_key))

    def load(self) -> dict[str, Any]:
        self._check_owner()
        return super().load()

    async def aload(self) -> dict[str, Any]:
        self._check_owner()
        return await super().aload()

    def save(self, must_create: bool = False) -> None:
        self._check_owner()
        super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        self._check_owner()
        await super().asave(must_create)

    def delete(self, session_key: str | None = None) -> None:
        self._check_owner()
        if session_key is None or self._is_ours(session_key):
            super().delete(session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        self._check_owner()
        if session_key is None or self._is_ours(session_key):
            await super().adelete(session_key)

    @classmethod
    def clear_expired(cls) -> None:
        context.require_owner()
        super().clear_expired()

    @classmethod
    async def aclear_expired(cls) -> None:
        context.require_owner()
        await super().aclear_expired()
