"""
Would one tenant be shown the template of another?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error

OURS = "tenancy.template.loaders."
DJANGO_TENANTS = "django_tenants.template.loaders."
DJANGOS_CACHED = "django.template.loaders.cached.Loader"


def check_loaders(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    engines: list[dict[str, Any]] = list(django_settings.TEMPLATES)
    return [
        Error(
            f"{name} in TEMPLATES does not know who is active.",
            hint=f"Use {OURS}{name.split('.')[-2]}.Loader in its place.",
            id="tenancy.E023",
        )
        for engine in engines
        for name in _list_wrong(engine.get("OPTIONS", {}).get("loaders") or [])
    ]


def _list_wrong(loaders: Iterable[Any]) -> list[str]:
    wrong = []
    for loader in loaders:
        name, *arguments = _names(loader)
        inside = [each for each in arguments if each.startswith((OURS, DJANGO_TENANTS))]
        wrong += [each for each in (name, *inside) if each.startswith(DJANGO_TENANTS)]
        if name == DJANGOS_CACHED and inside:
            wrong.append(name)
    return wrong


def _names(loader: Any) -> Iterator[str]:
    """Yield the name of a loader, and of those that are nested in it."""
    if isinstance(loader, str):
        yield loader
    elif isinstance(loader, list | tuple):
        for each in loader:
            yield from _names(each)


CHECKS = (check_loaders,)
