"""
How is the whole fleet, as far as PostgreSQL and the queues say?

Asked now and then by one worker that has the owner's address, and kept among its numbers:
not by each pod, and never for a scrape.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connections
from django.db.models import Count
from django_tenants.utils import get_tenant_model

from tenancy import context, ledger, metrics, tenants
from tenancy.conf import settings
from tenancy.metrics import names
from tenancy.metrics.instruments import child
from tenancy.models import State
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import plan

SERVER = """
    SELECT (SELECT sum(numbackends)::integer FROM pg_catalog.pg_stat_database),
           current_setting('max_connections')::integer,
           (SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted),
           (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_catalog.pg_stat_replication)
"""
SIZE = "SELECT pg_database_size(current_database())"


def measure_fleet() -> None:
    """Write down how many tenants and schemas there are, which are behind, and what waits."""
    if not metrics.is_on():
        return
    with context.override(context.PLATFORM):
        _measure_tenants()
        _measure_migrations()
        _measure_server()
    child(names.FLEET_MEASURED).set(time.time())


def measure_sizes() -> None:
    """Write down what the database takes on disk."""
    if not metrics.is_on():
        return
    with context.override(context.PLATFORM):
        (size,) = _ask(SIZE)
    child(names.DATABASE_BYTES).set(size)


def measure_queues(app: Any, *queues: str) -> None:
    """Write down how many messages wait in `queues` of a Celery application."""
    if not metrics.is_on():
        return
    with app.connection_or_acquire() as connection:
        for queue in queues:
            child(names.QUEUE_LENGTH, queue).set(_length(connection, queue))


def _measure_tenants() -> None:
    rows = get_tenant_model()._default_manager.using(settings.DDL_DATABASE)
    if not tenants.has_state():
        child(names.FLEET_TENANTS, State.ACTIVE).set(rows.count())
        return
    counts = dict(rows.order_by().values_list("state").annotate(count=Count("*")))
    for state in State.values:
        child(names.FLEET_TENANTS, state).set(counts.get(state, 0))


def _measure_migrations() -> None:
    using = settings.DDL_DATABASE
    schemas = list(tenants.having_schema(using=using).values_list("schema_name", flat=True))
    missing = plan.list_missing(connections[using], [PUBLIC_SCHEMA, *schemas])
    child(names.FLEET_SCHEMAS).set(1 + len(schemas))
    child(names.FLEET_BEHIND).set(len(missing))
    if PUBLIC_SCHEMA in missing:
        return  # the ledger's tables may be what it lacks
    run = ledger.MigrationRun.objects.using(using).first()
    for state in ledger.RunState.values:
        child(names.FLEET_LAST_RUN, state).set(run is not None and run.state == state)
    entries = ledger.MigrationRunEntry.objects.using(using).filter(run=run).order_by()
    counts = dict(entries.values_list("state").annotate(count=Count("*")))
    for state in ledger.EntryState.values:
        child(names.FLEET_ENTRIES, state).set(counts.get(state, 0))


def _measure_server() -> None:
    backends, limit, waiting, lag = _ask(SERVER)
    child(names.BACKENDS).set(backends)
    child(names.BACKENDS_LIMIT).set(limit)
    child(names.LOCKS_WAITING).set(waiting)
    if lag is not None:  # no replica, or a login that is not told
        child(names.REPLICATION_LAG).set(lag)


def _ask(query: str) -> Any:
    with connections[settings.DDL_DATABASE].cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def _length(connection: Any, queue: str) -> int:
    try:
        declared = connection.default_channel.queue_declare(queue, passive=True)
    except connection.channel_errors:
        return 0  # Redis has no key of an empty queue
    return int(declared.message_count)
