"""
How does a tenant come to be a copy of another?

Its rows come in the transaction that makes its schema; its files afterwards, as they cannot be
rolled back. Until they are there it is in maintenance, and its row says whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from django.apps import apps
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connections
from django.utils import timezone
from django_tenants.utils import get_tenant_model
from psycopg import IsolationLevel

from tenancy import audit, context, provisioning, schemas, steps, storage
from tenancy.conf import settings
from tenancy.errors import InvalidTransition, UnableToProvision
from tenancy.lifecycle import edges
from tenancy.models import STATES_WITH_SCHEMA, Organization, State

STEPS = steps.declare(
    "clone",
    "table copied",
    "rows copied",
    "row written",
    "committed",
    "file copied",
    "files copied",
    "finished",
)

# What is told of the progress: what was copied, of how many of these.
Tell = Callable[[str, int], object]


def clone(
    source: Organization,
    *,
    slug: str,
    name: str,
    actor: str | None = None,
    tell: Tell = lambda what, total: None,
) -> Organization:
    """
    Create an organization with the rows and files that `source` has at this moment; return it.

    All rows are from one snapshot, while `source` is served as before. Nobody is signed in at
    the copy. A kill leaves nothing, or a copy in maintenance whose files the same call, or
    `reconcile`, goes on with. Raise as `provision` does, and InvalidTransition where `source`
    has no schema to copy.
    """
    half_made = _half_made(source, slug)
    if half_made is None:
        half_made = _copy_rows(source, slug, name, actor, tell)
    finish(half_made, actor=actor, tell=tell)
    return half_made


def finish(
    organization: Organization,
    *,
    actor: str | None = None,
    tell: Tell = lambda what, total: None,
) -> None:
    """
    Copy the files that are still missing, and serve it.

    Raise InvalidTransition when whose files these are is gone.
    """
    if organization.files_from is None:
        return
    source = _source_of(organization)
    for number, total in storage.copy_all(source.as_active(), organization.as_active()):
        tell(f"file {number}", total)
        steps.reached("clone: file copied")
    steps.reached("clone: files copied")
    edges.go(edges.RESUME, organization, actor=actor, state_reason="", files_from=None)
    steps.reached("clone: finished")


def _half_made(source: Organization, slug: str) -> Organization | None:
    """Return the copy of `source` at which somebody was killed, if that is what `slug` is."""
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager
        return cast("Organization | None", rows.filter(slug=slug, files_from=source.pk).first())


def _source_of(organization: Organization) -> Organization:
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager.filter(
            pk=organization.files_from, state__in=STATES_WITH_SCHEMA
        )
        source: Organization | None = rows.first()
    if source is None:
        raise InvalidTransition(
            f"{organization.slug!r} is a copy whose files were not all there when its original "
            f"was deleted. Type: manage.py delete_tenant {organization.slug}"
        )
    return source


def _copy_rows(
    source: Organization, slug: str, name: str, actor: str | None, tell: Tell
) -> Organization:
    if edges.state_of(source) not in STATES_WITH_SCHEMA:
        raise InvalidTransition(f"{source.slug!r} has no schema that could be copied.")

    def fill(copy: Organization) -> None:
        _fill(source, copy, tell)
        audit.record(
            "organization.cloned",
            organization=source,
            details={"copy": slug},
            actor=actor,
            using=settings.DDL_DATABASE,
        )

    with _one_snapshot():
        copy = provisioning.provision(slug=slug, name=name, actor=actor, fill=fill)
    steps.reached("clone: committed")
    return copy


@contextmanager
def _one_snapshot() -> Iterator[None]:
    """Let the transactions of the block see one moment each, however long they take."""
    connection = connections[settings.DDL_DATABASE]
    connection.ensure_connection()
    driver = connection.connection
    before, driver.isolation_level = driver.isolation_level, IsolationLevel.REPEATABLE_READ
    try:
        yield
    finally:
        driver.isolation_level = before


def _fill(source: Organization, copy: Organization, tell: Tell) -> None:
    connection = connections[settings.DDL_DATABASE]
    _check_alike(source, copy)
    tables = schemas.list_tables(connection, copy.schema_name)
    schemas.empty(connection, copy.schema_name, tables)
    left_out = _tables_of_sessions()
    for table in tables:
        if table not in left_out:
            schemas.copy_rows(connection, table, source.schema_name, copy.schema_name)
        tell(table, len(tables))
        steps.reached("clone: table copied")
    schemas.copy_sequences(connection, source.schema_name, copy.schema_name)
    steps.reached("clone: rows copied")

    copy.state = State.MAINTENANCE
    copy.state_reason = "It is being made."
    copy.state_changed_at = timezone.now()
    copy.files_from = cast("UUID", source.pk)
    copy.save(
        using=settings.DDL_DATABASE,
        update_fields=["state", "state_reason", "state_changed_at", "files_from"],
    )
    steps.reached("clone: row written")


def _check_alike(source: Organization, copy: Organization) -> None:
    """Raise UnableToProvision where the new schema has no place for what the old one holds."""
    connection = connections[settings.DDL_DATABASE]
    both = [source.schema_name, copy.schema_name]
    applied = schemas.list_applied(connection, both)
    if applied.get(source.schema_name) != applied.get(copy.schema_name):
        raise UnableToProvision(
            f"{source.slug!r} is not migrated as the code is, and a copy would be. "
            f"Type: manage.py migrate_schemas --only {source.slug}"
        )
    old, new = (set(schemas.list_tables(connection, name)) for name in both)
    if extra := sorted(old - new):
        raise UnableToProvision(
            f"{source.slug!r} has tables that no migration makes, and a copy would not have: "
            f"{', '.join(extra)}. Drop them first, or copy the schema with pg_dump."
        )


def _tables_of_sessions() -> set[str]:
    """Return the tables by whose rows browsers are signed in; a cookie is good at one host."""
    models = apps.get_models()
    return {each._meta.db_table for each in models if issubclass(each, AbstractBaseSession)}
