"""
What was done, to which tenant, and by whom?

    with transaction.atomic():
        organization.suspend()
        audit.record("organization.suspended", organization=organization)

The record is written in the transaction of the deed: both are committed, or neither is. It
can be changed by nobody who logs in, see `tenancy.audit_schema`.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, TypeAlias

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models
from django.http import HttpRequest

from tenancy import audit_schema, compat, context, schemas
from tenancy.context import ActiveTenant, Target
from tenancy.errors import UnableToRecord

logger = logging.getLogger("tenancy.audit")

RECORD = """
    SELECT audit.record(
        %(action)s, %(kind)s, %(tenant)s, %(actor)s, %(outcome)s::smallint, %(ctx)s,
        %(table)s, %(pk)s, %(patient)s, %(changed)s
    )
"""

IS_THERE = "SELECT to_regclass('audit.event') IS NOT NULL"
MAKE_PARTITIONS = "SELECT audit.make_partitions(%(months)s)"
TENANTS_OF_ROLES = """
    SELECT rolname, audit.tenant_of(rolname)
      FROM pg_catalog.pg_roles
     WHERE rolname = ANY(%(roles)s)
"""

# PostgreSQL, appendix A
NO_PARTITION = "23514"
MISSING = {"3F000", "42P01", "42883"}  # the schema, the table, the function


class Kind(models.TextChoices):
    """What was done to a thing: something, or one row was created, read, and so on."""

    EXECUTED = "E"
    CREATED = "C"
    READ = "R"
    UPDATED = "U"
    DELETED = "D"


class Outcome(models.IntegerChoices):
    """How it ended, as FHIR's AuditEvent.outcome has it."""

    SUCCESS = 0
    MINOR_FAILURE = 4, "refused"
    SERIOUS_FAILURE = 8, "failed"
    MAJOR_FAILURE = 12, "failed, and much with it"


class AuditEvent(models.Model):
    """
    One record, to be read: a tenant finds its own here and the platform all of them.

    Its table is no migration's: tenancy.roles.bootstrap_sql() makes it. Whoever would save or
    delete one is refused by PostgreSQL; record() writes.
    """

    objects: ClassVar[models.Manager[AuditEvent]]

    seq = models.BigIntegerField("number", primary_key=True)
    at = models.DateTimeField("time")
    tenant = models.TextField(help_text="The organization's id, or 'platform'.")
    action = models.TextField()
    kind = models.CharField(max_length=1, choices=Kind)
    actor = models.TextField()
    outcome = models.SmallIntegerField(choices=Outcome)
    table = models.TextField(null=True, db_column="tbl")  # noqa: DJ001  # not Django's table
    object_id = models.TextField(null=True, db_column="pk")  # noqa: DJ001  # likewise
    changed = models.JSONField(null=True)
    details = models.JSONField(db_column="ctx")
    transaction = models.TextField(db_column="tx", help_text="PostgreSQL's number of it.")

    class Meta:
        managed = False
        app_label = "tenancy"
        db_table = '"audit"."event"'
        default_permissions = ("view",)
        ordering = ["-seq"]

    def __str__(self) -> str:
        return f"{self.action} ({self.seq})"


Actor: TypeAlias = str | Callable[[], str]


@dataclass(frozen=True, slots=True)
class _Acting:
    actor: Actor
    where: Mapping[str, str] = field(default_factory=dict)


_acting: ContextVar[_Acting | None] = ContextVar("tenancy.audit.acting", default=None)


