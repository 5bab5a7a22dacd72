"""
What would Prometheus have of a cluster that is well? A series of each name that is asked for.

Ours are made from `tenancy.metrics.names`, which a real pod's answer is held against; the
others' are those of the exporters that the manifests and any cluster run.
"""

from __future__ import annotations

from collections.abc import Iterator

from tenancy.metrics import names
from tenancy.metrics.names import Metric
from tests.monitoring.expressions import Series

# What Prometheus adds to whatever it scrapes of a pod.
POD = "clinicx-backend-1"
SCRAPED = {"namespace": "clinicx", "pod": POD, "job": "clinicx-metrics"}

VALUES = {
    "tenant_id": "elm",
    "pod_name": POD,
    "status_class": "2xx",
    "endpoint": "patients:list",
    "reason": "RateLimited",
    "sqlstate_class": "23",
    "result": "hit",
    "task": "apps.accounts.tasks.clear_expired_sessions",
    "state": "done",
    "queue": "celery",
    "version": "1.2.3",
}

FOR_TWO_HOURS = "x120"

# Name, labels, value when all is well. From the exporters' own documentation: pgbouncer_exporter
# 0.10, CloudNativePG 1.25, kube-state-metrics 2.13, cert-manager 1.16, kubelet and cAdvisor.
OTHERS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("up", SCRAPED, "1"),
    ("pgbouncer_up", {"pod": "pgbouncer-1"}, "1"),
    ("pgbouncer_pools_client_active_connections", {"database": "clinicx", "user": "app"}, "8"),
    ("pgbouncer_pools_client_waiting_connections", {"database": "clinicx", "user": "app"}, "0"),
    ("pgbouncer_pools_server_active_connections", {"database": "clinicx", "user": "app"}, "5"),
    ("pgbouncer_pools_client_maxwait_seconds", {"database": "clinicx", "user": "app"}, "0"),
    ("cnpg_collector_up", {"cluster": "postgres", "pod": "postgres-1"}, "1"),
    ("cnpg_pg_replication_lag", {"pod": "postgres-2"}, "0.1"),
    (
        "kubelet_volume_stats_available_bytes",
        {"namespace": "clinicx", "persistentvolumeclaim": "postgres-1"},
        "60",
    ),
    (
        "kubelet_volume_stats_capacity_bytes",
        {"namespace": "clinicx", "persistentvolumeclaim": "postgres-1"},
        "100",
    ),
    (
        "container_memory_working_set_bytes",
        {"namespace": "clinicx", "pod": "postgres-1", "container": "postgres"},
        "40",
    ),
    (
        "kube_pod_container_resource_limits",
        {
            "namespace": "clinicx",
            "pod": "postgres-1",
            "container": "postgres",
            "resource": "memory",
            "unit": "byte",
        },
        "100",
    ),
    *(
        (f"kube_deployment_status_replicas_{which}", {"namespace": "clinicx", "deployment": it}, n)
        for it in ("clinicx-backend", "clinicx-worker", "clinicx-owner-worker", "clinicx-beat")
        for which, n in (("available", "2"), ("unavailable", "0"))
    ),
    (
        "kube_pod_container_status_last_terminated_reason",
        {"namespace": "clinicx", "pod": POD, "container": "backend", "reason": "OOMKilled"},
        "0",
    ),
    (
        "kube_pod_container_status_restarts_total",
        {"namespace": "clinicx", "pod": POD, "container": "backend"},
        "0",
    ),
    (
        "kube_job_status_failed",
        {"namespace": "clinicx", "job_name": "clinicx-check-schemas-1"},
        "0",
    ),
    (
        "certmanager_certificate_expiration_timestamp_seconds",
        {"namespace": "clinicx", "name": "public"},
        str(80 * 24 * 3600),
    ),
)

# Of ours, what is not 0 when all is well. Counters grow by as much each minute.
GROWING = {
    "tenant_requests_total": "600",
    "tenant_responses_total": "600",
    "db_pool_checkouts_total": "600",
    "cache_gets_total": "600",
    "tenant_tasks_total": "60",
}
STANDING = {
    "db_pool_size": "5",
    "db_pool_limit": "20",
    "db_connections_active": "3",
    "database_backends": "50",
    "database_backends_limit": "300",
    "fleet_schemas": "101",
    "fleet_migration_run": "1",
    "clinicx_build_info": "1",
}
# Where an expression picks one value of a label, there is a series with each of them.
MORE = {
    "tenant_responses_total": [{"status_class": "5xx"}],
    "tenant_tasks_total": [{"state": "failure"}],
    "cache_gets_total": [{"result": "error"}],
    "database_errors_total": [{"sqlstate_class": "53"}],
    "fleet_migration_run": [{"state": "failed"}],
}


def series() -> Iterator[Series]:
    """Yield all series of a cluster that is well, two hours long."""
    for metric in names.ALL:
        labels = {label: VALUES[label] for label in metric.labels}
        yield from _series_of(metric, labels)
        for other in MORE.get(metric.name, []):
            yield Series(metric.name, SCRAPED | labels | other, f"0+0{FOR_TWO_HOURS}")
    for name, others, value in OTHERS:
        yield Series(name, others, f"{value}+0{FOR_TWO_HOURS}")


def _series_of(metric: Metric, labels: dict[str, str]) -> Iterator[Series]:
    labels = SCRAPED | labels
    if metric.kind == "histogram":
        # Each minute 60 values, all of them below the third bound.
        for place, bound in enumerate([*map(str, metric.buckets), "+Inf"]):
            grows = 60 if place >= 2 else 30
            yield Series(
                f"{metric.name}_bucket", labels | {"le": bound}, f"0+{grows}{FOR_TWO_HOURS}"
            )
        yield Series(f"{metric.name}_sum", labels, f"0+1{FOR_TWO_HOURS}")
        yield Series(f"{metric.name}_count", labels, f"0+60{FOR_TWO_HOURS}")
    elif metric.kind == "counter":
        yield Series(metric.name, labels, f"0+{GROWING.get(metric.name, '0')}{FOR_TWO_HOURS}")
    elif metric.name == names.FLEET_MEASURED.name:
        yield Series(metric.name, labels, f"0+60{FOR_TWO_HOURS}")  # now, at each minute
    else:
        yield Series(metric.name, labels, f"{STANDING.get(metric.name, '0')}+0{FOR_TWO_HOURS}")
