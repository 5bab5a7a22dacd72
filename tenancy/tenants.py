"""
Who is this tenant, and may it be worked for?

What is found is remembered in the cache, also that nothing was found, and forgotten when a
tenant or a domain changes; what was found a moment ago this process knows by itself. Works
with any TENANT_MODEL: what only tenancy's own has (a slug, a state) is used where it is.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache as cache_forever
from time import monotonic
from typing import Any, TypeAlias

from django.core.cache import cache
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, models, transaction
from django_tenants.utils import (
    get_public_schema_name,
    get_tenant_domain_model,
    get_tenant_model,
    has_multi_type_tenants,
)

from tenancy import context, process_cache
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.errors import TenantGone, TenantNotFound, TenantUnavailable
from tenancy.models import (
    STATES_GONE,
    STATES_TO_COME,
    STATES_UNAVAILABLE,
    STATES_WITH_SCHEMA,
    State,
)

# A row of TENANT_MODEL, whichever that is.
Tenant: TypeAlias = Any

# By what a tenant is looked up, and the question that this is for TENANT_MODEL.
LOOKUPS = {"pk": "pk", "slug": "slug", "schema": "schema_name", "domain": "domains__domain"}

# The `state` of a TenantUnavailable that is over with the next request.
MOVED = "moved"

# Of all tenants, where none is spelled like the one that was typed.
MOST_NAMED = 8

# What this process found, and until when it believes it. What nobody is called is not kept:
# anybody can make it up.
_found: dict[str, tuple[float, dict[str, Any]]] = {}


def as_active(tenant: Tenant) -> Target:
    """Return what `context.override` wants to know of a row of TENANT_MODEL."""
    schema = tenant.schema_name
    if schema == get_public_schema_name():
        return context.PLATFORM
    return ActiveTenant(
        id=tenant.pk,
        schema=schema,
        slug=str(getattr(tenant, "slug", "")),
        name=str(getattr(tenant, "name", "")),
        type=str(tenant.get_tenant_type()) if has_multi_type_tenants() else "",
    )


def find(identity: object) -> ActiveTenant:
    """
    Return the tenant that has this primary key, for work that is no request.

    Raise TenantNotFound when there is none, and what `check_served` raises. A change
    elsewhere is seen after TENANCY_RESOLVER_MEMORY.
    """
    tenant = look_up("pk", identity)
    active = as_active(tenant) if tenant is not None else None
    if not isinstance(active, ActiveTenant):
        raise TenantNotFound(f"No tenant has the id {str(identity)!r}.")
    check_served(tenant)
    return active


def check_served(tenant: Tenant) -> None:
    """
    Raise what keeps `tenant` from being worked for now, if anything does.

    TenantNotFound when it is not there yet, TenantUnavailable when it may come back,
    TenantGone when it does not.
    """
    state = getattr(tenant, "state", State.ACTIVE)
    slug = getattr(tenant, "slug", "")
    if state in STATES_TO_COME:
        raise TenantNotFound(
            f"{tenant} is {state} and not there yet. Type: manage.py reconcile_tenants {slug}"
        )
    if state in STATES_UNAVAILABLE:
        raise TenantUnavailable(
            f"{tenant} is {_closed(state)}. Type: manage.py resume_tenant {slug}",
            state=state,
            reason=getattr(tenant, "state_reason", ""),
        )
    if state in STATES_GONE:
        raise TenantGone(f"{tenant} was deleted.")


def check_unchanged(tenant: Tenant) -> None:
    """
    Raise what keeps `tenant`, which was found a moment ago, from being worked for as it was.

    As `check_served` does, of its row as it is now; TenantUnavailable when it was renamed. What
    this process remembers of it is forgotten then. A database that does not answer tells nothing.
    """
    try:
        with context.override(context.PLATFORM, in_transaction=True):
            rows = get_tenant_model()._default_manager.using(DEFAULT_DB_ALIAS)
            now = rows.filter(pk=tenant.pk).first()
            if now is not None and _is_as_it_was(now, tenant):
                return
            forget(tenant, using=DEFAULT_DB_ALIAS)
    except DatabaseError:
        return
    if now is None:
        raise TenantNotFound(f"{tenant} has no row any more.")
    check_served(now)
    raise TenantUnavailable(f"{tenant} was renamed a moment ago. Ask again.", state=MOVED)


def _is_as_it_was(now: Tenant, before: Tenant) -> bool:
    if now.schema_name != before.schema_name:
        return False
    return not has_state() or bool(now.state == before.state)


def _closed(state: str) -> str:
    return "in maintenance" if state == State.MAINTENANCE else str(state)


def having_schema(*, using: str = DEFAULT_DB_ALIAS) -> models.QuerySet[Any]:
    """
    Return the rows of TENANT_MODEL whose schema is there and whole, served or not.

    Not those that are still to be made or are being deleted, and no row of the public schema.
    """
    rows: models.QuerySet[Any] = get_tenant_model()._default_manager.using(using)
    rows = rows.exclude(schema_name=get_public_schema_name())
    return rows.filter(state__in=STATES_WITH_SCHEMA) if has_state() else rows


def look_up(by: str, value: object) -> Tenant | None:
    """Return the row of TENANT_MODEL that `value` names, `by` one of LOOKUPS, or None."""
    key = f"tenant:{by}:{value}"
    until, facts = _found.get(key, (0.0, {}))
    if until <= monotonic():
        with context.override(context.PLATFORM, in_transaction=True):
            facts = _remembered(key, by, value)
        if facts:
            _found[key] = monotonic() + settings.RESOLVER_MEMORY.total_seconds(), facts
    return _from_facts(facts) if facts else None


def get_by_name(name: str) -> Tenant:
    """
    Return the row of TENANT_MODEL whose slug or schema is `name`, as it is now.

    Raise TenantNotFound, naming those that are spelled like it.
    """
    is_called = models.Q(schema_name=name)
    if has_slug():
        is_called |= models.Q(slug=name)
    with context.override(context.PLATFORM, in_transaction=True):
        tenant = get_tenant_model()._default_manager.filter(is_called).first()
        if tenant is None:
            raise not_found(name)
    return tenant


def not_found(name: str) -> TenantNotFound:
    """Return the error for a slug or schema that nobody has; who is like it is asked now."""
    field = "slug" if has_slug() else "schema_name"
    with context.override(context.PLATFORM, in_transaction=True):
        rows = having_schema()
        known = list(rows.order_by(field).values_list(field, flat=True))
    if near := get_close_matches(name, known):
        hint = f"Did you mean {' or '.join(map(repr, near))}?"
    elif known:
        hint = f"There are: {', '.join(known[:MOST_NAMED])}{', ...' * (len(known) > MOST_NAMED)}."
    else:
        hint = "There is none yet."
    return TenantNotFound(
        f"No organization has the slug {name!r}. {hint} "
        "Make one with: manage.py create_tenant SLUG --name NAME"
    )


@cache_forever
def has_slug() -> bool:
    """Tell whether TENANT_MODEL has a slug, as tenancy's own."""
    return _has_field("slug")


