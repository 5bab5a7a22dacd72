"""
What was begun and not finished, and what is due?

Whatever makes, copies or deletes a tenant may be killed at any step. What is left says by its
state what is to be done, and this does it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models
from django.utils import timezone
from django_tenants.utils import get_tenant_model

from tenancy import context, pool, provisioning, schemas
from tenancy.conf import settings
from tenancy.errors import TenancyError
from tenancy.lifecycle import cloning, deletion, edges
from tenancy.models import STATES_TO_COME, Organization, RetiredSlug, State
from tenancy.references import WarmSchema

_IN_BETWEEN = (State.MAINTENANCE, State.OFFBOARDING, State.DELETING, State.DELETED)


@dataclass(frozen=True)
class Finding:
    """Something that was left. `error` says why it is left still, "" when nothing went wrong."""

    subject: str
    what: str
    is_done: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Task:
    subject: str
    what: str
    do: Callable[[], object] | None
    """None where that is for people to decide."""


def reconcile(slugs: Collection[str] = (), *, dry_run: bool = False) -> Iterator[Finding]:
    """
    Finish or remove what was left, of the tenants `slugs` or of all; yield each as it is done.

    One that fails stops no other. Schemas and roles that nobody has are only told: what is
    in them is somebody's data. May be killed, and run twice at once.
    """
    for task in _list(slugs):
        yield _carry_out(task, dry_run)


def _carry_out(task: _Task, dry_run: bool) -> Finding:
    if task.do is None or dry_run:
        return Finding(task.subject, task.what)
    try:
        task.do()
    except TenancyError as error:
        return Finding(task.subject, task.what, error=str(error))
    except DatabaseError as error:
        return Finding(task.subject, task.what, error=edges.primary_message(error))
    return Finding(task.subject, task.what, is_done=True)


def _list(slugs: Collection[str]) -> Iterator[_Task]:
    """Yield what is to be done; asked anew for each part, as the one before changes it."""
    for organization in _rows(slugs):
        if task := _of(organization):
            yield task
    yield from _list_retired(slugs)
    if not slugs:
        yield from _list_of_pool()
        yield from _list_orphans()


def _rows(slugs: Collection[str]) -> list[Organization]:
    left = [*STATES_TO_COME, *_IN_BETWEEN]
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager.filter(state__in=left)
        return list((rows.filter(slug__in=slugs) if slugs else rows).order_by("created_at"))


def _of(organization: Organization) -> _Task | None:
    task = partial(_Task, organization.slug)
    now = timezone.now()
    match organization.state:
        case State.REQUESTED | State.PROVISIONING:
            return task("make it", partial(provisioning.carry_out, organization))
        case State.MAINTENANCE if organization.files_from:
            return task("copy the rest of its files", partial(cloning.finish, organization))
        case State.DELETING if organization.is_on_hold:
            return task("on hold while it is being deleted", None)
        case State.DELETING:
            return task("go on deleting it", partial(deletion.delete, organization))
        case State.OFFBOARDING if organization.delete_after and organization.delete_after <= now:
            if organization.is_on_hold:
                return task("its grace is over, and it is on hold", None)
            due = partial(deletion.delete_when_due, organization)
            return task("its grace is over: delete it", due)
        case State.DELETED if _is_long_ago(organization) and not organization.is_on_hold:
            return task("its name may be used again", partial(deletion.purge, organization))
    return None


def _is_long_ago(organization: Organization) -> bool:
    deleted_at = organization.state_changed_at
    return deleted_at is not None and deleted_at + settings.SLUG_RETIREMENT <= timezone.now()


def _list_retired(slugs: Collection[str]) -> Iterator[_Task]:
    until = timezone.now() - settings.SLUG_RETIREMENT
    with context.override(context.PLATFORM, in_transaction=True):
        rows: models.QuerySet[RetiredSlug] = RetiredSlug.objects.filter(retired_at__lte=until)
        retired = list(rows.filter(slug__in=slugs) if slugs else rows)
    for row in retired:
        yield _Task(row.slug, "its old name may be used again", partial(_free, row))


def _free(row: RetiredSlug) -> None:
    with context.override(context.PLATFORM, in_transaction=True):
        row.delete()


def _list_of_pool() -> Iterator[_Task]:
    with context.override(context.PLATFORM, in_transaction=True):
        is_used = settings.WARM_POOL or WarmSchema.objects.exists()
    if is_used:
        yield _Task("warm pool", "drop what is of another release", pool.discard_stale)
        yield _Task("warm pool", f"fill it to {settings.WARM_POOL}", pool.fill)


def _list_orphans() -> Iterator[_Task]:
    connection = connections[settings.DDL_DATABASE]
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager.using(DEFAULT_DB_ALIAS)
        known = set(rows.exclude(state=State.DELETED).values_list("schema_name", flat=True))
        known |= set(WarmSchema.objects.values_list("schema_name", flat=True))
        orphans = [name for name in schemas.list_all(connection) if name not in known]
        roles = [name for name in schemas.list_roles(connection) if name not in known]
    for name in orphans:
        yield _Task(name, "a schema that nobody has; look into it, and drop it by hand", None)
    for name in roles:
        if name not in orphans:
            role = schemas.role_for(connection, name)
            yield _Task(role, "a role that nobody has; drop it by hand", None)
