"""
Are there enough connections for as many pods as there may be?

For whoever deploys, with `check --deploy`: a pod that runs could do nothing about it, and one
that does not start makes nothing better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning
from django.db import DEFAULT_DB_ALIAS, connections

from tenancy import connection_plan, context
from tenancy.conf import settings
from tenancy.connection_plan import Deployment

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Asked of the server, as what is deployed may not be what was meant. PostgreSQL 16 keeps some
# for a role besides.
SETTINGS = """
    SELECT current_setting('max_connections')::int,
           current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true)::int, 0)
"""
TYPE = "Type: manage.py connection_plan"


def check_plan(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Compare pods with poolers, as TENANCY_CONNECTIONS has them; without it nothing is known."""
    if not settings.CONNECTIONS:
        return []
    try:
        return [*_check(_at_most())]
    except (TypeError, ValueError) as error:
        return [
            Warning(
                f"TENANCY_CONNECTIONS cannot be computed with. {error}",
                hint="docs/reference/settings.md has its keys.",
                id="tenancy.W085",
            )
        ]


def _at_most() -> Deployment:
    deployed, pods = connection_plan.deployed(settings.CONNECTIONS)
    return replace(deployed, pods=pods)


def _check(plan: Deployment) -> Iterator[CheckMessage]:
    for limit in connection_plan.limits(plan):
        # With one pooler away it is an emergency already, in which some may wait.
        if limit.is_broken and limit.name != connection_plan.ONE_AWAY:
            yield Warning(
                f"{plan.pods} pods need {limit.used:,} of {limit.name}, and there are "
                f"{limit.available:,}.",
                hint=f"Plan {limit.remedy}. {TYPE}",
                id="tenancy.W085",
            )
    if plan.per_pod != plan.pool:
        yield Warning(
            f"A pod's {plan.pool} connections are not divided evenly among its {plan.workers} "
            f"workers: {plan.pool - plan.per_pod} of them are never used.",
            hint=f"Set DB_POOL_SIZE={plan.per_pod}, or WEB_WORKERS to a number that divides it.",
            id="tenancy.W086",
        )


def check_server(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Compare what comes to the server with what it takes."""
    if not settings.CONNECTIONS or DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        plan = _at_most()
    except (TypeError, ValueError):
        return []  # W085 says so
    most, reserved = _ask(connections[DEFAULT_DB_ALIAS])
    plan = replace(plan, max_connections=most, reserved=reserved)
    if plan.at_server <= plan.server_limit:
        return []
    return [
        Error(
            f"At {plan.pods} pods {plan.at_server:,} connections are opened to the server, which "
            f"takes {plan.server_limit:,} (max_connections {most:,}, {reserved} of them "
            "reserved).",
            hint=(
                f"Set max_connections to {plan.at_server + reserved} or more, or open fewer. {TYPE}"
            ),
            id="tenancy.E087",
        )
    ]


def _ask(connection: BaseDatabaseWrapper) -> tuple[int, int]:
    with context.override(context.PLATFORM), connection.cursor() as cursor:
        cursor.execute(SETTINGS)
        most, reserved = cursor.fetchone()
    return most, reserved