@cache_forever
def has_state() -> bool:
    """Tell whether TENANT_MODEL has a state, as tenancy's own."""
    return _has_field("state")


def _has_field(name: str) -> bool:
    try:
        get_tenant_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def _remembered(key: str, by: str, value: object) -> dict[str, Any]:
    facts: dict[str, Any] | None = cache.get(key)
    # A process of an older or newer release may know other columns.
    if facts is None or (facts and facts.keys() != set(_columns())):
        facts = _ask(by, value)
        cache.set(key, facts, timeout=settings.RESOLVER_TTL.total_seconds())
    return facts


def _ask(by: str, value: object) -> dict[str, Any]:
    rows = get_tenant_model()._default_manager.using(DEFAULT_DB_ALIAS)
    try:
        tenant = rows.filter(**{LOOKUPS[by]: value}).first()
    except (ValueError, ValidationError):
        return {}  # no key looks like this
    return {column: getattr(tenant, column) for column in _columns()} if tenant else {}


def _columns() -> list[str]:
    return [field.attname for field in get_tenant_model()._meta.concrete_fields]


def _from_facts(facts: dict[str, Any]) -> Tenant:
    tenant = get_tenant_model()(**facts)
    tenant._state.adding = False
    tenant._state.db = DEFAULT_DB_ALIAS
    return tenant


def forget_all() -> None:
    """Ask the cache again for every tenant, in this process."""
    _found.clear()


def _forget(names: list[tuple[str, object]], using: str | None) -> None:
    """Ask the database again for `names`, once the open transaction is committed."""
    keys = [f"tenant:{by}:{value}" for by, value in names]

    def delete() -> None:
        for key in keys:
            _found.pop(key, None)
        with context.override(context.PLATFORM):
            cache.delete_many(keys)

    transaction.on_commit(delete, using=using)


def forget(tenant: Tenant, *, using: str) -> None:
    """
    Ask for it again, by each of its names, once the open transaction is committed.

    For changes that send no signal. Another process goes on for TENANCY_RESOLVER_MEMORY.
    """
    process_cache.forget(as_active(tenant))
    domains = get_tenant_domain_model()._default_manager.using(using)
    hosts = domains.filter(tenant_id=tenant.pk).values_list("domain", flat=True)
    names: list[tuple[str, object]] = [("domain", host) for host in hosts]
    names += [("pk", tenant.pk), ("schema", tenant.schema_name)]
    if slug := getattr(tenant, "slug", ""):
        names.append(("slug", slug))
    _forget(names, using)


def forget_tenant(sender: type[models.Model], instance: Tenant, using: str, **kwargs: Any) -> None:
    """Signal handler: whatever was remembered of it may be wrong now."""
    forget(instance, using=using)


def forget_domain(
    sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any
) -> None:
    """Signal handler: this host may be another's now, or nobody's."""
    _forget([("domain", instance.domain)], using)  # type: ignore[attr-defined]  # a Domain


def connect_signals() -> None:
    """Forget what was remembered of a tenant as soon as its row changes."""
    tenant, domain = get_tenant_model(), get_tenant_domain_model()
    for signal in (models.signals.post_save, models.signals.pre_delete):
        signal.connect(forget_tenant, sender=tenant, dispatch_uid="tenancy.tenants")
    for signal in (models.signals.post_save, models.signals.post_delete):
        signal.connect(forget_domain, sender=domain, dispatch_uid="tenancy.tenants")
