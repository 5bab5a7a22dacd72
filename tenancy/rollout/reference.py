"""
What would a schema look like that the code of today makes?

Migrations are run in a schema that is rolled back, and what they made is kept as one script
in `ReferenceSchema`: a new tenant's schema is that script, sent in one message.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.db import DatabaseError, connections, transaction

from tenancy import catalogue, context, locks
from tenancy.conf import settings
from tenancy.errors import UnableToCapture
from tenancy.references import ReferenceSchema
from tenancy.rollout import executor, revision, rows, scratch

logger = logging.getLogger("tenancy.provisioning")

# Of releases that are gone: who goes back to one finds it captured.
KEPT = 10

# What this process found. What is kept under a key never changes.
_known: dict[str, ReferenceSchema] = {}


@dataclass(frozen=True)
class _Contents:
    """What is in a schema, but for the names of it and of its role."""

    fingerprint: str
    rows: rows.Rows


def current(*, type: str = "") -> ReferenceSchema:
    """
    Return the reference of the code of today for tenants of `type`.

    It is captured if nobody did that yet, which takes as long as migrating three schemas,
    by one process while others wait. One with a `fault` has no script that would do. Raise
    UnableToMigrate where not even migrating works.
    """
    using = settings.DDL_DATABASE
    key = revision.key(connections[using], type=type)
    with context.override(context.PLATFORM, in_transaction=True):
        found = _known.get(key) or find(key) or _capture_alone(key, type)
    if len(_known) > KEPT:
        _known.clear()
    return _known.setdefault(key, found)


def find(key: str) -> ReferenceSchema | None:
    """Return what was captured under `key`, for the platform."""
    return ReferenceSchema.objects.using(settings.DDL_DATABASE).filter(key=key).first()


def _capture_alone(key: str, type: str) -> ReferenceSchema:
    """Capture it and keep it, unless somebody else did meanwhile."""
    using = settings.DDL_DATABASE
    with transaction.atomic(using=using):
        locks.acquire(f"reference:{key}", timeout=None, using=using)
        found = find(key)
        if found is None:
            found = capture(key, type=type)
            found.save(using=using, force_insert=True)
            _forget_oldest(using)
    return found


def _forget_oldest(using: str) -> None:
    references = ReferenceSchema.objects.using(using)
    kept = references.order_by("-created_at").values_list("key", flat=True)[:KEPT]
    references.exclude(key__in=list(kept)).delete()


def capture(key: str, *, type: str = "") -> ReferenceSchema:
    """
    Return the reference, not saved: with its script, or with the `fault` that forbids one.

    Migrating is done twice, as two tenants: what is not the same each time would be one
    tenant's in all others. Then the script is tried.
    """
    script, one, fault = _migrate(type)
    if not fault:
        _, other, _ = _migrate(type)
        fault = _difference(one, other, "Migrations make a schema that differs each time.")
    fault = fault or _try(script, one, type)
    if fault:
        logger.warning("New tenants are migrated from zero, which is slow: %s", fault)
    return ReferenceSchema(
        key=key, script="" if fault else script, fingerprint=one.fingerprint, fault=fault
    )


def _migrate(type: str) -> tuple[str, _Contents, str]:
    """Return the script of a schema that was migrated, what is in it, and why there is none."""
    with scratch.schema(type=type) as target:
        executor.migrate_unused(target)
        contents = _read(target.schema)
        try:
            tables = catalogue.script(connections[settings.DDL_DATABASE], target.schema)
        except UnableToCapture as error:
            return "", contents, str(error)
        return tables + rows.script(contents.rows), contents, ""


def _try(script: str, migrated: _Contents, type: str) -> str:
    """Run `script`; return how it comes to another end than migrating, "" where it does not."""
    try:
        with scratch.schema(type=type) as target:
            with connections[settings.DDL_DATABASE].cursor() as cursor:
                cursor.execute(script)
            tried = _read(target.schema)
    except DatabaseError as error:
        # Not PostgreSQL's DETAIL, in which there may be rows.
        said = getattr(getattr(error.__cause__, "diag", None), "message_primary", None)
        return f"The script fails: {said or error.__class__.__name__}."
    return _difference(migrated, tried, "The script makes another schema than migrating.")


def _read(schema: str) -> _Contents:
    connection = connections[settings.DDL_DATABASE]
    return _Contents(
        fingerprint=catalogue.fingerprints(connection, [schema])[schema],
        rows=rows.read(connection, schema),
    )


def _difference(one: _Contents, other: _Contents, otherwise: str) -> str:
    if found := rows.difference(one.rows, other.rows):
        return found
    return otherwise if one.fingerprint != other.fingerprint else ""
