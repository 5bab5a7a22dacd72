"""The pods that serve: the names and numbers that were asked for, and what they need to drain."""

from __future__ import annotations

import tomllib

import pytest

from clinicx import gunicorn
from tests.k8s import manifests
from tests.k8s.manifests import BASE, ROOT, load


@pytest.fixture
def deployment():
    return load(BASE / "backend" / "deployment.yaml")


@pytest.fixture
def pod(deployment):
    return deployment["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


class TestDeployment:
    def test_has_its_init_container_ask_whether_all_is_migrated(self, pod):
        (gate,) = pod["initContainers"]

        assert gate["args"] == ["check-migrated"]
        assert gate["image"] == pod["containers"][0]["image"]

    def test_alone_of_its_containers_the_gate_knows_the_owner(self, pod, container):
        def names(of):
            return {each["name"] for each in of["env"]}

        assert {"DDL_PASSWORD", "DATABASE_DDL_URL"} <= names(pod["initContainers"][0])
        assert not names(container) & {"DDL_PASSWORD", "DATABASE_DDL_URL"}

    def test_says_which_pooler_it_must_find(self, container):
        variables = {each["name"]: each.get("value") for each in container["env"]}

        assert variables["DB_POOLER_MODE"] == "transaction"
        config = load(BASE / "pgbouncer" / "configmap.yaml")["data"]["pgbouncer.ini"]
        assert "\npool_mode = transaction\n" in config
        assert f"\nlisten_port = {variables['DB_PORT']}\n" in config

    def test_is_not_killed_while_it_drains(self, pod, container):
        (_, seconds) = container["lifecycle"]["preStop"]["exec"]["command"]

        assert pod["terminationGracePeriodSeconds"] > int(seconds) + gunicorn.graceful_timeout

    def test_waits_for_the_slowest_recovery_that_was_measured(self, container):
        """148 seconds, at 5,000 schemas, should a pod ever be silent for as long as that takes."""
        probe = container["startupProbe"]

        assert probe["periodSeconds"] * probe["failureThreshold"] > 148

    def test_writes_to_one_place_and_to_memory(self, container):
        """Every pod has /dev/shm; gunicorn's heartbeats are there."""
        writable = [
            each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")
        ]

        assert writable == ["/tmp"]  # noqa: S108  # a volume of the pod's own
        assert gunicorn.worker_tmp_dir == "/dev/shm"  # noqa: S108


class TestVersion:
    VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    @pytest.mark.parametrize("name", manifests.OVERLAYS)
    def test_is_the_codes_in_every_pod(self, name):
        images = {
            container["image"]
            for each in manifests.workloads(manifests.overlay(name))
            for container in each.containers
            if container["image"].startswith("clinicx/backend")
        }

        assert images == {f"clinicx/backend:{self.VERSION}"}

    def test_is_in_the_name_of_the_job(self):
        job = load(BASE / "jobs" / "job-migrate.yaml")

        assert job["metadata"]["name"] == f"clinicx-migrate-{self.VERSION.replace('.', '-')}"


class TestService:
    def test_sends_what_it_gets_to_the_pods_that_serve(self, deployment, container):
        spec = load(BASE / "backend" / "service.yaml")["spec"]

        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert spec["selector"].items() <= labels.items()
        assert spec["selector"] == deployment["spec"]["selector"]["matchLabels"]
        (port,) = spec["ports"]
        assert port["targetPort"] in {each["containerPort"] for each in container["ports"]}
