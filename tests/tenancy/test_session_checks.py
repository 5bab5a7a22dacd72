"""What is said at start of sessions, cookies and messages, by id."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from django.contrib.sessions.backends import file
from django.core.checks import CheckMessage

from tenancy.checks import sessions
from tenancy.sessions import OwnedSession

MINE = "sessions_of_a_projects_own"


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, settings: Any) -> ModuleType:
    """A project's own engine, which has no SessionStore yet."""
    module = ModuleType(MINE)
    monkeypatch.setitem(sys.modules, MINE, module)
    settings.SESSION_ENGINE = MINE
    return module


class TestEngine:
    def test_is_in_order_here(self) -> None:
        assert [message for check in sessions.CHECKS for message in check(None)] == []

    @pytest.mark.parametrize("name", ["cache", "cached_db", "file", "signed_cookies"])
    def test_e020_sessions_without_owners(self, name: str, settings: Any) -> None:
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{name}"

        (message,) = sessions.check_engine(None)

        assert message.id == "tenancy.E020"
        assert message.hint == f"Set SESSION_ENGINE = 'tenancy.sessions.{name}'."

    def test_e020_a_projects_own_engine(self, engine: Any) -> None:
        engine.SessionStore = file.SessionStore

        (message,) = sessions.check_engine(None)

        assert message.id == "tenancy.E020"
        assert "tenancy.sessions.OwnedSession" in str(message.hint)

    def test_e020_rows_that_are_all_in_the_public_schema(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
        settings.TENANT_APPS = ["apps.patients"]
        sessions.router.ownership.is_tenants.cache_clear()
        try:
            assert ids(sessions.check_engine(None)) == ["tenancy.E020"]
        finally:
            sessions.router.ownership.is_tenants.cache_clear()

    def test_e020_is_not_said_of_rows_in_each_tenants_schema(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"

        assert sessions.check_engine(None) == []

    @pytest.mark.parametrize("name", ["db", "cache", "cached_db", "file", "signed_cookies"])
    def test_e020_is_not_said_of_ours(self, name: str, settings: Any) -> None:
        settings.SESSION_ENGINE = f"tenancy.sessions.{name}"

        assert sessions.check_engine(None) == []

    def test_e020_is_not_said_of_a_projects_own_with_owners(self, engine: Any) -> None:
        engine.SessionStore = type("SessionStore", (OwnedSession, file.SessionStore), {})

        assert sessions.check_engine(None) == []

    def test_e020_is_not_said_where_there_are_no_sessions(self, settings: Any) -> None:
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        settings.MIDDLEWARE = [sessions.MIDDLEWARE]

        assert sessions.check_engine(None) == []


class TestCookies:
    def test_e021_a_session_before_its_tenant(self, settings: Any) -> None:
        settings.MIDDLEWARE = [sessions.SESSION_MIDDLEWARE, sessions.MIDDLEWARE]

        assert ids(sessions.check_order(None)) == ["tenancy.E021"]

    @pytest.mark.parametrize("name", sessions.DOMAINS)
    def test_e022_a_cookie_for_every_host(self, name: str, settings: Any) -> None:
        setattr(settings, name, ".clinicx.com")

        (message,) = sessions.check_cookies(None)

        assert message.id == "tenancy.E022"
        assert f"{name} = '.clinicx.com'" in message.msg

    @pytest.mark.parametrize("storage", sessions.MESSAGES_IN_COOKIES)
    def test_w002_messages_in_cookies(self, storage: str, settings: Any) -> None:
        settings.MESSAGE_STORAGE = storage

        assert ids(sessions.check_messages(None)) == ["tenancy.W002"]
