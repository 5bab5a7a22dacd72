"""The manifests are valid, pinned, restricted, and have the numbers that were agreed on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s" / "base"
FILES = sorted(path for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")
VERSIONS = ("1.29", "1.30", "1.31", "1.32", "1.33")


def load(path: Path) -> dict[str, Any]:
    (document,) = yaml.safe_load_all(path.read_text())
    return document


@pytest.fixture
def deployment() -> dict[str, Any]:
    return load(BASE / "deployment.yaml")


@pytest.fixture
def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


@pytest.fixture
def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


class TestFiles:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_are_what_kubernetes_accepts(self, path, version):
        kubernetes_validate.validate(load(path), version, strict=True)

    def test_are_all_in_the_kustomization(self):
        listed = load(BASE / "kustomization.yaml")["resources"]

        assert sorted(listed) == [path.name for path in FILES]

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_are_named_after_the_one_object_in_them(self, path):
        assert load(path)["kind"].lower() == path.stem


class TestDeployment:
    def test_has_the_names_and_numbers_of_the_architecture(self, deployment, container, variables):
        spec = deployment["spec"]
        assert deployment["metadata"]["name"] == container["name"] == "clinicx-backend"
        assert spec["replicas"] == 5
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert container["resources"] == {
            "requests": {"memory": "2Gi", "cpu": "1000m"},
            "limits": {"memory": "3Gi", "cpu": "2000m"},
        }
        assert variables["DB_HOST"] == "postgres-service.clinicx.svc.cluster.local"
        assert variables["DB_PORT"] == "5432"
        assert variables["DB_NAME"] == "clinicx"
        assert variables["DB_POOL_SIZE"] == "20"
        assert container["ports"][0]["containerPort"] == 8080

    @pytest.mark.parametrize(
        ("probe", "delay", "period"), [("livenessProbe", 60, 10), ("readinessProbe", 30, 5)]
    )
    def test_asks_after_its_pods_as_agreed(self, container, probe, delay, period):
        assert container[probe]["initialDelaySeconds"] == delay
        assert container[probe]["periodSeconds"] == period

    def test_runs_the_version_that_the_code_has(self, container):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

        assert container["image"] == f"clinicx/backend:{project['version']}"

    def test_uses_a_variable_only_after_it_was_set(self, container):
        """Kubernetes leaves $(NAME) as it stands where NAME comes later in the list."""
        known: set[str] = set()
        for each in container["env"]:
            for name in [part.split(")")[0] for part in each.get("value", "").split("$(")[1:]]:
                assert name in known
            known.add(each["name"])

    def test_needs_no_privilege(self, deployment, container):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


class TestService:
    def test_sends_port_80_to_any_pod(self, deployment):
        service = load(BASE / "service.yaml")

        assert service["metadata"]["name"] == "clinicx-backend-service"
        spec = service["spec"]
        assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "None")
        assert [(each["port"], each["targetPort"]) for each in spec["ports"]] == [(80, 8080)]
        assert spec["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
