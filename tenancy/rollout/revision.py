"""
On what does it depend what a new schema looks like?

All of it is hashed into one key. A schema that was captured under another key is another
release's.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Iterator
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings as django_settings
from django.db.migrations.loader import MigrationLoader
from django.db.models.signals import post_migrate, pre_migrate
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import get_public_schema_name, get_tenant_types, has_multi_type_tenants

from tenancy import router
from tenancy.catalogue import queries, scripts, statements
from tenancy.conf import settings
from tenancy.context import ActiveTenant

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# To be counted up when a schema is captured in another way than before.
FORMAT = 1

# Who listens may write first data, which no migration tells of.
SIGNALS = (pre_migrate, post_migrate, schema_pre_migration, schema_migrated)


def key(connection: BaseDatabaseWrapper, *, type: str = "") -> str:
    """
    Return what stands for the schemas that this process would make for tenants of `type`.

    It covers the migrations with their text, the applications that a tenant has, the text of
    the modules that listen to migrations, Django and PostgreSQL. What such a module reads
    elsewhere, a file or a setting, it does not cover.
    """
    parts = [
        FORMAT,
        [_text(module.__name__) for module in (queries, statements, scripts)],
        django.VERSION[:2],
        _server(connection),
        sorted(settings.COMPAT),
        type,
        list(router.list_apps(ActiveTenant(None, "", type=type))),
        _migrations(tuple(django_settings.INSTALLED_APPS), repr(django_settings.MIGRATION_MODULES)),
        [(module, _text(module)) for module in sorted(set(_listening()))],
    ]
    return _hash(repr(parts).encode())


def list_types() -> list[str]:
    """Return the types of tenants, as `key` takes them: "" where all are alike."""
    if not has_multi_type_tenants():
        return [""]
    return [type for type in get_tenant_types() if type != get_public_schema_name()]


def _server(connection: BaseDatabaseWrapper) -> int:
    version: int = connection.pg_version  # type: ignore[attr-defined]  # PostgreSQL's wrapper
    return version // 10_000


@lru_cache(maxsize=8)
def _migrations(applications: tuple[str, ...], elsewhere: str) -> list[tuple[Any, str]]:
    """Return all migrations of the code with a hash of each; a process reads them once."""
    migrations = MigrationLoader(None).disk_migrations
    return sorted((name, _text(migration.__module__)) for name, migration in migrations.items())


def _listening() -> Iterator[str]:
    """Yield the modules of whoever listens to migrations."""
    for signal in SIGNALS:
        for _, receiver, *_ in signal.receivers or ():
            listener = receiver() if isinstance(receiver, weakref.ReferenceType) else receiver
            if listener is not None:
                yield _module(listener)


def _module(listener: Any) -> str:
    while isinstance(listener, partial):
        listener = listener.func
    return str(inspect.unwrap(listener).__module__)


@lru_cache(maxsize=4096)
def _text(module: str) -> str:
    """Return a hash of the module's text, "" where it has none."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return _hash(Path(path).read_bytes()) if path else ""


def _hash(text: bytes) -> str:
    return blake2b(text, digest_size=32, person=b"tenancy.revision").hexdigest()
