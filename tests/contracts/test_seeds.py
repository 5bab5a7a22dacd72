"""
The numbers of the document with which the deployment began, "Kubernetes Multi-Instance
Architecture with Schema-Per-Tenant", line by line and in its order.

Each line is quoted as it stood there, beside what it is now: in the manifests, in the settings
or in the code. Where that differs a decision says why, and quotes the line too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from clinicx.settings import pool
from clinicx.settings.databases import caches
from tenancy.conf import Settings
from tenancy.health import facts
from tenancy.metrics import names
from tests.k8s import manifests
from tests.k8s.manifests import BASE, ROOT, load

BACKEND = load(BASE / "backend" / "deployment.yaml")
POD = BACKEND["spec"]["template"]["spec"]
(WEB,) = POD["containers"]
SCALER = load(BASE / "backend" / "horizontalpodautoscaler.yaml")
SERVICE = load(BASE / "backend" / "service.yaml")["spec"]
POOLER = load(BASE / "pgbouncer" / "deployment.yaml")
POOLER_POD = POOLER["spec"]["template"]["spec"]
POOLER_CONFIG = load(BASE / "pgbouncer" / "configmap.yaml")
SERVER = load(BASE / "postgres" / "cluster.yaml")["spec"]
OWNER = load(BASE / "owner-worker" / "deployment.yaml")["spec"]["template"]["spec"]
DECISIONS = ROOT / "docs" / "decisions"


BOARD = json.loads((BASE / "monitoring" / "clinicx-dashboard.json").read_text())


def panel(title: str) -> str:
    """Return the first query of the board's panel."""
    (found,) = [each for each in BOARD["panels"] if each["title"] == title]
    return found["targets"][0]["expr"]


def variable(container: dict[str, Any], name: str) -> str:
    (value,) = [each["value"] for each in container["env"] if each["name"] == name]
    return value


def ini(name: str, of: dict[str, Any] = POOLER_CONFIG) -> list[str]:
    """Return every value that a directive of PgBouncer is given."""
    return re.findall(rf"^{name} = (.+)$", of["data"]["pgbouncer.ini"], re.MULTILINE)


def scale(name: str) -> dict[str, Any]:
    return SCALER["spec"]["behavior"][name]


def target(name: str) -> int:
    (found,) = [each for each in SCALER["spec"]["metrics"] if each["resource"]["name"] == name]
    return found["resource"]["target"]["averageUtilization"]


def scenario(overlay: str) -> dict[str, Any]:
    """Return what the document says of a scenario, as the overlay has it."""
    objects = manifests.overlay(overlay)
    scaler = manifests.find(objects, "HorizontalPodAutoscaler", "clinicx-backend-hpa")["spec"]
    pod = manifests.find(objects, "Deployment", "clinicx-backend")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return {
        "pods": (scaler["minReplicas"], scaler["maxReplicas"]),
        "connections": int(variable(container, "DB_POOL_SIZE")),
        "cpu": (
            container["resources"]["requests"]["cpu"],
            container["resources"]["limits"]["cpu"],
        ),
        "memory": (
            container["resources"]["requests"]["memory"],
            container["resources"]["limits"]["memory"],
        ),
        "host": variable(container, "DB_HOST").partition(".")[0],
    }


@dataclass(frozen=True)
class Line:
    """
    A line of the document, or several with " / " between, and what it is here.

    `decision` is the number of the one that says why it is something else.
    """

    quote: str
    found: Callable[[], object]
    wanted: object
    decision: int | None = None


PGBOUNCER = "pgbouncer.clinicx.svc.cluster.local"
POSTGRES = "postgres-service.clinicx.svc.cluster.local"

