"""
Where is it tried out what a schema would be like, so that nothing of the trial is left?
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.db import connections, transaction

from tenancy import context, process_cache, schemas
from tenancy.conf import settings
from tenancy.context import ActiveTenant

PREFIX = "scratch_"


@contextmanager
def schema(*, type: str = "") -> Iterator[ActiveTenant]:
    """
    Make an empty schema with its role, and work for it in the block; then it never was.

    `type` says which of TENANT_TYPES its tenant would be. The block is a transaction at the
    owner's address, or a savepoint of the one that is open there. It is always rolled back,
    so that a kill leaves nothing either.
    """
    name = uuid4().hex[:12]
    target = ActiveTenant(
        uuid4(), f"{PREFIX}{name}", slug=f"scratch-{name}", name=f"Scratch {name}", type=type
    )
    using = settings.DDL_DATABASE
    with context.override(target, in_transaction=True), _rolled_back(using):
        schemas.create(connections[using], target.schema)
        try:
            yield target
        finally:
            process_cache.forget(target)


@contextmanager
def _rolled_back(using: str) -> Iterator[None]:
    with transaction.atomic(using=using):
        yield
        transaction.set_rollback(True, using=using)
