"""
How does a tenant get another slug, with the schema and the role that are called after it?
"""

from __future__ import annotations

from django.db import DatabaseError, connections, transaction
from django.utils import timezone
from django_tenants.utils import get_tenant_model

from tenancy import audit, context, locks, names, schemas, steps, taken, tenants
from tenancy.conf import settings
from tenancy.errors import InvalidTransition, UnableToProvision
from tenancy.lifecycle import edges
from tenancy.models import STATES_WITH_SCHEMA, Organization, RetiredSlug

STEPS = steps.declare(
    "rename",
    "locked",
    "schema renamed",
    "row changed",
    "slug retired",
    "recorded",
    "committed",
)


def rename(
    organization: Organization, *, slug: str, name: str | None = None, actor: str | None = None
) -> None:
    """
    Let it answer at `slug` and no longer at its old one, which nobody else gets for a while.

    Schema and role are renamed with it, in one transaction: all of it or nothing. Its own
    domains, its files and its sessions stay. A process that remembers the old name gets
    nothing there and answers 503 until it has forgotten. Raise InvalidName, NameTaken,
    InvalidTransition where there is no schema to rename, or UnableToProvision.
    """
    schema = names.schema_for(slug)
    using = settings.DDL_DATABASE
    schemas.check_role_name(connections[using], schema)
    with context.override(context.PLATFORM, in_transaction=True):
        try:
            with transaction.atomic(using=using, durable=True):
                _rename(organization, slug=slug, schema=schema, name=name, actor=actor)
        except DatabaseError as error:
            raise UnableToProvision(
                f"{organization.slug!r} could not be renamed, and is as it was: "
                f"{edges.primary_message(error)}"
            ) from error
        steps.reached("rename: committed")
        edges.refresh(organization)


def _rename(
    organization: Organization, *, slug: str, schema: str, name: str | None, actor: str | None
) -> None:
    using = settings.DDL_DATABASE
    connection = connections[using]
    edges.lock(organization, using=using)
    steps.reached("rename: locked")
    before = edges.row_of(organization, using=using)
    if before.state not in STATES_WITH_SCHEMA:
        raise InvalidTransition(f"{before.slug!r} is {before.state}: it has no schema to rename.")

    if slug != before.slug:
        _take(before, slug, schema)
        schemas.rename(connection, before.schema_name, schema)
    steps.reached("rename: schema renamed")
    rows = get_tenant_model()._default_manager.using(using).filter(pk=before.pk)
    rows.update(slug=slug, schema_name=schema, name=before.name if name is None else name)
    after = edges.row_of(before, using=using)
    steps.reached("rename: row changed")
    if slug != before.slug:
        _retire(before)
    steps.reached("rename: slug retired")
    audit.record(
        "organization.renamed",
        organization=before,
        details={"slug": slug, "name": after.name},
        actor=actor,
        using=using,
    )
    steps.reached("rename: recorded")
    for names_of in (before, after):
        tenants.forget(names_of, using=using)


def _take(before: Organization, slug: str, schema: str) -> None:
    """Raise NameTaken unless nobody has the slug; a slug of its own it may have back."""
    using = settings.DDL_DATABASE
    locks.acquire(f"slug:{slug}", timeout=None, using=using)
    RetiredSlug.objects.using(using).filter(slug=slug, organization=str(before.pk)).delete()
    wanted = get_tenant_model()(slug=slug, schema_name=schema)
    taken.forget(taken.check(wanted, None, using=using), using=using)


def _retire(before: Organization) -> None:
    """Keep the old slug from everybody else."""
    RetiredSlug.objects.using(settings.DDL_DATABASE).update_or_create(
        slug=before.slug,
        defaults={"organization": str(before.pk), "retired_at": timezone.now()},
    )
