"""What `connection_plan` takes for deployed is what the manifests deploy."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import yaml

from clinicx.settings import pool

BASE = Path(__file__).parents[2] / "k8s" / "base"
PLAN = pool.connections()


def load(path: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((BASE / path).read_text())
    return document


def variables(manifest: dict[str, Any]) -> dict[str, str]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


class TestPlan:
    def test_has_the_pods_of_the_manifests(self) -> None:
        backend = load("backend/deployment.yaml")

        assert PLAN["pods"] == backend["spec"]["replicas"]
        assert PLAN["workers"] == int(variables(backend)["WEB_WORKERS"])
        assert PLAN["pool"] == int(variables(backend)["DB_POOL_SIZE"])
        assert PLAN["mode"] == variables(backend)["DB_POOLER_MODE"]
        autoscaler = load("backend/horizontalpodautoscaler.yaml")
        assert PLAN["pods_at_most"] == autoscaler["spec"]["maxReplicas"]

    def test_has_the_poolers_of_the_manifests(self) -> None:
        told = configparser.ConfigParser(strict=False, comment_prefixes=(";", "%"))
        told.read_string(load("pgbouncer/configmap.yaml")["data"]["pgbouncer.ini"])
        numbers = told["pgbouncer"]

        assert PLAN["poolers"] == load("pgbouncer/deployment.yaml")["spec"]["replicas"]
        assert PLAN["pool_size"] == int(numbers["default_pool_size"])
        assert PLAN["reserve"] == int(numbers["reserve_pool_size"])
        assert PLAN["max_client_conn"] == int(numbers["max_client_conn"])
        assert numbers["pool_mode"] == PLAN["mode"]

    def test_has_the_server_of_the_manifests(self) -> None:
        parameters = load("postgres/cluster.yaml")["spec"]["postgresql"]["parameters"]

        assert PLAN["max_connections"] == int(parameters["max_connections"])

    def test_counts_keycloak_at_the_server(self) -> None:
        keycloak = load("keycloak/statefulset.yaml")
        pool_size = int(variables(keycloak)["KC_DB_POOL_MAX_SIZE"])

        assert PLAN["direct"] >= keycloak["spec"]["replicas"] * pool_size
