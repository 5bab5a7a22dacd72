"""
What of Elm's does the process still hold, where the next request for anybody finds it?

Looked through are the modules of an installed application, and of the URL configurations:
module globals, attributes of classes, default arguments, closures, and what functools.cache
remembers. What is tenancy's own knows whose it is.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ProxyTypes

from django.apps import apps
from django.conf import settings as django_settings
from django.db import models
from django.db.models.fields.related_descriptors import ReverseManyToOneDescriptor

from tenancy import ownership, router
from tenancy.testing.leaks import visits
from tenancy.testing.leaks.stage import STAMPS, Stage, leaked

DEPTH = 9
# What leads everywhere, and is nobody's own.
OPAQUE = (ModuleType, models.Field, ReverseManyToOneDescriptor, *ProxyTypes)
OWN = ("tenancy", "django.db.backends", "pytest", "_pytest")
LRU = "_lru_cache_wrapper"


def list_packages() -> list[str]:
    """Return the packages that are looked through, one check for each."""
    packages = {config.name for config in apps.get_app_configs()}
    for name in ("ROOT_URLCONF", "PUBLIC_SCHEMA_URLCONF"):
        if urlconf := getattr(django_settings, name, None):
            packages.add(urlconf.partition(".")[0])
    return sorted(each for each in packages if each.partition(".")[0] != "tenancy")


def check(package: str, leaks: Stage) -> None:
    """Fail when Elm's canary can be reached from a module of the package."""
    visits.warm_up(leaks)
    found = []
    seen: set[int] = set()
    for name in sorted(sys.modules):
        if name == package or name.startswith(f"{package}."):
            found += list(_search(name, sys.modules[name], leaks, seen))
    if found:
        leaked(
            f"{package} holds what is Elm's after Elm's requests have ended: "
            + "; ".join(f"{where} has {what}" for where, what in found[:5])
            + ". Key it by context.require_tenant().id, or do not keep it."
        )


def _search(
    name: str, module: ModuleType, leaks: Stage, seen: set[int]
) -> Iterator[tuple[str, str]]:
    """Yield where Elm's canary is reached from the module, and what was found there."""
    for attribute, value in list(vars(module).items()):
        if attribute.startswith("__") or _is_foreign(value, name):
            continue
        waiting = deque([(value, f"{name}.{attribute}", 0)])
        while waiting:
            thing, where, depth = waiting.popleft()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            if what := _is_elms(thing, leaks):
                yield where, what
                break
            if depth < DEPTH:
                waiting.extend((part, f"{where}{step}", depth + 1) for part, step in _parts(thing))


def _is_foreign(value: object, module: str) -> bool:
    """Tell whether this was imported: it is looked at where it was made."""
    is_made = isinstance(value, type | FunctionType) or type(value).__name__ == LRU
    return is_made and getattr(value, "__module__", module) != module


def _is_elms(thing: Any, leaks: Stage) -> str:
    """Return what of Elm's this is, or nothing."""
    kind = type(thing)
    if issubclass(kind, str | bytes):
        text = thing if isinstance(thing, str) else thing.decode(errors="replace")
        return "text with its canary" if STAMPS["elm"] in text else ""
    if issubclass(kind, models.Model):
        return f"the {thing._meta.label} {thing.pk}" if _belongs(thing, leaks) else ""
    if issubclass(kind, models.QuerySet):
        return "rows that were read" if thing._result_cache and _belongs(thing, leaks) else ""
    return ""


def _belongs(thing: Any, leaks: Stage) -> bool:
    meta = thing._meta if isinstance(thing, models.Model) else thing.model._meta
    owner = ownership.owner_of(thing)
    is_own = meta.model in leaks.twins["elm"].rows and router.is_tenants(meta.model)
    return is_own and owner == leaks.target("elm")


def _parts(thing: Any) -> Iterator[tuple[Any, str]]:
    """Yield what this holds, and how one gets there."""
    kind = type(thing)  # and not isinstance(), for which a lazy object would be evaluated
    if issubclass(kind, OPAQUE) or kind.__module__.startswith(OWN):
        return
    if issubclass(kind, Mapping):
        # A copy: a thread of the project may be at it.
        for key, value in list(dict(thing).items())[:10_000]:
            yield key, ".keys()"
            yield value, f"[{key!r:.40}]"
    elif issubclass(kind, list | tuple | set | frozenset | deque):
        for number, value in enumerate(list(thing)[:10_000]):
            yield value, f"[{number}]"
    elif issubclass(kind, FunctionType):
        yield from _parts_of_function(thing)
    elif issubclass(kind, MethodType):
        yield thing.__func__, ""
    elif issubclass(kind, CellType):
        if thing != CellType():
            yield thing.cell_contents, ""
    elif issubclass(kind, partial):
        yield (thing.func, thing.args, thing.keywords), ""
    elif kind.__name__ == LRU:
        # Its arguments and results, which Python code cannot ask for.
        yield [part for part in gc.get_referents(thing) if type(part) is not type], " (cached)"
    elif issubclass(kind, type):
        yield from ((value, f".{name}") for name, value in _attributes_of_class(thing))
    else:
        yield from _parts_of_instance(thing)


def _parts_of_function(function: FunctionType) -> Iterator[tuple[Any, str]]:
    yield function.__defaults__, " (default)"
    yield function.__kwdefaults__, " (default)"
    yield function.__closure__, " (closure)"
    yield function.__dict__, ""


def _attributes_of_class(cls: type) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(cls).items()):
        if not name.startswith("__") and name != "_meta":
            yield name, value


def _parts_of_instance(thing: Any) -> Iterator[tuple[Any, str]]:
    for name, value in list(getattr(thing, "__dict__", {}).items()):
        yield value, f".{name}"
    for cls in type(thing).__mro__:
        for name in vars(cls).get("__slots__", ()):
            if isinstance(name, str) and hasattr(thing, name):
                yield getattr(thing, name), f".{name}"
