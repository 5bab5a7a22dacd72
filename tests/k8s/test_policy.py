"""What every pod of every overlay must be: pinned, bounded, restricted, and known to the code."""

from __future__ import annotations

import itertools
import re

import pytest
from django.core.management import get_commands

from clinicx.__main__ import ALIVE, PROGRAMS
from tests.k8s import manifests
from tests.k8s.manifests import BASE, OVERLAYS, ROOT, load

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# Of a Secret's keys, those that somebody else writes: cert-manager and CloudNativePG.
MADE = {
    "clinicx-authority": {"ca.crt", "tls.crt", "tls.key"},
    "clinicx-tls": {"tls.crt", "tls.key"},
    "keycloak-tls": {"ca.crt", "tls.crt", "tls.key"},
    "pgbouncer-tls": {"ca.crt", "tls.crt", "tls.key"},
    "postgres-ca": {"ca.crt"},
    "redis-tls": {"ca.crt", "tls.crt", "tls.key"},
}


def every():
    for name in OVERLAYS:
        for workload in manifests.workloads(manifests.overlay(name)):
            yield name, workload


@pytest.fixture(scope="module")
def workloads():
    return list(every())


@pytest.fixture(scope="module")
def containers(workloads):
    return [
        (f"{name}: {workload}/{container['name']}", container)
        for name, workload in workloads
        for container in workload.containers
    ]


@pytest.fixture(scope="module")
def ours(containers):
    return [each for each in containers if each[1]["image"].startswith("clinicx/backend:")]


class TestPods:
    def test_are_nobody_to_the_cluster(self, workloads):
        account = load(BASE / "serviceaccount.yaml")

        assert account["automountServiceAccountToken"] is False
        for name, workload in workloads:
            assert workload.pod["automountServiceAccountToken"] is False, (name, str(workload))
            assert workload.pod["serviceAccountName"] == account["metadata"]["name"]

    def test_are_what_pod_security_calls_restricted(self, workloads):
        for name, workload in workloads:
            security = workload.pod["securityContext"]
            where = (name, str(workload))
            assert security["runAsNonRoot"] is True, where
            assert security.get("runAsUser", 1) != 0, where
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
            assert not {"hostNetwork", "hostPID", "hostIPC"} & workload.pod.keys(), where
            allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}
            for volume in workload.pod.get("volumes", []):
                assert volume.keys() - {"name"} <= allowed, (where, volume)

    def test_are_enforced_to_be_so(self):
        for name in OVERLAYS:
            namespace = manifests.find(manifests.overlay(name), "Namespace", "clinicx")
            labels = namespace["metadata"]["labels"]
            assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_write_only_to_memory_that_is_bounded(self, workloads):
        for name, workload in workloads:
            for volume in workload.pod.get("volumes", []):
                if "emptyDir" in volume:
                    assert "sizeLimit" in volume["emptyDir"], (name, str(workload), volume)

    def test_have_their_own_labels_chosen_by_who_makes_them(self):
        for name in OVERLAYS:
            for document in manifests.overlay(name):
                if document["kind"] in ("Deployment", "StatefulSet"):
                    wanted = document["spec"]["selector"]["matchLabels"]
                    labels = document["spec"]["template"]["metadata"]["labels"]
                    assert wanted.items() <= labels.items(), manifests.of(document)


