"""
How does a tenant go, so that nothing of it is left but its name?
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections, transaction
from django.db.models import Q
from django.utils import timezone
from django_tenants.utils import get_tenant_domain_model, get_tenant_model

from tenancy import audit, cache, context, schemas, steps, storage
from tenancy.conf import settings
from tenancy.errors import InvalidTransition, UnableToProvision
from tenancy.lifecycle import edges
from tenancy.models import Organization, RetiredSlug, State

# Tables, foreign keys and the like that one transaction drops: a table takes some twenty of
# PostgreSQL's locks, of which a server as it is installed has 6,400 for everybody.
BATCH = 10

STEPS = steps.declare(
    "delete",
    "state changed",
    "closed",
    "cache emptied",
    "files deleted",
    "batch dropped",
    "schema dropped",
    "role dropped",
    "finished",
)


def delete(organization: Organization, *, actor: str | None = None) -> None:
    """
    Delete its cache, its files, its tables, its schema and its role; its name is kept.

    There is no way back. From the first step on it answers 410, and what was not finished is
    finished by asking again, or by `reconcile`. Raise InvalidTransition for a hold, also for
    one that comes while this goes on; UnableToProvision when PostgreSQL refuses, and then
    what was dropped before is gone.
    """
    match edges.state_of(organization):
        case State.DELETED:
            return
        case State.REQUESTED | State.PROVISIONING:
            abandon(organization, actor=actor)
        case _:
            edges.go(edges.BEGIN_DELETION, organization, actor=actor)
            _go_on(organization, actor)


def delete_when_due(organization: Organization, *, actor: str | None = None) -> None:
    """Delete it as `delete` does, if it is let go and its grace is over at this moment."""
    is_due = Q(delete_after__lte=timezone.now())
    edges.go(edges.END_GRACE, organization, actor=actor, where=is_due)
    _go_on(organization, actor)


def _go_on(organization: Organization, actor: str | None) -> None:
    steps.reached("delete: state changed")
    try:
        _close(organization)
        _empty(organization)
        _drop(organization)
        _finish(organization, actor)
    except InvalidTransition as error:
        edges.record_refusal(edges.FINISH_DELETION, organization, error, actor=actor)
        raise
    except DatabaseError as error:
        raise UnableToProvision(
            f"{organization.slug!r} is not deleted in full: {edges.primary_message(error)} "
            f"Type: manage.py reconcile_tenants {organization.slug}"
        ) from error


def abandon(organization: Organization, *, actor: str | None = None) -> None:
    """
    Remove what was asked for and never made; its name is free at once.

    Raise InvalidTransition when it has been made meanwhile.
    """
    using = settings.DDL_DATABASE
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic(using=using):
        edges.go(edges.ABANDON, organization, actor=actor, using=using)
        get_tenant_model()._default_manager.using(using).filter(pk=organization.pk).delete()


def purge(organization: Organization, *, actor: str | None = None) -> None:
    """
    Forget a deleted tenant, so that its name is free for another.

    Raise InvalidTransition when it is not deleted, or on hold.
    """
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic():
        edges.lock(organization)
        rows = get_tenant_model()._default_manager.filter(
            pk=organization.pk, state=State.DELETED, is_on_hold=False
        )
        if not rows.exists():
            raise InvalidTransition(f"{organization.slug!r} is not deleted: its name is in use.")
        audit.record("organization.forgotten", organization=organization, actor=actor)
        RetiredSlug.objects.filter(organization=str(organization.pk)).delete()
        rows.delete()


def _close(organization: Organization) -> None:
    """Shut out processes that remember it, before they see half of it."""
    with _undisturbed(organization):
        schemas.close(connections[settings.DDL_DATABASE], organization.schema_name)
    steps.reached("delete: closed")


def _empty(organization: Organization) -> None:
    """Delete what is not in the database, while its row still says whose that is."""
    with context.override(organization.as_active()):
        cache.clear_all()
        steps.reached("delete: cache emptied")
        storage.delete_all()
        steps.reached("delete: files deleted")


def _drop(organization: Organization) -> None:
    connection = connections[settings.DDL_DATABASE]
    schema = organization.schema_name
    while _drop_batch(organization):
        steps.reached("delete: batch dropped")
    with _undisturbed(organization):
        schemas.drop_schema(connection, schema)
    steps.reached("delete: schema dropped")
    with _undisturbed(organization):
        schemas.drop_role(connection, schema)
    steps.reached("delete: role dropped")


def _drop_batch(organization: Organization) -> bool:
    """Drop some of what its schema holds; return whether there was any."""
    connection = connections[settings.DDL_DATABASE]
    with _undisturbed(organization), connection.cursor() as cursor:
        drops = schemas.list_drops(connection, organization.schema_name, most=BATCH)
        for statement in drops:
            cursor.execute(statement)
    return bool(drops)


@contextmanager
def _undisturbed(organization: Organization) -> Iterator[None]:
    """
    A transaction of the owner's in which nobody else deletes it, or puts it on hold.

    Raise InvalidTransition for a hold that came before.
    """
    using = settings.DDL_DATABASE
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic(using=using):
        edges.lock(organization, using=using)
        row = edges.row_of(organization, using=using)
        if row.is_on_hold or row.state not in (State.DELETING, State.DELETED):
            raise InvalidTransition(edges.why_not(edges.FINISH_DELETION, row))
        yield


def _finish(organization: Organization, actor: str | None) -> None:
    """Give back its hosts and keep of the row what keeps its name from being reused."""
    using = settings.DDL_DATABASE
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic(using=using):
        domains = get_tenant_domain_model()._default_manager.using(using)
        edges.go(
            edges.FINISH_DELETION,
            organization,
            actor=actor,
            using=using,
            name=organization.slug,
            state_reason="",
            hold_reason="",
            delete_after=None,
        )
        domains.filter(tenant_id=organization.pk).delete()
    steps.reached("delete: finished")
