"""
How does a tenant come into service?

At once, with `provision`; or a web request asks for it with `request`, and a process that
has the owner's address does it with `carry_out`, which may be killed and called again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, transaction
from django.utils import timezone
from django_tenants.models import TenantMixin
from django_tenants.signals import post_schema_sync
from django_tenants.utils import get_tenant_domain_model, get_tenant_model

from tenancy import audit, context, locks, names, pool, schemas, steps, taken, tenants
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.errors import (
    NameTaken,
    TenancyError,
    TenantNotFound,
    UnableToLock,
    UnableToMigrate,
    UnableToProvision,
    UnableToRecord,
)
from tenancy.models import STATES_TO_COME, Organization, State
from tenancy.references import ReferenceSchema
from tenancy.rollout import executor, reference

logger = logging.getLogger("tenancy.provisioning")

# PostgreSQL, appendix A
UNDEFINED = ("42P01", "42703")  # a table, a column

PROVISION = steps.declare(
    "provision", "locked", "row written", "schema made", "recorded", "committed"
)
REQUEST = steps.declare("request", "locked", "row written", "recorded", "committed")
CARRY_OUT = steps.declare(
    "carry out", "begun", "locked", "schema made", "activated", "recorded", "committed"
)


def get_by_slug(slug: str) -> Organization:
    """Return the organization, or raise TenantNotFound naming those that are spelled like it."""
    with context.override(context.PLATFORM, in_transaction=True):
        organization = get_tenant_model()._default_manager.filter(slug=slug).first()
        if organization is None:
            raise tenants.not_found(slug)
    return cast("Organization", organization)


def provision(
    *,
    slug: str,
    name: str,
    domain: str | None = None,
    actor: str | None = None,
    fill: Callable[[Organization], object] = lambda organization: None,
) -> Organization:
    """
    Create an organization with its schema, its role and all its tables, or nothing at all.

    PostgreSQL's DDL is transactional: a failure or a kill at any step leaves neither row
    nor schema nor role. `fill` is called in the transaction, for rows to begin with. Raise
    InvalidName, NameTaken or UnableToProvision. A schema or a role that exists is never
    adopted, also when no organization has it: what is in it is somebody's data.
    """
    using = settings.DDL_DATABASE
    organization = _new(slug=slug, name=name)
    host = _host(domain)
    with context.override(context.PLATFORM, in_transaction=True), _explained(slug):
        found = reference.current(type=_active(organization).type)
        with transaction.atomic(using=using, durable=True):
            _lock(slug)
            steps.reached("provision: locked")
            _write(organization, host, using=using)
            steps.reached("provision: row written")
            _make_schema(organization, found)
            steps.reached("provision: schema made")
            fill(organization)
            audit.record(
                "organization.provisioned", organization=organization, actor=actor, using=using
            )
            steps.reached("provision: recorded")
        steps.reached("provision: committed")

    # Whatever is done with it from here on has no need of the owner's address, and Django
    # would use that also for what is related to it.
    organization._state.db = DEFAULT_DB_ALIAS
    return organization


def request(
    *, slug: str, name: str, domain: str | None = None, actor: str | None = None
) -> Organization:
    """
    Write down that an organization is wanted; `carry_out` makes it.

    For a web request: it runs no DDL. Raise as `provision` does. From now on the name is
    taken, also if nobody carries it out.
    """
    organization = _new(slug=slug, name=name)
    organization.state = State.REQUESTED
    organization.state_changed_at = timezone.now()
    host = _host(domain)
    with context.override(context.PLATFORM, in_transaction=True), _explained(slug):
        with transaction.atomic():
            _lock(slug, using=DEFAULT_DB_ALIAS)
            steps.reached("request: locked")
            _write(organization, host, using=DEFAULT_DB_ALIAS)
            steps.reached("request: row written")
            audit.record("organization.requested", organization=organization, actor=actor)
            steps.reached("request: recorded")
        steps.reached("request: committed")
    return organization


def carry_out(organization: Organization, *, actor: str | None = None) -> Organization:
    """
    Bring an organization that was requested into service; return it as it is then.

    Whoever was killed on the way, or could not, calls it again; of two at once one waits
    and finds it done. Raise NameTaken or UnableToProvision: then the row's state_reason
    says why, and everything else is as it was. Raise TenantNotFound when the row is gone.
    """
    using = settings.DDL_DATABASE
    with context.override(context.PLATFORM, in_transaction=True), _told(organization, actor):
        if _begin(organization, actor):
            steps.reached("carry out: begun")
        with _explained(organization.slug):
            found = reference.current(type=_active(organization).type)
            with transaction.atomic(using=using, durable=True):
                row = _lock_row(organization)
                steps.reached("carry out: locked")
                if row.state == State.PROVISIONING:
                    _activate(row, found, actor)
            steps.reached("carry out: committed")
        return _row(organization)


def forget_failure(organization: Organization) -> None:
    """Let its row no longer say what failed: somebody is asked to try again."""
    with context.override(context.PLATFORM, in_transaction=True):
        rows = _rows(DEFAULT_DB_ALIAS).filter(pk=organization.pk, state__in=STATES_TO_COME)
        rows.update(state_reason="", state_changed_at=timezone.now())


def why_not_free(*, slug: str, domain: str | None = None) -> str:
    """Return why nobody can have `slug` and `domain` now, "" if they are free; for a form."""
    try:
        with context.override(context.PLATFORM, in_transaction=True):
            organization = _new(slug=slug, name=slug)
            taken.check(organization, _host(domain), using=DEFAULT_DB_ALIAS)
    except TenancyError as error:
        return str(error)
    return ""


# The steps, in the order in which they are taken


def _new(*, slug: str, name: str) -> Organization:
    """Return an organization that is not saved, or raise InvalidName."""
    schema = names.schema_for(slug)
    names.check_identifier(schemas.role_for(connections[DEFAULT_DB_ALIAS], schema))
    organization: Organization = get_tenant_model()(slug=slug, name=name, schema_name=schema)
    return organization


def _host(domain: str | None) -> str | None:
    return names.canonical_host(domain) if domain else None


def _active(organization: Organization) -> ActiveTenant:
    return cast("ActiveTenant", tenants.as_active(organization))


def _rows(using: str) -> models.QuerySet[Any]:
    rows: models.QuerySet[Any] = get_tenant_model()._default_manager.using(using)
    return rows


def _lock(slug: str, *, using: str | None = None) -> None:
    """Wait until nobody else creates `slug`, however long that takes."""
    locks.acquire(f"slug:{slug}", timeout=None, using=using or settings.DDL_DATABASE)


def _write(organization: Organization, host: str | None, *, using: str) -> None:
    """Write its row, and that of its host, where nobody has any of its names."""
    taken.forget(taken.check(organization, host, using=using), using=using)
    organization.save(using=using, force_insert=True)
    if host:
        get_tenant_domain_model()(domain=host, tenant=organization).save(using=using)


def _make_schema(organization: Organization, found: ReferenceSchema) -> None:
    """Make its schema and its role: one that waits, or by the script, or by migrating."""
    connection = connections[settings.DDL_DATABASE]
    schema, tenant = organization.schema_name, organization.pk
    is_claimed = not found.fault and pool.claim(found.key, schema=schema, tenant=tenant)
    with context.override(_active(organization), in_transaction=True):
        if not is_claimed:
            schemas.create(connection, schema, tenant=tenant, script=found.script)
        if found.fault:
            logger.warning("%s is migrated from zero. %s", organization.slug, found.fault)
            executor.migrate_unused(_active(organization))
        # Of django-tenants: first data that depends on who the tenant is.
        post_schema_sync.send(sender=TenantMixin, tenant=organization.serializable_fields())


def _begin(organization: Organization, actor: str | None) -> bool:
    """Say that it is being made, for those who look on; return whether nobody had said so."""
    using = settings.DDL_DATABASE
    requested = _rows(using).filter(pk=organization.pk, state=State.REQUESTED)
    with transaction.atomic(using=using):
        is_first = requested.update(
            state=State.PROVISIONING, state_reason="", state_changed_at=timezone.now()
        )
        if is_first:
            audit.record(
                "organization.provisioning_began",
                organization=organization,
                actor=actor,
                using=using,
            )
    return bool(is_first)


def _lock_row(organization: Organization) -> Organization:
    using = settings.DDL_DATABASE
    _lock(organization.slug)
    # As whoever changes its state or deletes it.
    locks.acquire(f"organization:{organization.pk}", timeout=None, using=using)
    return _row(organization)


def _row(organization: Organization) -> Organization:
    row: Organization | None = _rows(settings.DDL_DATABASE).filter(pk=organization.pk).first()
    if row is None:
        raise TenantNotFound(f"{organization.slug!r} has no row any more.")
    return row


def _activate(row: Organization, found: ReferenceSchema, actor: str | None) -> None:
    using = settings.DDL_DATABASE
    taken.check_nothing_is_there(row.schema_name, using=using)
    _make_schema(row, found)
    steps.reached("carry out: schema made")
    row.state, row.state_reason, row.state_changed_at = State.ACTIVE, "", timezone.now()
    row.save(using=using, update_fields=["state", "state_reason", "state_changed_at"])
    steps.reached("carry out: activated")
    audit.record("organization.provisioned", organization=row, actor=actor, using=using)
    steps.reached("carry out: recorded")


# What is said of a failure


@contextmanager
def _explained(slug: str) -> Iterator[None]:
    """Raise what the block does not foresee as UnableToProvision, without any row's values."""
    try:
        yield
    except (DatabaseError, UnableToLock, UnableToMigrate, UnableToRecord) as error:
        raise UnableToProvision(f"{slug!r} could not be created: {_why(error)}") from error


