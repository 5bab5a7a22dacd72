"""
How are all tenants, on one page?
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections
from django_tenants.utils import get_tenant_model

from tenancy import context, schemas
from tenancy.conf import settings
from tenancy.models import State
from tenancy.rollout import plan


@dataclass(frozen=True)
class Line:
    """One tenant. `size` is in bytes; `behind` is how many migrations its schema lacks."""

    slug: str
    name: str
    state: str
    schema: str
    size: int
    behind: int
    is_on_hold: bool
    delete_after: datetime | None


def list_lines(states: Collection[str] = ()) -> list[Line]:
    """
    Return a line for each tenant in one of `states`, or each that is not deleted, by slug.

    A handful of queries, whatever the number of tenants.
    """
    with context.override(context.PLATFORM, in_transaction=True):
        rows = get_tenant_model()._default_manager.using(DEFAULT_DB_ALIAS).order_by("slug")
        rows = rows.filter(state__in=states) if states else rows.exclude(state=State.DELETED)
        organizations = list(rows)
        names = [each.schema_name for each in organizations if each.has_schema]
        connection = connections[settings.DDL_DATABASE]
        sizes = schemas.sizes(connection, names)
        behind = plan.list_missing(connection, names)
    return [
        Line(
            slug=each.slug,
            name=each.name,
            state=str(each.state),
            schema=each.schema_name,
            size=sizes.get(each.schema_name, 0),
            behind=len(behind.get(each.schema_name, ())),
            is_on_hold=each.is_on_hold,
            delete_after=each.delete_after,
        )
        for each in organizations
    ]