class TestContainers:
    def test_are_pinned(self, containers):
        for where, container in containers:
            image, _, tag = container["image"].rpartition(":")
            assert image, where
            assert "/" not in tag, where
            assert tag != "latest", where
            assert re.search(r"\d+\.\d+", tag), where

    def test_have_requests_and_limits_of_memory_and_cpu(self, containers):
        for where, container in containers:
            for bound in ("requests", "limits"):
                assert container["resources"][bound].keys() == {"memory", "cpu"}, where

    def test_have_no_privilege_and_a_root_file_system_that_is_read_only(self, containers):
        for where, container in containers:
            assert container["securityContext"] == RESTRICTED, where

    def test_use_a_variable_only_after_it_was_set(self, containers):
        """Kubernetes leaves $(NAME) as it stands where NAME comes later in the list."""
        for where, container in containers:
            known: set[str] = set()
            for each in container.get("env", []):
                for name in re.findall(r"\$\((\w+)\)", each.get("value", "")):
                    assert name in known, (where, each["name"])
                known.add(each["name"])
            for word in [*container.get("args", []), *container.get("command", [])]:
                assert set(re.findall(r"\$\((\w+)\)", word)) <= known, where

    def test_probe_ports_that_they_have(self, containers):
        for where, container in containers:
            ports = {each["name"] for each in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for how in ("httpGet", "tcpSocket"):
                    if asked := container.get(probe, {}).get(how):
                        assert asked["port"] in ports, (where, probe)

    def test_that_run_for_long_are_asked_whether_they_live(self, workloads):
        for name, workload in workloads:
            if workload.kind in ("Deployment", "StatefulSet"):
                first = workload.pod["containers"][0]
                assert {"startupProbe", "livenessProbe"} <= first.keys(), (name, str(workload))


class TestOurImage:
    """What the code says of itself is what the manifests say of it."""

    def test_is_given_words_that_it_knows(self, ours):
        for where, container in ours:
            if "command" in container:
                python, manage, command, *_ = container["command"]
                assert (python, manage) == ("python", "manage.py"), where
                assert command in get_commands(), where
            else:
                assert container["args"][0] in PROGRAMS, where

    def test_is_used_for_every_word_that_it_knows(self, ours):
        words = {container["args"][0] for _, container in ours if "args" in container}
        for _, container in ours:
            probe = container.get("livenessProbe", {}).get("exec", {}).get("command", [])
            if probe:
                *program, word = probe
                assert program == ["python", "-m", "clinicx"]
                words.add(word)

        assert words == {*PROGRAMS, ALIVE}

    def test_is_given_variables_that_settings_read(self, ours):
        known = variables_of_settings()
        shared = load(BASE / "configmap.yaml")["data"]
        assert shared.keys() <= known
        for where, container in ours:
            values = " ".join(each.get("value", "") for each in container["env"])
            for each in container["env"]:
                used = f"$({each['name']})" in values
                assert each["name"] in known or used, (where, each["name"])

    def test_is_given_everything_that_settings_demand(self, ours):
        shared = load(BASE / "configmap.yaml")["data"].keys()
        for where, container in ours:
            given = {each["name"] for each in container["env"]} | shared
            assert {"SECRET_KEY", "BASE_DOMAIN", "DATABASE_URL", "REDIS_URL"} <= given, where

    def test_goes_around_the_pooler_where_it_changes_schemas(self):
        """A pooler in transaction mode gives the owner's session to somebody else."""
        for name, workload in every():
            if workload.labels["app"] in ("clinicx-jobs", "clinicx-owner-worker"):
                for container in workload.containers:
                    values = {each["name"]: each.get("value") for each in container["env"]}
                    where = (name, str(workload))
                    assert values["DB_HOST"].startswith("postgres-service."), where
                    assert values["DB_PORT"] == "5432", where


def variables_of_settings() -> set[str]:
    reads = re.compile(r"env\.(?:text|required|boolean|integer|choice)\(\s*\"(\w+)\"")
    sources = (ROOT / "clinicx").rglob("*.py")
    return {name for source in sources for name in reads.findall(source.read_text())}


class TestSecrets:
    def test_are_all_in_the_example_or_made_by_an_operator(self):
        declared = dict(MADE)
        for secret in manifests.build("external-secrets"):
            target = secret["spec"]["target"]
            template = target.get("template", {}).get("data")
            keys = template or {each["secretKey"] for each in secret["spec"]["data"]}
            declared[target["name"]] = set(keys)
        used = set()
        for overlay in OVERLAYS:
            for name, key in _secrets(manifests.overlay(overlay)):
                assert name in declared, (overlay, name)
                assert key is None or key in declared[name], (overlay, name, key)
                used.add(name)
        assert used == declared.keys()


def _secrets(node):
    """Yield each (secret, key) that is named anywhere, and (secret, None) for a whole one."""
    if isinstance(node, dict):
        if reference := node.get("secretKeyRef"):
            yield reference["name"], reference["key"]
        if "secretName" in node:
            for item in node.get("items", [{}]):
                yield node["secretName"], item.get("key")
        for word in ("secret", "passwordSecret", "accessKeyId", "secretAccessKey"):
            if isinstance(named := node.get(word), dict) and "name" in named:
                yield named["name"], named.get("key")
        for named in node.get("secretRefs", []):
            yield named["name"], named["key"]
    children = (
        node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    )
    for child in children:
        yield from _secrets(child)


class TestReferences:
    """What one object calls another is its name in the same overlay."""

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_config_maps_lead_somewhere(self, name):
        objects = manifests.overlay(name)
        there = {of[1] for each in objects if (of := manifests.of(each))[0] == "ConfigMap"}
        for workload in manifests.workloads(objects):
            named = {
                v["configMap"]["name"] for v in workload.pod.get("volumes", []) if "configMap" in v
            }
            named |= {
                source["configMapRef"]["name"]
                for container in workload.containers
                for source in container.get("envFrom", [])
            }
            assert named <= there, str(workload)

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_services_lead_to_ports_of_pods(self, name):
        objects = manifests.overlay(name)
        workloads = list(manifests.workloads(objects))
        for service in objects:
            if service["kind"] != "Service" or "cnpg.io/cluster" in service["spec"]["selector"]:
                continue
            wanted = service["spec"]["selector"].items()
            found = [each for each in workloads if wanted <= each.labels.items()]
            assert found, manifests.of(service)
            # One for each, but for the service by which Prometheus finds whoever has numbers.
            assert len(found) == 1 or service["spec"]["clusterIP"] == "None"
            for each, port in itertools.product(found, service["spec"]["ports"]):
                ports = {*each.ports, *each.ports.values()}
                assert port["targetPort"] in ports, manifests.of(service)

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_hosts_are_services(self, name):
        objects = manifests.overlay(name)
        there = {manifests.of(each)[1] for each in objects if each["kind"] == "Service"}
        for workload in manifests.workloads(objects):
            for container in workload.containers:
                for each in container.get("env", []):
                    for host in re.findall(r"([\w-]+)\.clinicx\.svc", each.get("value", "")):
                        assert host in there, (str(workload), each["name"])

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_ingresses_lead_to_ports_of_services(self, name):
        objects = manifests.overlay(name)
        for ingress in (each for each in objects if each["kind"] == "Ingress"):
            for rule in ingress["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    named = path["backend"]["service"]
                    service = manifests.find(objects, "Service", named["name"])
                    ports = {port["name"] for port in service["spec"]["ports"]}
                    assert named["port"]["name"] in ports

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_monitors_lead_to_ports_of_pods_that_prometheus_may_ask(self, name):
        objects = manifests.overlay(name)
        workloads = list(manifests.workloads(objects))
        for monitor in objects:
            if monitor["kind"] not in ("PodMonitor", "ServiceMonitor"):
                continue
            found = list(_ports_of(monitor, objects, workloads))
            assert found, manifests.of(monitor)
            endpoints = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
            for endpoint in endpoints:
                assert all(endpoint["port"] in ports for ports in found), manifests.of(monitor)

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_of_budgets_and_autoscalers_lead_to_workloads(self, name):
        objects = manifests.overlay(name)
        workloads = list(manifests.workloads(objects))
        for each in objects:
            if each["kind"] == "PodDisruptionBudget":
                wanted = each["spec"]["selector"]["matchLabels"].items()
                assert any(wanted <= workload.labels.items() for workload in workloads)
            if each["kind"] == "HorizontalPodAutoscaler":
                target = each["spec"]["scaleTargetRef"]
                manifests.find(objects, target["kind"], target["name"])


def _ports_of(monitor, objects, workloads):
    """Yield the names of the ports of each pod, or service, that a monitor selects."""
    selector = monitor["spec"]["selector"]
    wanted = selector.get("matchLabels", {}).items()
    anyone = {each["key"]: each["values"] for each in selector.get("matchExpressions", [])}

    def fits(labels):
        return wanted <= labels.items() and all(
            labels.get(key) in values for key, values in anyone.items()
        )

    if monitor["kind"] == "ServiceMonitor":
        for each in objects:
            if each["kind"] == "Service" and fits(each["metadata"].get("labels", {})):
                yield {port["name"] for port in each["spec"]["ports"]}
        return
    if any("cnpg.io/cluster" in key for key, _ in wanted):
        yield {"metrics"}  # as the operator names it
    for workload in workloads:
        if fits(workload.labels):
            yield workload.ports.keys()


class TestManyReplicas:
    @pytest.mark.parametrize("name", [each for each in OVERLAYS if each != "dev"])
    def test_have_a_budget_and_are_spread(self, name):
        objects = manifests.overlay(name)
        budgets = [each["spec"] for each in objects if each["kind"] == "PodDisruptionBudget"]
        for document in objects:
            if (
                document["kind"] in ("Deployment", "StatefulSet")
                and document["spec"]["replicas"] > 1
            ):
                template = document["spec"]["template"]
                labels = template["metadata"]["labels"]
                where = manifests.of(document)
                assert template["spec"]["topologySpreadConstraints"], where
                assert [
                    budget
                    for budget in budgets
                    if budget["selector"]["matchLabels"].items() <= labels.items()
                ], where

    def test_with_budgets_can_still_be_drained(self):
        for name in OVERLAYS:
            for each in manifests.overlay(name):
                if each["kind"] == "PodDisruptionBudget":
                    assert each["spec"].get("minAvailable", 0) in (0, 1)
                    assert each["spec"].get("maxUnavailable") != 0
