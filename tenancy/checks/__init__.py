"""
What would go wrong an hour after deploy, said at start?

Each check has an id, a sentence and a hint that can be typed.

    settings   tenancy.E001  an engine that binds no transaction
               tenancy.E002  no address of the owner
               tenancy.E003  no router
               tenancy.E004  no middleware
               tenancy.E005  'tenancy' after 'django_tenants'
               tenancy.E006  a foreign key out of the tenant's schema
               tenancy.E010  server-side binding
               tenancy.E011  a pooler's mode that does not exist
               tenancy.E018  DEBUG where others than us are served
               tenancy.E035  a trusted proxy that is no address
               tenancy.E036  a resolver without its setting, or the setting without it
    sessions   tenancy.E020  sessions that do not say whose they are
               tenancy.E021  a session that is opened before its tenant is known
               tenancy.E022  a cookie that is sent to every tenant's host
               tenancy.W002  messages in cookies
    templates  tenancy.E023  a template loader that does not know who is active
    stores     tenancy.E025  a cache with keys for all tenants
               tenancy.E026  a storage with files for all tenants
               tenancy.E027  a cache that is emptied for all tenants
               tenancy.E028  a file field with a storage for all tenants
               tenancy.E029  a rate that is not understood, or that nobody can count
               tenancy.E088  a limit of requests in flight that is none, or that nobody counts
    tasks      tenancy.E030  no application of ours for tasks
               tenancy.E031  tasks that are not JSON
               tenancy.E032  a part of Celery that knows no tenants
               tenancy.E033  a periodic task for nobody
               tenancy.E034  results without their tenant
    adoption   tenancy.E040  a switch in TENANCY_COMPAT that nobody knows
               tenancy.E041  the application's address as the owner's
               tenancy.E042  django-tenants' middleware, router or settings beside ours
               tenancy.E043  a public schema or an address of another name
               tenancy.E044  requests of tenants that write what only the public schema has
               tenancy.W010  a switch of TENANCY_COMPAT that is on
               tenancy.W011  a setting of django-tenants that no longer means anything
    migrations tenancy.E070  what the running release reads is gone
               tenancy.E071  a column that a running release has no value for
               tenancy.W072  a table that is written anew
               tenancy.W073  NOT NULL that is proven row by row
               tenancy.W074  an index of a large table, built while nobody may write
               tenancy.W075  a constraint of a large table, proven while nobody may write
               tenancy.W076  rows that are changed while a table is locked
               tenancy.W077  no way back
               tenancy.W078  atomic = False that harms, or that is missing
               tenancy.E079  what is said to these that they do not understand
    provisioning tenancy.W055  new tenants that are migrated from zero
    server     tenancy.E007  an old PostgreSQL
               tenancy.E008  a login to which privileges do not apply
               tenancy.E009  a login with rights of its own
               tenancy.E016  a tenant's function that names a schema
               tenancy.E017  a function with its owner's rights and the caller's path
               tenancy.E080  a login that may wait for ever
    audit      tenancy.E065  no audit log
               tenancy.E066  hardly a month left in it
               tenancy.E067  somebody who can change it
               tenancy.W068  a PostgreSQL on which the owner's login can
    metrics    tenancy.E083  metrics without what they are counted with
               tenancy.W084  requests that are not counted
    capacity   tenancy.W085  more pods than there are connections for
               tenancy.W086  connections that no worker uses
               tenancy.E087  a server that takes fewer than are opened
    poolers    tenancy.E012  no transaction pooler where one was meant
               tenancy.E013  another mode than was meant
               tenancy.E014  the owner's address behind a transaction pooler
               tenancy.E015  prepared statements that stay behind

Those of `audit`, `provisioning`, `server` and `poolers` ask the server, and run with
`manage.py check --database default --database ddl`. Those of `capacity` run with `--deploy`,
E087 with `--deploy --database default`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags
from django.core.checks import register as register_check
from django.db import connections

from tenancy import context
from tenancy.checks import (
    adoption,
    audit,
    capacity,
    in_flight,
    metrics,
    migrations,
    poolers,
    provisioning,
    server,
    sessions,
    settings,
    stores,
    tasks,
    templates,
)


def register() -> None:
    """Tell Django of all checks."""
    for check in (
        *settings.CHECKS,
        *sessions.CHECKS,
        *stores.CHECKS,
        *in_flight.CHECKS,
        *templates.CHECKS,
        *adoption.CHECKS,
        *metrics.CHECKS,
    ):
        register_check(check, "tenancy")
    # A tag of its own: asking imports Celery, which a process that serves pages may do without.
    for check in tasks.CHECKS:
        register_check(check, "tasks")
    # Likewise: a process that serves pages runs no migration, and need not load them.
    for check in migrations.CHECKS:
        register_check(check, "migrations")
    # For whoever deploys: no reason for a pod that is there not to start.
    register_check(capacity.check_plan, "capacity", deploy=True)
    register_check(capacity.check_server, Tags.database, deploy=True)
    register_check(check_servers, Tags.database)


def check_servers(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Ask the servers of `databases`; one that does not answer is Django's own error."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        # The others' connections cannot be made, and settings.py has said why.
        if settings.is_ours(django_settings.DATABASES[alias]):
            with context.override(context.PLATFORM):
                messages += server.check(connections[alias])
                messages += audit.check(connections[alias])
                messages += poolers.check(connections[alias])
                messages += provisioning.check(connections[alias])
    return messages
