"""Every file holds one object, is listed, and is what Kubernetes accepts."""

from __future__ import annotations

import json
import re

import kubernetes_validate
import pytest
import yaml

from tests.k8s import manifests
from tests.k8s.manifests import BASE, K8S, OVERLAYS, VERSIONS, load, of

FILES = manifests.files()

# What operators bring, and what each must at least say. Their schemas are not at hand: this
# finds a word that is missing or misspelt, and not every one.
SHAPES = {
    "barmancloud.cnpg.io/v1 ObjectStore": {"configuration", "retentionPolicy"},
    "cert-manager.io/v1 Certificate": {"secretName", "issuerRef"},
    "cert-manager.io/v1 Issuer": {"ca|selfSigned"},
    "external-secrets.io/v1 ExternalSecret": {"secretStoreRef", "target", "data"},
    "monitoring.coreos.com/v1 PodMonitor": {"selector", "podMetricsEndpoints"},
    "monitoring.coreos.com/v1 PrometheusRule": {"groups"},
    "monitoring.coreos.com/v1 ServiceMonitor": {"selector", "endpoints"},
    "postgresql.cnpg.io/v1 Cluster": {"instances", "storage", "imageCatalogRef", "bootstrap"},
    "postgresql.cnpg.io/v1 Database": {"name", "owner", "cluster"},
    "postgresql.cnpg.io/v1 ImageCatalog": {"images"},
    "postgresql.cnpg.io/v1 ScheduledBackup": {"schedule", "cluster", "method"},
}


def ident(path) -> str:
    return str(path.relative_to(K8S))


class TestFiles:
    def test_are_all_listed(self):
        there = {path for path in BASE.rglob("*.yaml") if path.name != "kustomization.yaml"}

        assert there == {path for path in FILES if BASE in path.parents}

    @pytest.mark.parametrize("path", FILES, ids=ident)
    def test_are_named_after_the_one_object_in_them(self, path):
        kind, name = of(load(path))

        word, _, rest = path.stem.partition("-")
        if path.stem == "grafana-dashboard":
            word, rest = "configmap", "grafana-dashboard"
        assert word == kind.lower()
        assert all(part in name for part in rest.split("-")), f"{path.stem} holds {name}"

    @pytest.mark.parametrize("folder", ["base", "external-secrets"])
    def test_make_no_object_twice(self, folder):
        objects = manifests.build(folder)

        assert len(set(map(of, objects))) == len(objects)


@pytest.fixture(scope="module")
def distinct():
    """Every object of every overlay, those that are the same in several of them once."""
    return {
        json.dumps(document, sort_keys=True): document
        for name in OVERLAYS
        for document in manifests.overlay(name)
    }.values()


class TestOverlay:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_is_what_kubernetes_accepts(self, distinct, version):
        for document in distinct:
            if manifests.is_of_kubernetes(document):
                kubernetes_validate.validate(document, version, strict=True)

    @pytest.mark.parametrize(
        "folder", [*(f"overlays/{name}" for name in OVERLAYS), "external-secrets"]
    )
    def test_has_what_operators_want(self, folder):
        for document in manifests.build(folder):
            if not manifests.is_of_kubernetes(document):
                wanted = SHAPES[f"{document['apiVersion']} {document['kind']}"]
                for words in wanted:
                    assert set(words.split("|")) & set(document["spec"]), (of(document), words)

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_is_in_the_namespace_and_part_of_clinicx(self, name):
        for document in manifests.overlay(name):
            if document["kind"] != "Namespace":
                assert document["metadata"]["namespace"] == "clinicx", of(document)

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_says_why_it_is(self, name):
        assert (K8S / "overlays" / name / "kustomization.yaml").read_text().startswith("# ")


class TestWithoutKubectl:
    def test_the_same_objects_are_put_together(self):
        if not manifests.is_built():
            pytest.skip("kubectl with kustomize 5 is not installed; there is nothing to compare")
        ours = list(manifests.put_together(K8S / "overlays" / "production"))
        theirs = manifests.overlay("production")

        def by_name(objects):
            return {of(each): each for each in objects}

        assert by_name(ours) == by_name(theirs)
        assert len(ours) == len(theirs)

    def test_not_all_overlays_are_looked_at(self):
        if not manifests.is_built():
            pytest.skip("kubectl with kustomize 5 is not installed; only `production` is looked at")
        assert manifests.ALL_OVERLAYS == OVERLAYS


class TestNumbers:
    """A number without a reason is one that nobody dares to change."""

    # What stands beside it says enough: ports and versions of what is addressed, shares of 100.
    SELF_EVIDENT = re.compile(
        r"(port|targetPort|containerPort|apiVersion|image|name|uid|runAs\w+|fsGroup|maxSkew"
        r"|periodSeconds|timeoutSeconds|averageUtilization|value|defaultMode)$"
    )

    @pytest.mark.parametrize("path", FILES, ids=ident)
    def test_are_in_a_file_that_gives_reasons(self, path):
        text = path.read_text()
        numbers = [
            line
            for line in text.splitlines()
            if (found := re.match(r"\s*(?:- )?([\w.]+): \"?(\d[\w.%]*)\"?$", line))
            and not self.SELF_EVIDENT.search(found[1])
        ]

        assert not numbers or "# " in text or "; " in text


class TestRealmTemplate:
    def test_is_a_realm_that_wants_a_second_factor_and_pkce(self):
        data = load(BASE / "keycloak" / "configmap.yaml")["data"]["realm.json"]
        realm = json.loads(data)

        assert realm["realm"] == "${SLUG}"
        assert realm["sslRequired"] == "all"
        assert realm["bruteForceProtected"] is True
        assert [each["defaultAction"] for each in realm["requiredActions"]] == [True]
        (client,) = realm["clients"]
        assert client["attributes"]["pkce.code.challenge.method"] == "S256"
        assert client["redirectUris"] == ["https://${SLUG}.${BASE_DOMAIN}/oidc/callback/"]
        assert not client["implicitFlowEnabled"]
        assert not client["directAccessGrantsEnabled"]


def test_every_file_is_one_document():
    for path in K8S.rglob("*.yaml"):
        assert len(list(yaml.safe_load_all(path.read_text()))) == 1, path