def _why(error: Exception) -> str:
    cause: Any = error
    while cause.__cause__ is not None and not hasattr(cause, "sqlstate"):
        cause = cause.__cause__
    if getattr(cause, "sqlstate", None) in UNDEFINED:
        return "the public schema lacks tables. Type: manage.py migrate_schemas --shared"
    # Not PostgreSQL's DETAIL, in which there may be rows.
    said = (
        cause.diag.message_primary
        if isinstance(error, DatabaseError) and cause is not error
        else None
    )
    return f"{said or error}"


@contextmanager
def _told(organization: Organization, actor: str | None) -> Iterator[None]:
    """Let the row and the audit log say why the block failed, as long as it is not done."""
    using = settings.DDL_DATABASE
    try:
        yield
    except (NameTaken, UnableToProvision) as error:
        column: Any = get_tenant_model()._meta.get_field("state_reason")
        is_open = _rows(using).filter(pk=organization.pk, state=State.PROVISIONING)
        # Where there is no audit log, that is why it failed.
        if is_open.update(state_reason=str(error)[: column.max_length]):
            with suppress(UnableToRecord):
                audit.record(
                    "organization.provisioning_failed",
                    organization=organization,
                    details={"why": str(error)},
                    outcome=audit.Outcome.SERIOUS_FAILURE,
                    actor=actor,
                    using=using,
                )
        raise
