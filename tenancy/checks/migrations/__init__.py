"""
Can each migration run while the release before it serves?

Judged are the migrations of the project itself: those of packages, which nobody here can
change, and the standard library's lie elsewhere. `tenancy_allow` in a Migration says which
rule it may break, and why; TENANCY_REVIEWED_MIGRATIONS names what was deployed before.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DEFAULT_DB_ALIAS
from django.db.migrations import Migration
from django.db.migrations.exceptions import (
    BadMigrationError,
    CircularDependencyError,
    NodeNotFoundError,
)
from django.db.migrations.loader import MigrationLoader

from tenancy.checks.migrations.rules import Finding, list_findings
from tenancy.checks.migrations.steps import History
from tenancy.checks.settings import is_ours
from tenancy.conf import settings

RULES = (
    *("tenancy.E070", "tenancy.E071", "tenancy.W072", "tenancy.W073", "tenancy.W074"),
    *("tenancy.W075", "tenancy.W076", "tenancy.W077", "tenancy.W078"),
)
PACKAGES = ("site-packages", "dist-packages")


def check(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    # What a column's type is called, the address knows; that of another engine E001 tells of.
    if not is_ours(django_settings.DATABASES[DEFAULT_DB_ALIAS]):
        return []
    try:
        loader = MigrationLoader(None)
    except (BadMigrationError, CircularDependencyError, NodeNotFoundError):
        return []  # `migrate` and `makemigrations` say what is wrong with them
    chosen = None if app_configs is None else {config.label for config in app_configs}
    return list(judge(loader, chosen))


def judge(loader: MigrationLoader, apps: set[str] | None = None) -> Iterator[CheckMessage]:
    """Yield what is to be said of the migrations of `apps`, or of all, in their order."""
    history = History()
    reviewed = _list_reviewed(loader)
    for key, migration in _in_order(loader):
        is_judged = key not in reviewed and (apps is None or migration.app_label in apps)
        # What a squashed one replaces was judged when it was written.
        if is_judged and not migration.replaces and _is_own(migration):
            wrong = list(_check_override(migration))
            yield from wrong
            allowed = {} if wrong else getattr(migration, "tenancy_allow", {})
            for finding in list_findings(history.walk(migration)):
                if finding.id not in allowed:
                    yield _as_message(migration, finding)
        else:
            history.skip(migration)
    yield from _check_settings(loader, history)


def check_only(keys: Collection[tuple[str, str]]) -> list[CheckMessage]:
    """Return what is to be said of these migrations, by application and name."""
    loader = MigrationLoader(None)
    own = {_path(loader.disk_migrations[key]) for key in keys if key in loader.disk_migrations}
    return [message for message in judge(loader) if message.obj in own and not message.is_silenced()]


def _in_order(loader: MigrationLoader) -> Iterator[tuple[tuple[str, str], Migration]]:
    seen: set[tuple[str, str]] = set()
    for leaf in sorted(loader.graph.leaf_nodes()):
        for key in loader.graph.forwards_plan(leaf):
            if key not in seen:
                seen.add(key)
                yield key, loader.graph.nodes[key]


def _as_message(migration: Migration, finding: Finding) -> CheckMessage:
    kind = Error if finding.id.startswith("tenancy.E") else Warning
    # Lines as Django's own are shown, below one another.
    hint = (
        f"{finding.hint}\n\tOr, with a reason: tenancy_allow = {{{finding.id!r}: 'Why it does no "
        "harm here.'} in the Migration."
    )
    if kind is Error:
        hint += (
            "\n\tWhat is deployed everywhere already: TENANCY_REVIEWED_MIGRATIONS = "
            f"{{{migration.app_label!r}: {migration.name!r}}}."
        )
    return kind(finding.message, hint=hint, obj=_path(migration), id=finding.id)


def _check_override(migration: Migration) -> Iterator[CheckMessage]:
    allowed = getattr(migration, "tenancy_allow", {})
    if not isinstance(allowed, dict):
        yield _misread(migration, f"tenancy_allow is {allowed!r}, which gives no reason.")
        return
    for name, reason in allowed.items():
        if name not in RULES:
            yield _misread(migration, f"tenancy_allow names {name!r}, which is no rule.")
        elif not isinstance(reason, str) or not reason.strip():
            yield _misread(migration, f"tenancy_allow gives no reason for {name!r}.")


def _misread(migration: Migration, message: str) -> CheckMessage:
    return Error(
        message,
        hint="Write tenancy_allow = {'tenancy.W072': 'Why it does no harm here.'}.",
        obj=_path(migration),
        id="tenancy.E079",
    )


def _check_settings(loader: MigrationLoader, history: History) -> Iterator[CheckMessage]:
    for label in settings.LARGE_MODELS:
        if tuple(label.lower().split(".")) not in history.state.models:
            yield Error(
                f"TENANCY_LARGE_MODELS names {label!r}, and there is no such model.",
                hint="Write labels, as in {'patients.Patient'}.",
                id="tenancy.E079",
            )
    for app, name in settings.REVIEWED_MIGRATIONS.items():
        if (app, name) not in loader.disk_migrations:
            yield Error(
                f"TENANCY_REVIEWED_MIGRATIONS names {app}.{name}, and there is no such migration.",
                hint="Write the name of the file without .py, as in {'patients': '0001_initial'}.",
                id="tenancy.E079",
            )


def _list_reviewed(loader: MigrationLoader) -> set[tuple[str, str]]:
    """Return the migrations that are named as deployed, and those of their app before them."""
    return {
        before
        for key in settings.REVIEWED_MIGRATIONS.items()
        if key in loader.graph.nodes
        for before in loader.graph.forwards_plan(key)
        if before[0] == key[0]
    }


def _is_own(migration: Migration) -> bool:
    """Tell whether the project has the file, and not a package or the standard library."""
    path = _file(migration)
    if any(part in PACKAGES for part in path.parts):
        return False
    return not any(path.is_relative_to(place) for place in _places_of_others())


@cache
def _places_of_others() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(sysconfig.get_path(name)).resolve() for name in names)


def _file(migration: Migration) -> Path:
    return Path(sys.modules[type(migration).__module__].__file__ or "").resolve()


def _path(migration: Migration) -> str:
    path = _file(migration)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


CHECKS = (check,)
