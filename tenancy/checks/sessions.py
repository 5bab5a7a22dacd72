"""
Does what a browser brings along belong to one tenant each?
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.contrib.sessions.backends import cached_db, db
from django.core.checks import CheckMessage, Error, Warning

from tenancy import router
from tenancy.checks.settings import MIDDLEWARE
from tenancy.sessions import OwnedSession

DJANGOS_ENGINES = "django.contrib.sessions.backends."
OUR_ENGINES = "tenancy.sessions."
SESSION_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
MESSAGES_IN_SESSION = "django.contrib.messages.storage.session.SessionStorage"
MESSAGES_IN_COOKIES = (
    "django.contrib.messages.storage.cookie.CookieStorage",
    "django.contrib.messages.storage.fallback.FallbackStorage",
)
DOMAINS = ("SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN", "LANGUAGE_COOKIE_DOMAIN")


def check_engine(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    engine = django_settings.SESSION_ENGINE
    if SESSION_MIDDLEWARE not in django_settings.MIDDLEWARE or _is_owned(engine):
        return []
    if engine.startswith(DJANGOS_ENGINES):
        hint = f"Set SESSION_ENGINE = {engine.replace(DJANGOS_ENGINES, OUR_ENGINES)!r}."
    else:
        hint = "Mix tenancy.sessions.OwnedSession in before the bases of its SessionStore."
    return [
        Error(
            f"A session of SESSION_ENGINE = {engine!r} does not say whose it is, and is kept "
            "beside those of all other tenants.",
            hint=hint,
            id="tenancy.E020",
        )
    ]


def _is_owned(engine: str) -> bool:
    """Tell whether sessions have owners, or lie in a table of each tenant's own."""
    store = import_module(engine).SessionStore
    if issubclass(store, OwnedSession):
        return True
    is_row = issubclass(store, db.SessionStore) and not issubclass(store, cached_db.SessionStore)
    return is_row and router.is_tenants(store.get_model_class())


def check_order(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    order = list(django_settings.MIDDLEWARE)
    if not {MIDDLEWARE, SESSION_MIDDLEWARE} <= set(order):
        return []
    if order.index(MIDDLEWARE) < order.index(SESSION_MIDDLEWARE):
        return []
    return [
        Error(
            "The session is opened before anybody says for which tenant the request works.",
            hint=f"Put {MIDDLEWARE!r} before {SESSION_MIDDLEWARE!r} in MIDDLEWARE.",
            id="tenancy.E021",
        )
    ]


def check_cookies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{name} = {domain!r} sends one tenant's cookie to every host below it, where it is "
            "replaced by the next tenant's.",
            hint=f"Remove {name}: a cookie without a domain is its own host's.",
            id="tenancy.E022",
        )
        for name in DOMAINS
        if (domain := getattr(django_settings, name))
    ]


def check_messages(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not apps.is_installed("django.contrib.messages"):
        return []
    if django_settings.MESSAGE_STORAGE not in MESSAGES_IN_COOKIES:
        return []
    return [
        Warning(
            "Messages are kept in a cookie that is not encrypted, and whose signature is good at "
            "every tenant's host.",
            hint=f"Set MESSAGE_STORAGE = {MESSAGES_IN_SESSION!r}.",
            id="tenancy.W002",
        )
    ]


CHECKS = (check_engine, check_order, check_cookies, check_messages)
