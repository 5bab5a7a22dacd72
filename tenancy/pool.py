"""
Which complete schemas wait for a tenant, so that a sign-up need not make one?

Each is what `rollout.reference` says, with a role of its own and a row in `WarmSchema`. A
sign-up takes one by renaming it; schemas of another release are dropped.
"""

from __future__ import annotations

from uuid import uuid4

from django.db import connections, transaction

from tenancy import context, locks, schemas, steps
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.references import ReferenceSchema, WarmSchema
from tenancy.rollout import reference, revision

PREFIX = "warm_"

FILL = steps.declare("fill pool", "schema made", "row written", "committed")
DISCARD = steps.declare("discard", "schema dropped", "row deleted", "committed")

# A schema that somebody dropped by hand is passed over.
CLAIM = """
    DELETE FROM tenancy_warmschema
     WHERE schema_name = (
         SELECT schema_name
           FROM tenancy_warmschema
          WHERE reference = %(reference)s
            AND to_regnamespace(quote_ident(schema_name)) IS NOT NULL
          ORDER BY created_at
            FOR UPDATE SKIP LOCKED
          LIMIT 1
     )
    RETURNING schema_name
"""


def claim(key: str, *, schema: str, tenant: object) -> bool:
    """
    Rename one of the schemas that are as the reference `key` to `schema`, and give it to `tenant`.

    In the transaction that is open at the owner's address, for the platform. Return whether
    there was one; no two transactions get the same.
    """
    connection = connections[settings.DDL_DATABASE]
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"reference": key})
        row = cursor.fetchone()
    if row is None:
        return False
    schemas.rename(connection, row[0], schema)
    schemas.assign(connection, schema, tenant)
    return True


def fill() -> int:
    """
    Make schemas until TENANCY_WARM_POOL of each type of tenant wait; return how many were made.

    One at a time, each in a transaction of its own. None where new schemas are not all the
    same: see the `fault` of the reference. Raise DatabaseError or UnableToMigrate.
    """
    made = 0
    for found in _references():
        while _make_one(found):
            made += 1
    return made


def discard_stale() -> int:
    """
    Drop the schemas that are not as the code of today has them, and those that are too many.

    Return how many there were; a row whose schema is gone counts too.
    """
    return sum(_discard(name) for name in _list_stale())


def _references() -> list[ReferenceSchema]:
    """Return the references of the code of today by which schemas can wait."""
    found = [reference.current(type=type) for type in revision.list_types()]
    return [each for each in found if not each.fault]


def _make_one(found: ReferenceSchema) -> bool:
    """Make a schema, unless enough of them wait; return whether one was made."""
    using = settings.DDL_DATABASE
    name = f"{PREFIX}{uuid4().hex[:12]}"
    with context.override(context.PLATFORM, in_transaction=True):
        with transaction.atomic(using=using, durable=True):
            # One at a time makes them, so that there are not more than were asked for.
            locks.acquire("warm pool", timeout=None, using=using)
            waiting = WarmSchema.objects.using(using).filter(reference=found.key)
            if waiting.count() >= settings.WARM_POOL:
                return False
            with context.override(ActiveTenant(None, name), in_transaction=True):
                schemas.create(connections[using], name, script=found.script)
            steps.reached("fill pool: schema made")
            WarmSchema(schema_name=name, reference=found.key).save(using=using, force_insert=True)
            steps.reached("fill pool: row written")
        steps.reached("fill pool: committed")
    return True


def _list_stale() -> list[str]:
    using = settings.DDL_DATABASE
    kept: list[str] = []
    current = _references()
    with context.override(context.PLATFORM, in_transaction=True):
        rows = WarmSchema.objects.using(using)
        for found in current:
            waiting = rows.filter(reference=found.key).order_by("created_at")
            kept += waiting.values_list("schema_name", flat=True)[: settings.WARM_POOL]
        stale = rows.exclude(schema_name__in=kept).values_list("schema_name", flat=True)
        return [*stale, *_list_gone(kept)]


def _list_gone(names: list[str]) -> list[str]:
    connection = connections[settings.DDL_DATABASE]
    return [name for name in names if not schemas.exists(connection, name)]


def _discard(name: str) -> bool:
    """Drop a schema, unless a sign-up has just taken it; return whether it was dropped."""
    using = settings.DDL_DATABASE
    with context.override(context.PLATFORM, in_transaction=True):
        with transaction.atomic(using=using, durable=True):
            rows = WarmSchema.objects.using(using).select_for_update(skip_locked=True)
            row = rows.filter(schema_name=name).first()
            if row is None:
                return False
            schemas.drop(connections[using], name)
            steps.reached("discard: schema dropped")
            row.delete(using=using)
            steps.reached("discard: row deleted")
        steps.reached("discard: committed")
    return True
