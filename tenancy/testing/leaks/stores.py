"""
What of Elm's is found at Oak in caches, file storages, sessions and messages?
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from threading import Barrier
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.messages import constants
from django.contrib.messages.storage import default_storage as message_storage
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.db import DatabaseError, models
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.utils.cache import get_cache_key, learn_cache_key

from tenancy import context
from tenancy.errors import NoActiveTenant, TenancyError
from tenancy.testing.leaks.stage import STAMPS, NotCovered, Stage, leaked

KEY = "leak-kit"
ELMS = STAMPS["elm"]
OAKS = STAMPS["oak"]

# Caches. Each way is tried at Oak after Elm has stored its canary.

READING: dict[str, Callable[[Any], Any]] = {
    "get": lambda cache: cache.get(KEY),
    "get_many": lambda cache: cache.get_many([KEY]),
    "has_key": lambda cache: KEY in cache and ELMS,
    "get_or_set": lambda cache: cache.get_or_set(KEY, OAKS),
    "every version": lambda cache: [cache.get(KEY, version=each) for each in (0, "1", "*")],
    "keys": lambda cache: getattr(cache, "keys", lambda pattern: [])("*") and ELMS,
}
WRITING: dict[str, Callable[[Any], Any]] = {
    "set": lambda cache: cache.set(KEY, OAKS),
    "add": lambda cache: cache.add(KEY, OAKS),
    "delete": lambda cache: cache.delete(KEY),
    "delete_many": lambda cache: cache.delete_many([KEY]),
    "delete_pattern": lambda cache: getattr(cache, "delete_pattern", lambda pattern: 0)("*"),
    "touch": lambda cache: cache.touch(KEY, 0),
    "clear": lambda cache: cache.clear(),
}


def check_cache(alias: str, way: str, leaks: Stage) -> None:
    if django_settings.CACHES[alias].get("KEY_FUNCTION") == "tenancy.cache.make_shared_key":
        raise NotCovered(f"CACHES[{alias!r}] is everybody's, as its KEY_FUNCTION says.")
    if (special := SPECIAL.get(way)) is not None:
        special(alias, leaks)
        return
    with leaks.at("oak"):
        caches[alias].delete(KEY)
    with leaks.at("elm"):
        caches[alias].set(KEY, ELMS, timeout=300)
    with leaks.at("oak"):
        seen = (READING | WRITING)[way](caches[alias])
        caches[alias].delete(KEY)
    if way in READING and ELMS in str(seen):
        leaked(f"CACHES[{alias!r}], {way}: Oak found what Elm had stored.{_hint(alias)}")
    with leaks.at("elm"):
        kept = caches[alias].get(KEY)
    if way in WRITING and kept != ELMS:
        leaked(f"CACHES[{alias!r}], {way} at Oak: Elm lost what it had stored.{_hint(alias)}")


def _hint(alias: str) -> str:
    if "KEY_FUNCTION" in django_settings.CACHES[alias]:
        return ""
    return f" CACHES[{alias!r}] has no KEY_FUNCTION: set it to 'tenancy.cache.make_key'."


def _check_counter(alias: str, leaks: Stage) -> None:
    counts = []
    for name in ("elm", "oak"):
        with leaks.at(name):
            caches[alias].delete(f"{KEY}-count")
    for name in ("elm", "oak"):
        with leaks.at(name):
            caches[alias].add(f"{KEY}-count", 0)
            counts.append(caches[alias].incr(f"{KEY}-count"))
    if counts != [1, 1]:
        leaked(f"CACHES[{alias!r}], incr: Oak went on counting where Elm had stopped.")


def _check_threads(alias: str, leaks: Stage) -> None:
    barrier = Barrier(2, timeout=10)

    def work(name: str) -> Any:
        with leaks.at(name):
            caches[alias].set(KEY, STAMPS[name])
            barrier.wait()
            return caches[alias].get(KEY)

    with ThreadPoolExecutor(2) as pool:
        if list(pool.map(work, STAMPS)) != list(STAMPS.values()):
            leaked(f"CACHES[{alias!r}]: of two threads one found what the other had stored.")


def _check_page(alias: str, leaks: Stage) -> None:
    """The key under which Django's cache_page keeps an answer, for one path at both hosts."""
    request = RequestFactory().get("/leak-kit/")
    with leaks.at("elm"):
        learnt = learn_cache_key(request, HttpResponse(ELMS), 300, KEY, caches[alias])
        caches[alias].set(learnt, ELMS)
    with leaks.at("oak"):
        key = get_cache_key(request, KEY, cache=caches[alias])
        seen = caches[alias].get(key) if key else None
    if seen == ELMS:
        leaked(f"CACHES[{alias!r}]: Oak was given a page that Elm had cached.")


def _check_fragment(alias: str, leaks: Stage) -> None:
    if not any(
        str(each["BACKEND"]).endswith("DjangoTemplates") for each in django_settings.TEMPLATES
    ):
        raise NotCovered("There are no Django templates.")
    template = Template(
        "{% load cache %}{% cache 300 leak_kit using="
        + f'"{alias}"'
        + " %}{{ name }}{% endcache %}"
    )
    seen = []
    for stamp, name in ((ELMS, "elm"), (OAKS, "oak")):
        with leaks.at(name):
            seen.append(template.render(Context({"name": stamp})))
    if ELMS in seen[1]:
        leaked(f"CACHES[{alias!r}]: Oak's template got a fragment that Elm had cached.")


def _check_others(alias: str, leaks: Stage) -> None:
    """At the base domain, and where nobody is active."""
    with leaks.at("elm"):
        caches[alias].set(KEY, ELMS)
    for target in (leaks.target("platform"), None):
        with suppress(NoActiveTenant), context.override(target):
            if caches[alias].get(KEY) == ELMS:
                leaked(f"CACHES[{alias!r}]: {target or 'nobody'} found what Elm had stored.")


