"""
Whose host is this?

A resolver is a function `(host) -> Organization | None`; TENANCY_RESOLVERS names them in
the order in which they are asked. What they find is remembered in the cache, also that
they found nothing, and forgotten when an organization or a domain changes. What was found
a moment ago this process knows by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, TypeAlias

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.http import HttpRequest
from django.utils.module_loading import import_string

from tenancy import context, names
from tenancy.conf import settings
from tenancy.errors import InvalidName, TenantNotFound
from tenancy.models import Domain, Organization

Resolver: TypeAlias = Callable[[str], Organization | None]

FIELDS = ("id", "schema_name", "slug", "name", "created_at")

# What this process found, by host, and until when it believes it. Hosts at which nobody
# answers are not kept: anybody can make them up.
_found: dict[str, tuple[float, dict[str, Any]]] = {}


def resolve(request: HttpRequest) -> Organization | None:
    """
    Return the organization whose host the request asks for, None on the base domain.

    Raise TenantNotFound for any other host. Forwarded headers are not read: what
    decides is the host of the request itself.
    """
    try:
        host = names.canonical_host(request.get_host())
    except InvalidName as error:
        raise TenantNotFound(str(error)) from error
    if host == settings.BASE_DOMAIN:
        return None
    facts = _known(host)
    if not facts:
        raise TenantNotFound(f"No organization answers at {host!r}.")
    return _from_facts(facts)


def subdomain(host: str) -> Organization | None:
    """Return the organization whose slug is the one label below the base domain."""
    slug, dot, base = host.partition(".")
    if not dot or base != settings.BASE_DOMAIN:
        return None
    found: Organization | None = Organization.objects.filter(slug=slug).first()
    return found


def custom_domain(host: str) -> Organization | None:
    """Return the organization that has `host` as a domain of its own."""
    found: Organization | None = Organization.objects.filter(domains__domain=host).first()
    return found


def _known(host: str) -> dict[str, Any]:
    """Return the facts of the organization at `host`, or an empty dictionary."""
    until, facts = _found.get(host, (0.0, {}))
    if until > monotonic():
        return facts
    with context.override(context.PLATFORM):
        facts = _remembered(host)
    if facts:
        _found[host] = monotonic() + settings.RESOLVER_MEMORY.total_seconds(), facts
    return facts


def _remembered(host: str) -> dict[str, Any]:
    key = _key(host)
    facts: dict[str, Any] | None = cache.get(key)
    if facts is None:
        organization = _ask(host)
        facts = {field: getattr(organization, field) for field in FIELDS} if organization else {}
        cache.set(key, facts, timeout=settings.RESOLVER_TTL.total_seconds())
    return facts


def _from_facts(facts: dict[str, Any]) -> Organization:
    organization = Organization(**facts)
    organization._state.adding = False
    organization._state.db = DEFAULT_DB_ALIAS
    return organization


def _ask(host: str) -> Organization | None:
    for path in settings.RESOLVERS:
        resolver: Resolver = import_string(path)
        if organization := resolver(host):
            return organization
    return None


def _key(host: str) -> str:
    return f"host:{host}"


def forget(hosts: list[str], *, using: str | None = None) -> None:
    """Ask the database again for `hosts`, once the open transaction is committed."""
    keys = [_key(host) for host in hosts]

    def delete() -> None:
        for host in hosts:
            _found.pop(host, None)
        with context.override(context.PLATFORM):
            cache.delete_many(keys)

    transaction.on_commit(delete, using=using)


def forget_all() -> None:
    """Ask the cache again for every host, in this process."""
    _found.clear()


def forget_organization(
    sender: type[models.Model], instance: Organization, using: str, **kwargs: Any
) -> None:
    """Signal handler: whatever was remembered of its hosts may be wrong now."""
    domains = Domain.objects.using(using).filter(tenant_id=instance.pk)
    hosts = [instance.host, *domains.values_list("domain", flat=True)]
    forget(hosts, using=using)


def forget_domain(sender: type[models.Model], instance: Domain, using: str, **kwargs: Any) -> None:
    """Signal handler: this host may be another's now, or nobody's."""
    forget([instance.domain], using=using)


def connect_signals() -> None:
    """Forget what was remembered of a host as soon as its row changes."""
    for signal in (models.signals.post_save, models.signals.pre_delete):
        signal.connect(forget_organization, sender=Organization, dispatch_uid="tenancy.resolvers")
    for signal in (models.signals.post_save, models.signals.post_delete):
        signal.connect(forget_domain, sender=Domain, dispatch_uid="tenancy.resolvers")
