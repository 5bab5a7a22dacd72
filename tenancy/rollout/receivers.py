"""
Who is told of each migration, and do we know what they do?

Of Django's own receivers we know it, and do the same by natural key. What others do where a
schema is migrated may depend on its rows, so for them each schema is migrated by Django.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.contenttypes.management import (
    create_contenttypes,
    inject_rename_contenttypes_operations,
)
from django.db.models.signals import post_migrate, pre_migrate

if TYPE_CHECKING:
    from tenancy.rollout.plan import Step

KNOWN = {
    f"{each.__module__}.{each.__qualname__}"
    for each in (create_contenttypes, inject_rename_contenttypes_operations)
} | {
    "django.contrib.auth.management.create_permissions",
    "django.contrib.sites.management.create_default_site",
}


def why_not_replayed(steps: Iterable[Step]) -> str:
    """Return whose receiver has to be called in each schema, "" if there is none."""
    for name in sorted(_list_names()):
        if name not in KNOWN:
            return f"{name} is told of each migration"
    # Where there is no site it makes one: in a table that is new.
    if any(step.app == "sites" for step in steps):
        return "django.contrib.sites makes a site"
    return ""


def _list_names() -> Iterator[str]:
    for signal in (pre_migrate, post_migrate):
        for config in apps.get_app_configs():
            if config.models_module is None:
                continue
            live: Any = signal._live_receivers(config)
            for receivers in live:
                yield from (f"{each.__module__}.{each.__qualname__}" for each in receivers)
