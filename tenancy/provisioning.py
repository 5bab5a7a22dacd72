"""
How does a tenant come into service?
"""

from __future__ import annotations

from typing import cast

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django_tenants.utils import get_tenant_domain_model, get_tenant_model

from tenancy import context, locks, names, schemas, tenants
from tenancy.conf import settings
from tenancy.errors import (
    NameTaken,
    UnableToLock,
    UnableToMigrate,
    UnableToProvision,
)
from tenancy.models import Organization
from tenancy.rollout import executor

UNDEFINED_TABLE = "42P01"  # PostgreSQL, appendix A


def get_by_slug(slug: str) -> Organization:
    """Return the organization, or raise TenantNotFound naming those that are spelled like it."""
    with context.override(context.PLATFORM, in_transaction=True):
        organization = get_tenant_model()._default_manager.filter(slug=slug).first()
        if organization is None:
            raise tenants.not_found(slug)
    return cast("Organization", organization)


def provision(*, slug: str, name: str, domain: str | None = None) -> Organization:
    """
    Create an organization with its schema, its role and all its tables, or nothing at all.

    PostgreSQL's DDL is transactional: a failure or a kill at any step leaves neither row
    nor schema nor role. Raise InvalidName, NameTaken or UnableToProvision. A schema or a
    role that exists is never adopted, also when no organization has it: what is in it
    is somebody's data.
    """
    schema = names.schema_for(slug)
    connection = connections[settings.DDL_DATABASE]
    names.check_identifier(schemas.role_for(connection, schema))
    host = names.canonical_host(domain) if domain else None

    with context.override(context.PLATFORM, in_transaction=True):
        try:
            with transaction.atomic(using=settings.DDL_DATABASE, durable=True):
                _lock(slug)
                _check_free(slug=slug, schema=schema, host=host)
                organization: Organization = get_tenant_model()(
                    slug=slug, name=name, schema_name=schema
                )
                organization.save(using=settings.DDL_DATABASE, force_insert=True)
                if host:
                    domain_of = get_tenant_domain_model()
                    domain_of(domain=host, tenant=organization).save(using=settings.DDL_DATABASE)
                schemas.create(connection, schema)
                schemas.assign(connection, schema, organization.pk)
                executor.migrate_unused(organization.as_active())
        except (DatabaseError, UnableToLock, UnableToMigrate) as error:
            raise UnableToProvision(f"{slug!r} could not be created: {_why(error)}") from error

    # Whatever is done with it from here on has no need of the owner's address, and Django
    # would use that also for what is related to it.
    organization._state.db = DEFAULT_DB_ALIAS
    return organization


def _lock(slug: str) -> None:
    """Wait until nobody else creates `slug`, however long that takes."""
    locks.acquire(f"slug:{slug}", timeout=None, using=settings.DDL_DATABASE)


def _why(error: Exception) -> str:
    if getattr(error.__cause__, "sqlstate", None) == UNDEFINED_TABLE:
        return "the public schema lacks tables. Type: manage.py migrate_schemas --shared"
    return str(error)


def _check_free(*, slug: str, schema: str, host: str | None) -> None:
    connection = connections[settings.DDL_DATABASE]
    organizations = get_tenant_model()._default_manager.using(settings.DDL_DATABASE)
    if organizations.filter(slug=slug).exists():
        raise NameTaken(f"An organization with the slug {slug!r} exists already.")
    if schemas.exists(connection, schema):
        raise NameTaken(
            f"The schema {schema!r} exists and belongs to no organization: it may hold data "
            "of a deleted one. Choose another slug, or look into it and drop it by hand."
        )
    if schemas.role_exists(connection, schema):
        role = schemas.role_for(connection, schema)
        raise NameTaken(f"The role {role!r} exists already. Choose another slug, or drop it.")
    domains = get_tenant_domain_model()._default_manager.using(settings.DDL_DATABASE)
    if host and domains.filter(domain=host).exists():
        raise NameTaken(f"The domain {host!r} belongs to another organization.")
    if host and (host == settings.BASE_DOMAIN or host.endswith(f".{settings.BASE_DOMAIN}")):
        raise NameTaken(
            f"{host!r} lies under the base domain {settings.BASE_DOMAIN!r}, where the slug decides."
        )
