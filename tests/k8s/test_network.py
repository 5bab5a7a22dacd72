"""The pairs that may connect, computed from the policies: these and no other."""

from __future__ import annotations

import pytest

from tests.k8s import manifests, network
from tests.k8s.network import Peer

# Everything that is asked inside the namespace, as who -> whom: port. All else is refused.
PAIRS = {
    ("clinicx-backend", "pgbouncer", 6432),
    ("clinicx-backend", "redis", 6379),
    ("clinicx-backend", "keycloak", 8443),
    ("clinicx-worker", "pgbouncer", 6432),
    ("clinicx-worker", "redis", 6379),
    ("clinicx-owner-worker", "postgres", 5432),
    ("clinicx-owner-worker", "redis", 6379),
    ("clinicx-beat", "redis", 6379),
    ("clinicx-jobs", "postgres", 5432),
    ("clinicx-jobs", "redis", 6379),
    ("pgbouncer", "postgres", 5432),
    ("keycloak", "postgres", 5432),
    ("keycloak", "keycloak", 7800),
    ("keycloak", "keycloak", 57800),
    ("postgres", "postgres", 5432),
    ("postgres", "postgres", 8000),
}
OF_CITUS = {
    (who, whom, port)
    for who in ("postgres", "postgres-worker-1", "postgres-worker-2")
    for whom in ("postgres", "postgres-worker-1", "postgres-worker-2")
    for port in (5432, 8000)
}

INGRESS = Peer("ingress", {"app": "ingress"}, namespace="ingress-nginx")
PROMETHEUS = Peer("prometheus", {"app": "prometheus"}, namespace="monitoring")
OPERATOR = Peer("operator", {"app": "operator"}, namespace="cnpg-system")
STRANGER = Peer("stranger", {"app": "stranger"}, namespace="default")
# In our namespace, and nobody's: a pod that somebody started by hand, or broke in with.
PROBE = Peer("probe", {"app": "probe"})
DNS = Peer("dns", {"k8s-app": "kube-dns"}, namespace="kube-system", ports={"dns": 53})
METADATA = Peer("metadata", address="169.254.169.254")
INTERNET = Peer("internet", address="198.51.100.7")

PORTS = (53, 80, 443, 5432, 6379, 6432, 6443, 7800, 8000, 8080, 8443, 9000, 9102, 9127, 9187, 57800)

FROM_OUTSIDE = {
    ("ingress", "clinicx-backend", 8080),
    ("ingress", "keycloak", 8443),
    ("prometheus", "clinicx-backend", 9102),
    ("prometheus", "clinicx-worker", 9102),
    ("prometheus", "clinicx-owner-worker", 9102),
    ("prometheus", "pgbouncer", 9127),
    ("prometheus", "postgres", 9187),
    ("prometheus", "keycloak", 9000),
    ("operator", "postgres", 8000),
}


@pytest.fixture(params=manifests.OVERLAYS)
def objects(request):
    return manifests.overlay(request.param)


@pytest.fixture
def peers(objects):
    return network.peers(objects)


def connections(objects, asking, asked, ports=PORTS):
    return {
        (who.name, whom.name, port)
        for who in asking
        for whom in asked
        for port in ports
        if network.may_connect(objects, who, whom, port)
    }


def among(pairs, names):
    return {(who, whom, port) for who, whom, port in pairs if {who, whom} <= names}


class TestInside:
    def test_only_the_listed_pairs_connect(self, objects, peers):
        names = {peer.name for peer in peers}

        found = connections(objects, peers, peers)

        wanted = PAIRS | (OF_CITUS if "postgres-worker-1" in names else set())
        assert found == among(wanted, names)

    def test_a_pod_of_no_application_reaches_nobody_and_is_reached_by_nobody(self, objects, peers):
        assert connections(objects, [PROBE], peers) == set()
        assert connections(objects, peers, [PROBE]) == set()
        assert connections(objects, [PROBE], [INTERNET, METADATA]) == set()


class TestFromOutside:
    def test_only_the_listed_pairs_connect(self, objects, peers):
        names = {peer.name for peer in peers}
        asking = [INGRESS, PROMETHEUS, OPERATOR, STRANGER]

        found = connections(objects, asking, peers)

        wanted = {each for each in FROM_OUTSIDE if each[1] in names}
        if "postgres-worker-1" in names:
            wanted |= {
                (who, f"postgres-worker-{number}", port)
                for number in (1, 2)
                for who, port in (("operator", 8000), ("prometheus", 9187))
            }
        assert found == wanted


class TestToOutside:
    def test_nobody_reaches_the_metadata_address(self, objects, peers):
        assert connections(objects, [*peers, PROBE], [METADATA]) == set()

    def test_only_postgresql_reaches_the_internet_for_its_archive(self, objects, peers):
        found = connections(objects, peers, [INTERNET])

        assert {who for who, _, _ in found} == {
            peer.name for peer in peers if peer.name.startswith("postgres")
        }
        assert {port for _, _, port in found} == {443, 6443}

    def test_everybody_may_ask_for_a_name(self, objects, peers):
        assert connections(objects, peers, [DNS]) == {(peer.name, "dns", 53) for peer in peers}


class TestTheComputation:
    """The same questions, of manifests in which a line is missing."""

    def test_finds_what_a_missing_default_opens(self):
        objects = manifests.overlay("production")
        without = tuple(
            each for each in objects if manifests.of(each) != ("NetworkPolicy", "default-deny")
        )
        # The names of ports are answered for pods that no policy selects.
        probe = [PROBE]

        assert connections(without, network.peers(without), probe) == set()
        assert connections(without, [INGRESS], probe) != set()

    def test_finds_what_a_missing_policy_closes(self):
        objects = manifests.overlay("production")
        without = tuple(
            each for each in objects if manifests.of(each) != ("NetworkPolicy", "pgbouncer")
        )
        peers = network.peers(without)

        assert not {each for each in connections(without, peers, peers) if "pgbouncer" in each}