LINES = [
    # Deployment with Multiple Replicas
    Line("name: clinicx-backend", lambda: BACKEND["metadata"]["name"], "clinicx-backend"),
    Line(
        "namespace: clinicx",
        lambda: load(BASE / "kustomization.yaml")["namespace"],
        "clinicx",
    ),
    Line("replicas: 5  # Start with 5 instances", lambda: BACKEND["spec"]["replicas"], 5),
    Line(
        "app: clinicx-backend",
        lambda: BACKEND["spec"]["selector"]["matchLabels"],
        {"app": "clinicx-backend"},
    ),
    Line("- name: clinicx-backend", lambda: WEB["name"], "clinicx-backend"),
    Line(
        "image: clinicx/backend:latest",
        lambda: WEB["image"].rpartition(":")[2] != "latest" and WEB["image"].rpartition(":")[0],
        "clinicx/backend",
        decision=34,
    ),
    Line(
        'name: SPRING_PROFILES_ACTIVE / value: "production,kubernetes"',
        lambda: (
            "DJANGO_SETTINGS_MODULE=clinicx.settings.production"
            in (ROOT / "Dockerfile").read_text()
        ),
        True,
        decision=34,
    ),
    Line(
        'value: "postgres-service.clinicx.svc.cluster.local"',
        lambda: variable(OWNER["containers"][0], "DB_HOST"),
        POSTGRES,
    ),
    Line('value: "5432"', lambda: variable(OWNER["containers"][0], "DB_PORT"), "5432"),
    Line(
        'name: DB_HOST / value: "postgres-service.clinicx.svc.cluster.local"',
        lambda: variable(WEB, "DB_HOST"),
        PGBOUNCER,
        decision=34,
    ),
    Line('name: DB_PORT / value: "5432"', lambda: variable(WEB, "DB_PORT"), "6432", decision=34),
    Line('name: DB_NAME / value: "clinicx"', lambda: variable(WEB, "DB_NAME"), "clinicx"),
    Line(
        'name: DB_POOL_SIZE / value: "20"  # Per pod connection pool',
        lambda: variable(WEB, "DB_POOL_SIZE"),
        "20",
    ),
    Line(
        'name: JAVA_OPTS / value: "-Xmx2g -Xms2g"',
        lambda: "JAVA_OPTS" in str(WEB),
        False,
        decision=34,
    ),
    Line('requests: / memory: "2Gi"', lambda: WEB["resources"]["requests"]["memory"], "2Gi"),
    Line('requests: / cpu: "1000m"', lambda: WEB["resources"]["requests"]["cpu"], "1000m"),
    Line('limits: / memory: "3Gi"', lambda: WEB["resources"]["limits"]["memory"], "3Gi"),
    Line('limits: / cpu: "2000m"', lambda: WEB["resources"]["limits"]["cpu"], "2000m"),
    Line(
        "path: /actuator/health/liveness",
        lambda: WEB["livenessProbe"]["httpGet"]["path"],
        "/health/live",
        decision=34,
    ),
    Line("port: 8080", lambda: WEB["ports"][0], {"name": "http", "containerPort": 8080}),
    Line("initialDelaySeconds: 60", lambda: WEB["livenessProbe"]["initialDelaySeconds"], 60),
    Line("periodSeconds: 10", lambda: WEB["livenessProbe"]["periodSeconds"], 10),
    Line(
        "path: /actuator/health/readiness",
        lambda: WEB["readinessProbe"]["httpGet"]["path"],
        "/health/ready",
        decision=34,
    ),
    Line("initialDelaySeconds: 30", lambda: WEB["readinessProbe"]["initialDelaySeconds"], 30),
    Line("periodSeconds: 5", lambda: WEB["readinessProbe"]["periodSeconds"], 5),
    # Horizontal Pod Autoscaler
    Line("name: clinicx-backend-hpa", lambda: SCALER["metadata"]["name"], "clinicx-backend-hpa"),
    Line(
        "scaleTargetRef: / kind: Deployment / name: clinicx-backend",
        lambda: (
            SCALER["spec"]["scaleTargetRef"]["kind"],
            SCALER["spec"]["scaleTargetRef"]["name"],
        ),
        ("Deployment", "clinicx-backend"),
    ),
    Line("minReplicas: 3", lambda: SCALER["spec"]["minReplicas"], 3),
    Line("maxReplicas: 50", lambda: SCALER["spec"]["maxReplicas"], 50),
    Line("name: cpu / averageUtilization: 70", lambda: target("cpu"), 70),
    Line("name: memory / averageUtilization: 80", lambda: target("memory"), 80),
    Line(
        "scaleDown: / stabilizationWindowSeconds: 300",
        lambda: scale("scaleDown")["stabilizationWindowSeconds"],
        300,
    ),
    Line(
        "type: Percent / value: 10 / periodSeconds: 60",
        lambda: scale("scaleDown")["policies"],
        [{"type": "Percent", "value": 10, "periodSeconds": 60}],
    ),
    Line(
        "scaleUp: / stabilizationWindowSeconds: 60",
        lambda: scale("scaleUp")["stabilizationWindowSeconds"],
        60,
    ),
    Line(
        "type: Percent / value: 100 / periodSeconds: 30",
        lambda: scale("scaleUp")["policies"][0],
        {"type": "Percent", "value": 100, "periodSeconds": 30},
    ),
    Line(
        "type: Pods / value: 5 / periodSeconds: 60",
        lambda: scale("scaleUp")["policies"][1],
        {"type": "Pods", "value": 5, "periodSeconds": 60},
    ),
    # Service Configuration
    Line(
        "name: clinicx-backend-service",
        lambda: load(BASE / "backend" / "service.yaml")["metadata"]["name"],
        "clinicx-backend-service",
    ),
    Line("port: 80", lambda: SERVICE["ports"][0]["port"], 80),
    Line("targetPort: 8080", lambda: SERVICE["ports"][0]["targetPort"], 8080),
    Line("type: ClusterIP", lambda: SERVICE["type"], "ClusterIP"),
    Line(
        "sessionAffinity: None  # No session affinity needed",
        lambda: SERVICE["sessionAffinity"],
        "None",
    ),
    # Application-Level Pooling (HikariCP)
    Line("maximum-pool-size: 20", lambda: pool.SIZE, 20),
    Line("minimum-idle: 5", lambda: pool.MIN_SIZE, 5),
    Line("connection-timeout: 30000", lambda: pool.TIMEOUT_SECONDS * 1000, 30000),
    Line("idle-timeout: 600000", lambda: pool.MAX_IDLE_SECONDS * 1000, 600000),
    Line("max-lifetime: 1800000", lambda: pool.MAX_LIFETIME_SECONDS * 1000, 1800000),
    Line("Example: 10 pods * 20 = 200 connections", lambda: 10 * pool.SIZE, 200),
    # PgBouncer Configuration
    Line(
        "(Optional but Recommended)",
        lambda: "pgbouncer" in variable(WEB, "DB_HOST"),
        True,
        decision=34,
    ),
    Line("name: pgbouncer-config", lambda: POOLER_CONFIG["metadata"]["name"], "pgbouncer-config"),
    Line(
        "clinicx = host=postgres-service port=5432 dbname=clinicx",
        lambda: ini("clinicx"),
        ["host=postgres-service port=5432 dbname=clinicx"],
    ),
    Line("listen_port = 6432", lambda: ini("listen_port"), ["6432"]),
    Line("listen_addr = *", lambda: ini("listen_addr"), ["*"]),
    Line("auth_type = md5", lambda: ini("auth_type"), ["scram-sha-256"], decision=34),
    Line("pool_mode = transaction", lambda: ini("pool_mode"), ["transaction"]),
    Line("max_client_conn = 1000", lambda: ini("max_client_conn"), ["1000"]),
    Line("default_pool_size = 25", lambda: ini("default_pool_size"), ["25"]),
    Line("reserve_pool_size = 5", lambda: ini("reserve_pool_size"), ["5"]),
    Line("reserve_pool_timeout = 3", lambda: ini("reserve_pool_timeout"), ["3"]),
    Line("server_idle_timeout = 600", lambda: ini("server_idle_timeout"), ["600"]),
    Line("server_lifetime = 3600", lambda: ini("server_lifetime"), ["300"], decision=35),
    Line("name: pgbouncer", lambda: POOLER["metadata"]["name"], "pgbouncer"),
    Line("replicas: 2  # HA setup", lambda: POOLER["spec"]["replicas"], 2),
    Line(
        "app: pgbouncer",
        lambda: POOLER["spec"]["selector"]["matchLabels"],
        {"app": "pgbouncer"},
    ),
    Line(
        "image: pgbouncer/pgbouncer:latest",
        lambda: POOLER_POD["containers"][0]["image"],
        "edoburu/pgbouncer:v1.25.2-p0",
        decision=34,
    ),
    Line(
        "containerPort: 6432",
        lambda: POOLER_POD["containers"][0]["ports"][0]["containerPort"],
        6432,
    ),
    Line(
        "mountPath: /etc/pgbouncer",
        lambda: POOLER_POD["containers"][0]["volumeMounts"][0],
        {"name": "config", "mountPath": "/etc/pgbouncer", "readOnly": True},
    ),
    Line(
        "configMap: / name: pgbouncer-config",
        lambda: POOLER_POD["volumes"][0],
        {"name": "config", "configMap": {"name": "pgbouncer-config"}},
    ),
    # Load Distribution
    Line("With 5 backend pods and 50 active tenants", lambda: BACKEND["spec"]["replicas"], 5),
    Line(
        "Average: 10 concurrent tenants per pod",
        lambda: 50 / BACKEND["spec"]["replicas"],
        10,
    ),
    Line(
        "Max PostgreSQL connections: 500",
        lambda: SERVER["postgresql"]["parameters"]["max_connections"],
        "500",
    ),
    Line(
        "PgBouncer pool: 250 active connections",
        lambda: (
            POOLER["spec"]["replicas"]
            * (int(ini("default_pool_size")[0]) + int(ini("reserve_pool_size")[0]))
        ),
        60,
        decision=35,
    ),
    Line("Maximum pods: 250 / 20 = 12 pods", lambda: 250 // pool.SIZE, 12, decision=35),
    Line("Per pod: 20 connections", lambda: variable(WEB, "DB_POOL_SIZE"), "20"),
    Line("Transaction pooling mode", lambda: ini("pool_mode"), ["transaction"]),
    Line(
        "Effective connections: 1000+",
        lambda: SCALER["spec"]["maxReplicas"] * pool.SIZE,
        int(ini("max_client_conn")[0]),
        decision=35,
    ),
    Line("Maximum pods: 50+", lambda: SCALER["spec"]["maxReplicas"], 50),
    # Best Practices
    Line("config.setMaximumPoolSize(20);", lambda: pool.SIZE, 20),
    Line("config.setMinimumIdle(5);", lambda: pool.MIN_SIZE, 5),
    Line("config.setConnectionTimeout(30000);", lambda: pool.TIMEOUT_SECONDS * 1000, 30000),
    Line(
        "Request for clinic1.clinicx.com",
        lambda: load(BASE / "configmap.yaml")["data"]["BASE_DOMAIN"],
        "clinicx.com",
    ),
    Line("search_path = tenant_clinic1", lambda: Settings.SCHEMA_PREFIX, "tenant_"),
    Line(
        'prefixCacheNameWith("clinicx:")',
        lambda: caches(redis_url="redis://unused")["default"]["KEY_PREFIX"],
        "clinicx",
    ),
    Line(
        "entryTtl(Duration.ofMinutes(10))",
        lambda: caches(redis_url="redis://unused")["default"]["TIMEOUT"],
        timedelta(minutes=10).total_seconds(),
    ),
    Line(
        "No session state in pods",
        lambda: settings.SESSION_ENGINE,
        "tenancy.sessions.db",
    ),
]

# Key Metrics to Monitor, with the labels that each is to have.
METRICS = [
    Line(
        "name: tenant_requests_total / labels: [tenant_id, pod_name]",
        lambda: (names.REQUESTS.name, names.REQUESTS.labels),
        ("tenant_requests_total", ("tenant_id", "pod_name")),
    ),
    Line(
        "name: schema_switch_duration_seconds / labels: [tenant_id]",
        lambda: (names.SWITCH.name, names.SWITCH.kind, names.SWITCH.labels),
        ("schema_switch_duration_seconds", "histogram", ("tenant_id",)),
    ),
    Line(
        "name: db_connections_active / labels: [pod_name]",
        lambda: (names.CONNECTIONS_ACTIVE.name, names.CONNECTIONS_ACTIVE.labels),
        ("db_connections_active", ("pod_name",)),
    ),
    Line(
        "name: tenant_response_time_seconds / labels: [tenant_id, endpoint]",
        lambda: (names.RESPONSE_TIME.name, names.RESPONSE_TIME.kind, names.RESPONSE_TIME.labels),
        ("tenant_response_time_seconds", "histogram", ("tenant_id", "endpoint")),
    ),
    Line(
        '"title": "ClinicX Multi-Tenant Monitoring"',
        lambda: BOARD["title"],
        "ClinicX Multi-Tenant Monitoring",
    ),
    Line(
        '"title": "Requests per Tenant" / '
        '"query": "sum(rate(tenant_requests_total[5m])) by (tenant_id)"',
        lambda: panel("Requests per Tenant"),
        # The board's own choice of clinics beside.
        'sum(rate(tenant_requests_total{tenant_id=~"$tenant"}[5m])) by (tenant_id)',
    ),
    Line(
        '"title": "Active Connections per Pod" / "query": "db_connections_active"',
        lambda: panel("Active Connections per Pod"),
        "db_connections_active",
    ),
    Line(
        '"title": "Schema Switch Performance"',
        lambda: panel("Schema Switch Performance"),
        "histogram_quantile(0.95, sum(rate(schema_switch_duration_seconds_bucket"
        '{tenant_id=~"$tenant"}[5m])) by (le))',
    ),
    Line('.withDetail("mode", "schema-per-tenant")', lambda: facts.MODE, "schema-per-tenant"),
]

# Scaling Scenarios: what each line says, and the overlay that is it.
SCENARIOS = [
    Line(
        "Scenario 1: Normal Load (50-100 tenants)",
        lambda: scenario("production")["host"],
        "pgbouncer",
    ),
    Line("pods: 3-5", lambda: scenario("staging")["pods"], (3, 5)),
    Line("connections_per_pod: 20", lambda: scenario("production")["connections"], 20),
    Line("total_connections: 60-100", lambda: totals("staging"), (60, 100)),
    Line("cpu_per_pod: 1-2 cores", lambda: scenario("production")["cpu"], ("1000m", "2000m")),
    Line("memory_per_pod: 2-3 GB", lambda: scenario("production")["memory"], ("2Gi", "3Gi")),
    Line("Scenario 2: High Load (200-300 tenants)", lambda: scenario("high")["host"], "pgbouncer"),
    Line("pods: 10-15", lambda: scenario("high")["pods"], (10, 15)),
    Line("connections_per_pod: 15", lambda: scenario("high")["connections"], 15),
    Line("total_connections: 150-225", lambda: totals("high"), (150, 225)),
    Line("cpu_per_pod: 2 cores", lambda: scenario("high")["cpu"], ("2000m", "2000m")),
    Line("memory_per_pod: 3 GB", lambda: scenario("high")["memory"], ("3Gi", "3Gi")),
    Line("pgbouncer: enabled", lambda: scenario("high")["host"], "pgbouncer"),
    Line("Scenario 3: Peak Load (500+ tenants)", lambda: scenario("peak")["host"], "pgbouncer"),
    Line("pods: 20-30", lambda: scenario("peak")["pods"], (20, 30)),
    Line("connections_per_pod: 10", lambda: scenario("peak")["connections"], 10),
    Line("total_connections: 200-300", lambda: totals("peak"), (200, 300)),
    Line("cpu_per_pod: 2 cores", lambda: scenario("peak")["cpu"], ("2000m", "2000m")),
    Line("memory_per_pod: 4 GB", lambda: scenario("peak")["memory"], ("4Gi", "4Gi")),
    Line("pgbouncer: required", lambda: scenario("peak")["host"], "pgbouncer"),
    Line("cache_layer: Redis cluster", lambda: redis_replicas(), 1, decision=36),
]  # fmt: skip


def totals(overlay: str) -> tuple[int, int]:
    found = scenario(overlay)
    fewest, most = found["pods"]
    return fewest * found["connections"], most * found["connections"]


def redis_replicas() -> int:
    return manifests.find(manifests.overlay("peak"), "StatefulSet", "redis")["spec"]["replicas"]


class TestDocument:
    @pytest.mark.parametrize("line", [*LINES, *METRICS, *SCENARIOS], ids=lambda line: line.quote)
    def test_is_kept_or_a_decision_says_why_not(self, line: Line) -> None:
        assert line.found() == line.wanted

    @pytest.mark.parametrize(
        "line",
        [line for line in [*LINES, *SCENARIOS] if line.decision],
        ids=lambda line: line.quote,
    )
    def test_is_quoted_by_the_decision(self, line: Line) -> None:
        (decision,) = DECISIONS.glob(f"{line.decision:04}-*.md")

        text = decision.read_text()
        assert [part for part in line.quote.split(" / ") if part not in text] == []
