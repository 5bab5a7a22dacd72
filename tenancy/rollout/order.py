"""
What is to be done to the fleet, and to whom of it?
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.db import DatabaseError, connections, models

from tenancy import context, tenants
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.ledger import How, MigrationRun
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import plan
from tenancy.rollout.plan import Goal, Group, Key
from tenancy.rollout.replay import LOCK_TIMEOUT

MILLISECOND = timedelta(milliseconds=1)
UNDEFINED = ("42P01", "42703")  # a table or a column, PostgreSQL's appendix A

# Of Django's `migrate`: what these do is not in the migrations, so that nobody is passed over.
EVERYWHERE = ("prune", "run_syncdb")


def default_jobs() -> int:
    """Return how many schemas are migrated at once unless somebody says."""
    return max(2, os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for; a run that is resumed finds it in the ledger."""

    public: bool = True
    tenants: bool = True
    goal: Goal | None = None
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)
    """Those of Django's `migrate`, which then does all of it."""
    canary: int = 0
    waves: str = ""
    jobs: int = field(default_factory=default_jobs)
    stop_after_failures: int | None = None
    lock_timeout: int = round(LOCK_TIMEOUT / MILLISECOND)
    """Milliseconds: so long a migration may stand in front of requests that come after it."""

    @classmethod
    def of(cls, run: MigrationRun) -> Order:
        """Return what `run` was asked for."""
        options = dict(run.options)
        goal = options.pop("goal", None)
        return cls(goal=(goal[0], goal[1]) if goal else None, **options)

    @property
    def flag(self) -> str:
        """Those of its flags that are given, as they are typed."""
        return " ".join(f"--{name.replace('_', '-')}" for name in self.flags if self.flags[name])

    @property
    def goes_everywhere(self) -> bool:
        """Whether a schema may have something to be done though it lacks no migration."""
        return any(self.flags.get(name) for name in EVERYWHERE)

    @property
    def arguments(self) -> list[str]:
        """What Django's `migrate` is given for the goal."""
        return [part for part in self.goal or () if part]


@dataclass(frozen=True)
class Survey:
    """Who is not yet where an order brings them."""

    public: Group | None
    groups: Sequence[Group]
    schemas: int
    """How many were asked, public among them."""
    are_tenants_known: bool = True
    """Not while the public schema lacks what their rows are read with."""

    @property
    def behind(self) -> int:
        return bool(self.public) + sum(len(group.targets) for group in self.groups)

    def steps_forward(self) -> set[Key]:
        """Return the migrations that would be run somewhere, without those to be undone."""
        groups = [*self.groups, *([self.public] if self.public else [])]
        return {step.key for group in groups for step in group.steps if not step.backwards}


def survey(order: Order) -> Survey:
    """
    Return who is not where `order` brings them, with a few queries whatever the fleet.

    Raise TenantNotFound for a name that nobody has, and UnableToMigrate for a goal that there
    is not.
    """
    public = survey_public(order)
    if not order.tenants:
        return Survey(public, (), schemas=1)
    try:
        targets = list_targets(order)
    except DatabaseError as error:
        if not public or getattr(error.__cause__, "sqlstate", None) not in UNDEFINED:
            raise
        return Survey(public, (), schemas=1, are_tenants_known=False)
    return Survey(public, survey_tenants(order, targets), schemas=len(targets) + order.public)


def survey_public(order: Order) -> Group | None:
    """Return what the public schema lacks: what was applied there is read as a tenant's is."""
    if not order.public:
        return None
    groups = survey_tenants(order, [ActiveTenant(None, PUBLIC_SCHEMA)])
    return groups[0] if groups else None


def survey_tenants(order: Order, targets: Sequence[ActiveTenant]) -> list[Group]:
    """Return what is to be done for those of `targets` that are not where `order` brings them."""
    if order.goes_everywhere:
        return [Group(tuple(targets), (), How.MIGRATE, order.flag)] if targets else []
    groups = plan.make(connections[settings.DDL_DATABASE], targets, goal=order.goal)
    if order.flag:
        return [replace(group, how=How.MIGRATE, why=order.flag) for group in groups]
    return groups


def list_targets(order: Order) -> list[ActiveTenant]:
    """Return the tenants that `order` is about; raise TenantNotFound for an unknown name."""
    with context.override(context.PLATFORM, in_transaction=True):
        rows = tenants.having_schema(using=settings.DDL_DATABASE)
        if order.only:
            rows = rows.filter(_is_called(order.only))
        targets = [tenants.as_active(row) for row in rows]
    found = [target for target in targets if isinstance(target, ActiveTenant)]
    known = {name for target in found for name in (target.slug, target.schema)}
    for name in order.only:
        if name not in known:
            raise tenants.not_found(name)
    return [each for each in found if not {each.slug, each.schema} & set(order.exclude)]


def _is_called(names: Iterable[str]) -> models.Q:
    is_called = models.Q(schema_name__in=names)
    return is_called | models.Q(slug__in=names) if tenants.has_slug() else is_called
