"""
What is there of a tenant, that would go with it?
"""

from __future__ import annotations

from dataclasses import dataclass

from django.core.files.storage import storages
from django.db import connections
from django_tenants.utils import get_tenant_domain_model

from tenancy import context, schemas, storage
from tenancy.conf import settings
from tenancy.models import Organization


@dataclass(frozen=True)
class Inventory:
    """Counted at one moment; others may be adding to it."""

    tables: dict[str, int]
    """Of each table the number of its rows."""

    size: int
    """Bytes of its tables and indexes on the server's disk."""

    files: int
    size_of_files: int
    domains: list[str]

    @property
    def rows(self) -> int:
        return sum(self.tables.values())


def take(organization: Organization) -> Inventory:
    """Count what there is of `organization`; every row is looked at."""
    connection = connections[settings.DDL_DATABASE]
    schema = organization.schema_name
    with context.override(context.PLATFORM, in_transaction=True):
        tables = schemas.count_rows(connection, schema)
        size = schemas.sizes(connection, [schema]).get(schema, 0)
        domains = get_tenant_domain_model()._default_manager.filter(tenant_id=organization.pk)
        hosts = sorted(domains.values_list("domain", flat=True))
    with context.override(organization.as_active()):
        files, size_of_files = _count_files()
    return Inventory(tables, size, files, size_of_files, hosts)


def _count_files() -> tuple[int, int]:
    """Return how many files the active tenant has in all STORAGES, and their bytes."""
    sizes = [
        each.size(name)
        for alias in storages.backends
        if isinstance(each := storages[alias], storage.TenantStorage)
        for name in each.walk()
    ]
    return len(sizes), sum(sizes)