def record(
    action: str,
    *,
    organization: Any = None,
    kind: str = "E",
    details: Mapping[str, Any] = {},  # never changed
    outcome: int = Outcome.SUCCESS,
    actor: str | None = None,
    table: str | None = None,
    pk: object = None,
    changed: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """
    Record that `action` was done, by `actor` or by whoever is acting.

    One statement in the transaction that is open at `using`, as whoever is active there. A
    tenant's record is its own, whatever `organization` is; the platform's is that
    organization's, or no tenant's. Actions are spelled `organization.suspended`: what, and what
    was done to it. `details`, `table`, `pk` and `changed` say which object and which fields:
    **no patient's data**, operators read them.

    Raise UnableToRecord, and let it roll the deed back: what cannot be recorded is not done.
    """
    if kind not in Kind.values:
        raise ValueError(f"kind is {kind!r}; use one of {', '.join(Kind.values)}.")
    ctx = {**_where(), **_naming(organization), **details}
    values = {
        "action": action,
        "kind": str(kind),
        "tenant": None if organization is None else str(organization.pk),
        "actor": actor or current_actor(),
        "outcome": int(outcome),
        "ctx": _json(ctx),
        "table": table,
        "pk": None if pk is None else str(pk),
        "patient": None,
        "changed": None if changed is None else _json(changed),
    }
    if compat.is_on("no_roles"):
        # A table that the application's login can empty is no audit log.
        logger.info("%(action)s", values, extra={"event": values})
        return
    _write(values, using)


def _write(values: Mapping[str, Any], using: str) -> None:
    try:
        with connections[using].cursor() as cursor:
            cursor.execute(RECORD, values)
    except DatabaseError as error:
        raise UnableToRecord(
            f"{values['action']!r} could not be recorded, and so is not done: {_why(error)}"
        ) from error


def _why(error: DatabaseError) -> str:
    # Not str(error): PostgreSQL's detail has the row in it.
    cause: Any = error.__cause__
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate in MISSING:
        return (
            "the database has no audit log, or an older one. Run as a superuser what "
            "tenancy.roles.bootstrap_sql() returns; on the local stack 'make run' does so."
        )
    if sqlstate == NO_PARTITION:
        return "the audit log has no partition for now. Type: manage.py migrate_schemas --shared"
    diagnosis = getattr(cause, "diag", None)
    said = [getattr(diagnosis, part, None) for part in ("message_primary", "message_hint")]
    return " ".join(filter(None, said)) or type(error).__name__


def prepare(whose: Mapping[str, object], *, using: str) -> None:
    """
    Make the partitions of the coming months, and let the roles of schemas say whose they are.

    `whose` has the tenant's id for each schema. At the owner's address; does nothing where the
    database has no audit log (tenancy.E065 says so).
    """
    if compat.is_on("no_roles"):
        return
    connection = connections[using]
    by_role = {schemas.role_for(connection, schema): schema for schema in whose}
    with connection.cursor() as cursor:
        cursor.execute(IS_THERE)
        if not cursor.fetchone()[0]:
            return
        cursor.execute(MAKE_PARTITIONS, {"months": audit_schema.MONTHS_AHEAD})
        cursor.execute(TENANTS_OF_ROLES, {"roles": list(by_role)})
        said = cursor.fetchall()
    for role, tenant in said:
        schema = by_role[role]
        if tenant != str(whose[schema]):
            schemas.assign(connection, schema, whose[schema])


@contextmanager
def acting(actor: Actor, *, where: Mapping[str, str] | None = None) -> Iterator[None]:
    """
    Let what is recorded inside the block have been done by `actor`, then by who did before.

    A function instead of a name is asked when something is recorded. `where` is added to the
    details of each record.
    """
    token = _acting.set(_Acting(actor, where or {}))
    try:
        yield
    finally:
        _acting.reset(token)


def current_actor() -> str:
    """
    Return who is acting, for the audit log.

    Of a request that is its user, as `platform user 1: anna`; of a task `system: ` and its
    name; of everything else the account and the machine that the process runs as.
    """
    said = _acting.get()
    if said is None:
        return _account()
    return said.actor() if callable(said.actor) else said.actor


def user_of(request: HttpRequest, target: Target) -> str:
    """
    Return who sends `request`, which is `target`'s: `platform user 1: anna`, `elm user 7: kim`.

    Whose user it is comes first, where no name that somebody chose can take its place.
    """
    realm = target.slug or target.schema if isinstance(target, ActiveTenant) else target.value
    # Who it is may have to be asked for, and is a row of the request's own tenant.
    with context.override(target, in_transaction=True):
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            return f"{realm} anonymous"
        return f"{realm} user {user.pk}: {_printable(user.get_username())}"


def _printable(name: object) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(name))


def _where() -> Mapping[str, str]:
    said = _acting.get()
    return said.where if said else {}


def _naming(organization: Any) -> Mapping[str, str]:
    """What it is called now: later it may have another name, or be gone."""
    if organization is None:
        return {}
    name = getattr(organization, "slug", "") or getattr(organization, "schema_name", "")
    return {"organization": str(name)}


@cache
def _account() -> str:
    try:
        # Not from the environment, which is whatever somebody set.
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), cls=DjangoJSONEncoder)
