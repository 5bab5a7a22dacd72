"""
What is measured, under which names and labels?

Names and labels are the contract with dashboards, alerts and docs/reference/metrics.md. Each
label's values come from a set that is bounded: tenants have seats (`tenancy.metrics.seats`),
endpoints are routes' names, the rest are words of this package. Nothing that a client sends
becomes a label, so that no patient's data can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PLATFORM = "platform"
"""The label of a request or task that belongs to no tenant; a reserved slug."""
UNKNOWN = "unknown"
"""The label of a request whose host is nobody's; a reserved slug."""
OTHER = "other"
"""The label that all tenants without a seat share; a reserved slug."""

# In seconds. What a clinic's page takes, from a cached answer to what has been given up.
RESPONSE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# From a statement on the same machine to one that waited at the pooler.
SWITCH_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
TASK_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


# Compared by identity: it is a key several times in each request.
@dataclass(frozen=True, eq=False)
class Metric:
    """One name; `across` says what becomes of a gauge of which each process has one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Literal["livesum", "livemostrecent"] = "livesum"


# Requests

REQUESTS = Metric(
    "tenant_requests_total",
    "counter",
    "Requests that were answered, by tenant and pod.",
    ("tenant_id", "pod_name"),
)
RESPONSES = Metric(
    "tenant_responses_total",
    "counter",
    "Answers by tenant and class of status.",
    ("tenant_id", "status_class"),
)
RESPONSE_TIME = Metric(
    "tenant_response_time_seconds",
    "histogram",
    "Time from a request's arrival in Django to its answer, by tenant and route.",
    ("tenant_id", "endpoint"),
    RESPONSE_BUCKETS,
)
REFUSALS = Metric(
    "tenant_refusals_total",
    "counter",
    "Requests that were turned away before their view, by tenant and error.",
    ("tenant_id", "reason"),
)
IN_FLIGHT = Metric("requests_in_flight", "gauge", "Requests that are being answered now.")

# The database, as this process sees it

SWITCH = Metric(
    "schema_switch_duration_seconds",
    "histogram",
    "From binding a connection to another tenant to the answer of the message it travelled in.",
    ("tenant_id",),
    SWITCH_BUCKETS,
)
CONNECTIONS_ACTIVE = Metric(
    "db_connections_active",
    "gauge",
    "Connections to PostgreSQL that a request or task holds now.",
    ("pod_name",),
)
POOL_SIZE = Metric("db_pool_size", "gauge", "Connections that the pools have, lent or not.")
POOL_LIMIT = Metric("db_pool_limit", "gauge", "Connections that the pools may have.")
POOL_IDLE = Metric("db_pool_idle", "gauge", "Connections that wait in the pools.")
POOL_WAITING = Metric("db_pool_waiting", "gauge", "Threads that wait for a connection now.")
POOL_CHECKOUTS = Metric("db_pool_checkouts_total", "counter", "Times a connection was asked for.")
POOL_QUEUED = Metric(
    "db_pool_queued_total", "counter", "Times a connection was asked for and none was idle."
)
POOL_WAIT_SECONDS = Metric(
    "db_pool_wait_seconds_total", "counter", "Time that was waited for a connection."
)
POOL_TIMEOUTS = Metric(
    "db_pool_timeouts_total", "counter", "Times the wait for a connection was given up."
)
POOL_OPENED = Metric("db_pool_opened_total", "counter", "Connections that the pools opened.")
POOL_OPEN_ERRORS = Metric(
    "db_pool_open_errors_total", "counter", "Connections that the pools could not open."
)
DATABASE_ERRORS = Metric(
    "database_errors_total",
    "counter",
    "Errors that PostgreSQL or the way to it reported, by class of SQLSTATE.",
    ("sqlstate_class",),
)

# Redis

CACHE_GETS = Metric(
    "cache_gets_total", "counter", "Values that the cache was asked for.", ("result",)
)
UNLIMITED = Metric(
    "rate_limits_skipped_total",
    "counter",
    "Requests that no rate was asked about, because Redis did not answer.",
)

# Background tasks

TASKS = Metric(
    "tenant_tasks_total",
    "counter",
    "Background tasks that ended, by tenant and how.",
    ("tenant_id", "task", "state"),
)
TASK_TIME = Metric(
    "task_duration_seconds", "histogram", "Time that a task ran.", ("task",), TASK_BUCKETS
)

# The whole fleet, as a worker with the owner's address asked for it a moment ago

FLEET_MEASURED = Metric(
    "fleet_measured_timestamp_seconds",
    "gauge",
    "When the fleet was measured last.",
    across="livemostrecent",
)
FLEET_TENANTS = Metric(
    "fleet_tenants", "gauge", "Organizations by state.", ("state",), across="livemostrecent"
)
FLEET_BEHIND = Metric(
    "fleet_schemas_behind",
    "gauge",
    "Schemas that lack a migration of this release.",
    across="livemostrecent",
)
FLEET_SCHEMAS = Metric(
    "fleet_schemas", "gauge", "Schemas that should have them.", across="livemostrecent"
)
FLEET_LAST_RUN = Metric(
    "fleet_migration_run",
    "gauge",
    "1 for the state of the last migration run, 0 for the others.",
    ("state",),
    across="livemostrecent",
)
FLEET_ENTRIES = Metric(
    "fleet_migration_run_schemas",
    "gauge",
    "Schemas of the last migration run by state.",
    ("state",),
    across="livemostrecent",
)
QUEUE_LENGTH = Metric(
    "task_queue_length",
    "gauge",
    "Messages that wait in a queue.",
    ("queue",),
    across="livemostrecent",
)
DATABASE_BYTES = Metric(
    "database_size_bytes", "gauge", "What the database takes on disk.", across="livemostrecent"
)
BACKENDS = Metric(
    "database_backends",
    "gauge",
    "Sessions at the databases of the server.",
    across="livemostrecent",
)
BACKENDS_LIMIT = Metric(
    "database_backends_limit", "gauge", "max_connections.", across="livemostrecent"
)
LOCKS_WAITING = Metric(
    "database_locks_waiting",
    "gauge",
    "Locks that a session waits for.",
    across="livemostrecent",
)
REPLICATION_LAG = Metric(
    "database_replication_lag_seconds",
    "gauge",
    "How far the slowest replica is behind; absent where PostgreSQL does not say.",
    across="livemostrecent",
)

# This process' release

BUILD = Metric(
    "clinicx_build_info", "gauge", "1 for each process of this release.", ("version", "pod_name")
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
