"""
From which state may a tenant go to which, and what else changes on the way?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, models, transaction
from django.db.models import Q
from django.utils import timezone
from django_tenants.utils import get_tenant_model

from tenancy import audit, context, locks, tenants
from tenancy.conf import settings
from tenancy.errors import InvalidTransition, TenantNotFound
from tenancy.models import STATES_GONE, STATES_TO_COME, STATES_WITH_SCHEMA, Organization, State

Details = Mapping[str, Any]

NONE: Details = MappingProxyType({})
EVERYWHERE = Q()


@dataclass(frozen=True)
class Edge:
    """A way from one of `sources` to `target`; `action` is what the audit log calls it."""

    action: str
    sources: tuple[State, ...]
    target: State
    is_forbidden_by_hold: bool = False


SUSPEND = Edge(
    "organization.suspended",
    (State.ACTIVE, State.MAINTENANCE),
    State.SUSPENDED,
)
BEGIN_MAINTENANCE = Edge(
    "organization.maintenance_began",
    (State.ACTIVE,),
    State.MAINTENANCE,
)
RESUME = Edge(
    "organization.resumed",
    (State.SUSPENDED, State.MAINTENANCE, State.OFFBOARDING),
    State.ACTIVE,
)
OFFBOARD = Edge(
    "organization.offboarded",
    (State.ACTIVE, State.SUSPENDED, State.MAINTENANCE),
    State.OFFBOARDING,
    is_forbidden_by_hold=True,
)
# Nothing of it is there but its row: a schema of that name would be somebody else's.
ABANDON = Edge(
    "organization.abandoned",
    STATES_TO_COME,
    State.DELETED,
    is_forbidden_by_hold=True,
)
END_GRACE = Edge(
    "organization.deletion_began",
    (State.OFFBOARDING,),
    State.DELETING,
    is_forbidden_by_hold=True,
)
BEGIN_DELETION = Edge(
    "organization.deletion_began",
    STATES_WITH_SCHEMA,
    State.DELETING,
    is_forbidden_by_hold=True,
)
FINISH_DELETION = Edge(
    "organization.deleted",
    (State.DELETING,),
    State.DELETED,
    is_forbidden_by_hold=True,
)
# `tenancy.provisioning` has the edges from requested to active.
EDGES = (
    SUSPEND,
    BEGIN_MAINTENANCE,
    RESUME,
    OFFBOARD,
    END_GRACE,
    ABANDON,
    BEGIN_DELETION,
    FINISH_DELETION,
)


def suspend(organization: Organization, *, reason: str = "", actor: str | None = None) -> None:
    """
    Turn away its requests and tasks from now on, telling those who ask `reason`.

    Nothing of its data is touched. A process that found it a moment ago may serve it for
    as long as TENANCY_RESOLVER_MEMORY. Raise InvalidTransition, as all of these.
    """
    reason = _sentence("state_reason", reason)
    go(SUSPEND, organization, actor=actor, details={"reason": reason}, state_reason=reason)


def begin_maintenance(
    organization: Organization, *, reason: str = "", actor: str | None = None
) -> None:
    """Turn away requests and tasks for some minutes; operators may go in meanwhile."""
    reason = _sentence("state_reason", reason)
    details = {"reason": reason}
    go(BEGIN_MAINTENANCE, organization, actor=actor, details=details, state_reason=reason)


def resume(organization: Organization, *, actor: str | None = None) -> None:
    """Serve it again: a suspension, a maintenance or an offboarding ends."""
    is_whole = Q(files_from=None)
    go(RESUME, organization, actor=actor, where=is_whole, state_reason="", delete_after=None)


def offboard(organization: Organization, *, reason: str = "", actor: str | None = None) -> datetime:
    """
    Turn it away, and let it be deleted when TENANCY_GRACE is over; return when that is.

    Until then `resume` brings it back as it was. Asked again, the grace does not begin anew.
    """
    reason = _sentence("state_reason", reason)
    delete_after = timezone.now() + settings.GRACE
    go(
        OFFBOARD,
        organization,
        actor=actor,
        details={"reason": reason, "delete_after": delete_after},
        state_reason=reason,
        delete_after=delete_after,
    )
    return organization.delete_after or delete_after


def hold(organization: Organization, *, reason: str = "", actor: str | None = None) -> None:
    """
    Forbid that anything of it is deleted, whatever its state is or becomes.

    What is being deleted at this moment is left as far as it is.
    """
    reason = _sentence("hold_reason", reason)
    if state_of(organization) == State.DELETED:
        raise InvalidTransition(f"{organization.slug!r} was deleted: there is nothing to hold.")
    details = {"reason": reason}
    _mark(organization, "organization.held", actor, details, is_on_hold=True, hold_reason=reason)


def release(organization: Organization, *, actor: str | None = None) -> None:
    """Lift the hold; a deletion that it kept from happening is for `reconcile` to go on with."""
    _mark(organization, "organization.released", actor, NONE, is_on_hold=False, hold_reason="")


def go(
    edge: Edge,
    organization: Organization,
    *,
    actor: str | None,
    details: Details = NONE,
    using: str = DEFAULT_DB_ALIAS,
    where: Q = EVERYWHERE,
    **columns: Any,
) -> bool:
    """
    Take `edge` and set `columns`, in one transaction with its record; return whether it was taken.

    It is not where the tenant is there already. Raise InvalidTransition from any other state
    than its sources, `where` it may not be taken, and for a hold that forbids it;
    TenantNotFound when there is no such row.
    """
    with context.override(context.PLATFORM, in_transaction=True):
        try:
            with transaction.atomic(using=using):
                lock(organization, using=using)
                before = row_of(organization, using=using)
                is_taken = before.state != edge.target
                if is_taken:
                    _take(edge, before, where, columns, using)
                    audit.record(
                        edge.action,
                        organization=before,
                        details=details,
                        actor=actor,
                        using=using,
                    )
        except InvalidTransition as error:
            record_refusal(edge, organization, error, actor=actor, using=using)
            raise
        refresh(organization, using=using)
    return is_taken


def _take(edge: Edge, before: Organization, where: Q, columns: dict[str, Any], using: str) -> None:
    rows = get_tenant_model()._default_manager.using(using)
    rows = rows.filter(where, pk=before.pk, state__in=edge.sources)
    if edge.is_forbidden_by_hold:
        rows = rows.filter(is_on_hold=False)
    # The row count decides, whatever was read before.
    if not rows.update(state=edge.target, state_changed_at=timezone.now(), **columns):
        raise InvalidTransition(why_not(edge, before))
    tenants.forget(before, using=using)


def _mark(
    organization: Organization, action: str, actor: str | None, details: Details, **columns: Any
) -> None:
    """Set `columns` unless they are so already, and record it; the state stays as it is."""
    with context.override(context.PLATFORM, in_transaction=True), transaction.atomic():
        lock(organization)
        before = row_of(organization, using=DEFAULT_DB_ALIAS)
        rows = get_tenant_model()._default_manager.using(DEFAULT_DB_ALIAS)
        if rows.filter(pk=before.pk).exclude(**columns).update(**columns):
            audit.record(action, organization=before, details=details, actor=actor)
            tenants.forget(before, using=DEFAULT_DB_ALIAS)
        refresh(organization)


def lock(organization: Organization, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Wait until nobody else changes it, in a transaction; the platform has to be active."""
    locks.acquire(f"organization:{organization.pk}", using=using)