SPECIAL: dict[str, Callable[[str, Stage], None]] = {
    "incr": _check_counter,
    "two threads": _check_threads,
    "page": _check_page,
    "fragment": _check_fragment,
    "others": _check_others,
}
CACHE_WAYS = [*READING, *WRITING, *SPECIAL]


# Storages

STORAGE_WAYS = ["exists", "open", "listdir", "url", "save", "delete", "others"]


def list_storages() -> dict[str, Callable[[], Storage]]:
    """Return how to get at each storage: those of STORAGES, and those that fields have."""
    found: dict[str, Callable[[], Storage]] = {
        alias: lambda alias=alias: storages[alias]  # type: ignore[misc]  # a bound default
        for alias in django_settings.STORAGES
        if alias != "staticfiles"
    }
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.FileField):
                found[str(field)] = lambda field=field: field.storage  # type: ignore[misc]
    return found


def check_storage(storage: Storage, name: str, way: str, leaks: Stage) -> None:
    file = f"{KEY}/{way.replace(' ', '-')}.txt"
    with leaks.at("elm"):
        _remove(storage, file)
        kept_as = storage.save(file, ContentFile(ELMS.encode()))
    try:
        with leaks.at("oak"):
            found = _look(storage, kept_as, way, leaks)
        with leaks.at("elm"):
            is_kept = storage.exists(kept_as) and _read(storage, kept_as) == ELMS
    finally:
        for each in STAMPS:
            with leaks.at(each):
                _remove(storage, kept_as)
    if found:
        leaked(f"{name}, {way}: Oak found the file that Elm had saved ({found}).")
    if not is_kept:
        leaked(f"{name}, {way} at Oak: Elm lost the file that it had saved.")


def _look(storage: Storage, file: str, way: str, leaks: Stage) -> str:
    """Return what of Elm's file was found, or nothing."""
    if way == "exists":
        return file if storage.exists(file) else ""
    if way == "open":
        return _read(storage, file).replace(OAKS, "")
    if way == "listdir":
        return _find_listed(storage, file)
    if way == "url":
        return _compare_urls(storage, file, leaks)
    if way == "others":
        return _find_elsewhere(storage, file, leaks)
    if way == "save":
        storage.save(file, ContentFile(OAKS.encode()))
    if way == "delete":
        _remove(storage, file)
    return ""


def _find_listed(storage: Storage, file: str) -> str:
    """Return Elm's file if it is in the list of its directory."""
    try:
        _, names = storage.listdir(KEY)
    except FileNotFoundError:
        return ""
    except NotImplementedError as error:
        raise NotCovered(f"{type(storage).__name__} lists no directories.") from error
    return file if file.rpartition("/")[2] in names else ""


def _find_elsewhere(storage: Storage, file: str, leaks: Stage) -> str:
    """Return who found the file at the base domain, or where nobody is active."""
    for target in (leaks.target("platform"), None):
        with suppress(TenancyError), context.override(target):
            if storage.exists(file):
                return f"by {target or 'nobody'}"
    return ""


def _compare_urls(storage: Storage, file: str, leaks: Stage) -> str:
    """Return the address under which both would be served one file, if there is one."""
    try:
        url = storage.url(file)
        with leaks.at("elm"):
            return url if storage.url(file) == url else ""
    except (NotImplementedError, ValueError) as error:
        raise NotCovered(f"{type(storage).__name__} has no addresses: {error}") from error


def _read(storage: Storage, file: str) -> str:
    with suppress(FileNotFoundError), storage.open(file) as content:
        return str(content.read().decode())
    return ""


def _remove(storage: Storage, file: str) -> None:
    with suppress(FileNotFoundError):
        storage.delete(file)


# Sessions and messages


def check_session(leaks: Stage) -> None:
    """A session of Elm's, asked for at Oak and at the base domain by its key."""
    if not apps.is_installed("django.contrib.sessions"):
        raise NotCovered("django.contrib.sessions is not installed.")
    store: Any = import_module(django_settings.SESSION_ENGINE).SessionStore
    with leaks.at("elm"):
        session = store()
        session["leak-kit"] = ELMS
        session.save()
    for name in ("oak", "platform"):
        with leaks.at(name), suppress(DatabaseError):
            if store(session_key=session.session_key).get("leak-kit") == ELMS:
                leaked(f"{django_settings.SESSION_ENGINE}: Elm's session is good at {name}.")


def check_messages(leaks: Stage) -> None:
    """What Elm keeps for its next page in a cookie, sent to Oak."""
    if not apps.is_installed("django.contrib.messages"):
        raise NotCovered("django.contrib.messages is not installed.")
    engine: Any = import_module(django_settings.SESSION_ENGINE)
    request: Any = RequestFactory().get("/")
    with leaks.at("elm"):
        request.session = engine.SessionStore()
        keeper = message_storage(request)
        keeper.add(constants.INFO, ELMS)
        response = HttpResponse()
        keeper.update(response)
    for name in ("oak", "platform"):
        asked: Any = RequestFactory().get("/")
        asked.COOKIES = {each.key: each.value for each in response.cookies.values()}
        with leaks.at(name):
            asked.session = engine.SessionStore()
            if ELMS in " ".join(map(str, message_storage(asked))):
                leaked(
                    f"{django_settings.MESSAGE_STORAGE}: a message of Elm's was read at {name}. "
                    "Cookies are signed with one key for all; keep messages in the session."
                )


SESSION_CHECKS = {"session": check_session, "messages": check_messages}
