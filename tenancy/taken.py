"""
Is a name somebody's, so that nobody else can have it?

Also one that was: links, cookies and tokens may still name whoever had it, and another's
pages would answer them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from django.db import connections, models
from django.utils import formats, timezone
from django_tenants.utils import get_tenant_domain_model, get_tenant_model

from tenancy import schemas
from tenancy.conf import settings
from tenancy.errors import NameTaken
from tenancy.models import Organization, RetiredSlug, State

# A row of TENANT_MODEL, or a RetiredSlug.
GivenUp: TypeAlias = Any


def check(organization: Organization, host: str | None, *, using: str) -> list[GivenUp]:
    """
    Raise NameTaken where one of the names of an `organization` that is not saved is somebody's.

    For the platform. A schema or a role that nobody has is somebody's data. Return the rows
    that kept its names from being reused until now: `forget` them.
    """
    given_up: list[GivenUp] = [*_rows(organization, using)]
    for row in given_up:
        _check_row(row)
    for retired in RetiredSlug.objects.using(using).filter(slug=organization.slug):
        _check_retired(retired.slug, since=retired.retired_at, why="was renamed")
        given_up.append(retired)
    check_nothing_is_there(organization.schema_name, using=using)
    if host:
        _check_host(host, using=using)
    return given_up


def forget(given_up: list[GivenUp], *, using: str) -> None:
    """Delete what `check` returned."""
    for row in given_up:
        type(row)._default_manager.using(using).filter(pk=row.pk).delete()


def check_nothing_is_there(schema: str, *, using: str) -> None:
    """Raise NameTaken where PostgreSQL has the schema, or its role; what is in it is data."""
    connection = connections[using]
    if schemas.exists(connection, schema):
        raise NameTaken(
            f"The schema {schema!r} exists and belongs to no organization: it may hold data "
            "of a deleted one. Choose another slug, or look into it and drop it by hand."
        )
    if schemas.role_exists(connection, schema):
        role = schemas.role_for(connection, schema)
        raise NameTaken(f"The role {role!r} exists already. Choose another slug, or drop it.")


def _rows(organization: Organization, using: str) -> models.QuerySet[Any]:
    rows: models.QuerySet[Any] = get_tenant_model()._default_manager.using(using)
    is_named = models.Q(slug=organization.slug) | models.Q(schema_name=organization.schema_name)
    return rows.filter(is_named)


def _check_row(row: Organization) -> None:
    if row.state != State.DELETED:
        raise NameTaken(f"An organization with the slug {row.slug!r} exists already.")
    if row.is_on_hold:
        raise NameTaken(f"The organization {row.slug!r} was deleted, and its name is on hold.")
    _check_retired(row.slug, since=row.state_changed_at, why="was deleted")


def _check_retired(slug: str, *, since: datetime | None, why: str) -> None:
    until = (since or timezone.now()) + settings.SLUG_RETIREMENT
    if until > timezone.now():
        day = formats.date_format(timezone.localtime(until), "Y-m-d")
        raise NameTaken(
            f"The slug {slug!r} is that of an organization that {why}, and links may still name "
            f"it: it is free from {day} on. Choose another."
        )


def _check_host(host: str, *, using: str) -> None:
    if get_tenant_domain_model()._default_manager.using(using).filter(domain=host).exists():
        raise NameTaken(f"The domain {host!r} belongs to another organization.")
    if host == settings.BASE_DOMAIN or host.endswith(f".{settings.BASE_DOMAIN}"):
        raise NameTaken(
            f"{host!r} lies under the base domain {settings.BASE_DOMAIN!r}, where the slug decides."
        )