def record_refusal(
    edge: Edge,
    organization: Organization,
    error: InvalidTransition,
    *,
    actor: str | None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Write down that somebody tried to delete what is on hold."""
    if edge.is_forbidden_by_hold:
        platform = context.override(context.PLATFORM, in_transaction=True)
        with platform, transaction.atomic(using=using):
            audit.record(
                "organization.deletion_refused",
                organization=organization,
                details={"why": str(error)},
                outcome=audit.Outcome.MINOR_FAILURE,
                actor=actor,
                using=using,
            )


def why_not(edge: Edge, organization: Organization) -> str:
    """Return why `edge` cannot be taken, and what to type instead."""
    slug, state = organization.slug, State(organization.state)
    if edge.is_forbidden_by_hold and organization.is_on_hold:
        why = f" ({organization.hold_reason})" if organization.hold_reason else ""
        return (
            f"{slug!r} is on hold{why}: nothing of it may be deleted. "
            f"When the hold is over, type: manage.py release_tenant {slug}"
        )
    if state in STATES_GONE:
        return f"{slug!r} is {state.value}, and does not come back."
    if state in STATES_TO_COME:
        return f"{slug!r} is {state.value}. Type: manage.py reconcile_tenants {slug}"
    if organization.files_from:
        return f"{slug!r} is being copied. Type: manage.py reconcile_tenants {slug}"
    if state == State.OFFBOARDING and edge is END_GRACE:
        return f"The grace of {slug!r} is not over. Type: manage.py delete_tenant {slug} --now"
    if state == State.ACTIVE:
        return f"{slug!r} is active. To delete it, type: manage.py delete_tenant {slug}"
    return (
        f"{slug!r} is {state.value}, from where there is no way to {edge.target.value!r}. "
        f"Type first: manage.py resume_tenant {slug}"
    )


def row_of(organization: Organization, *, using: str) -> Organization:
    """Return the row as it is now, or raise TenantNotFound."""
    rows = get_tenant_model()._default_manager.using(using)
    row: Organization | None = rows.filter(pk=organization.pk).first()
    if row is None:
        raise TenantNotFound(f"{organization.slug!r} has no row any more.")
    return row


def state_of(organization: Organization) -> State:
    """Return its state as it is now; what has no row is deleted."""
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager.filter(pk=organization.pk)
        return State(rows.values_list("state", flat=True).first() or State.DELETED)


def refresh(organization: Organization, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Let the caller's object say what the row says; it may have been another's change."""
    organization.refresh_from_db(using=using)
    organization._state.db = DEFAULT_DB_ALIAS


def _sentence(field: str, text: str) -> str:
    """Return `text`, or raise ValidationError when the column has no room for it."""
    column: models.Field[Any, Any] = get_tenant_model()._meta.get_field(field)
    return str(column.clean(text, None))


def primary_message(error: DatabaseError) -> str:
    """Return PostgreSQL's sentence without its DETAIL, in which there may be rows."""
    diagnosis = getattr(error.__cause__, "diag", None)
    said = diagnosis.message_primary if diagnosis else None
    return f"{said or type(error).__name__}."
