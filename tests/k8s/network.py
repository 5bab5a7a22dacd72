"""
Who may connect to whom, by the NetworkPolicies alone: as a cluster would decide it.

A connection needs the consent of both ends: a policy that selects the one who asks and lets
it out, and one that selects who is asked and lets it in. Who is selected by no policy of a
direction is free in it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from tests.k8s import manifests
from tests.k8s.manifests import Object

NAMESPACE = "clinicx"


@dataclass(frozen=True)
class Peer:
    """A pod, or an address outside the cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    namespace: str = NAMESPACE
    ports: dict[str, int] = field(default_factory=dict, hash=False)
    address: str = ""


def peers(objects: tuple[Object, ...]) -> list[Peer]:
    """Return one pod of each kind that the manifests make, by the name of its application."""
    found = {
        each.labels["app"]: Peer(each.labels["app"], each.labels, ports=each.ports)
        for each in manifests.workloads(objects)
    }
    # CloudNativePG makes these: its labels and its ports.
    for document in objects:
        kind, name = manifests.of(document)
        if kind == "Cluster":
            ports = {"postgresql": 5432, "status": 8000, "metrics": 9187}
            found[name] = Peer(name, {"cnpg.io/cluster": name}, ports=ports)
    return list(found.values())


def may_connect(objects: tuple[Object, ...], who: Peer, to: Peer, port: int) -> bool:
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    return _lets(policies, "Egress", of=who, other=to, asked=to, port=port) and _lets(
        policies, "Ingress", of=to, other=who, asked=to, port=port
    )


def _lets(
    policies: list[Object], direction: str, *, of: Peer, other: Peer, asked: Peer, port: int
) -> bool:
    if of.address or of.namespace != NAMESPACE:
        return True  # no policy of ours selects it
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], of.labels)
    ]
    side, key = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return not selecting or any(
        _is_port(rule, asked, port) and any(_is_peer(each, other) for each in rule[key])
        for spec in selecting
        for rule in spec.get(side, [])
    )


def _is_port(rule: dict[str, Any], asked: Peer, port: int) -> bool:
    return any(
        each["port"] == port or asked.ports.get(each["port"]) == port for each in rule["ports"]
    )


def _is_peer(entry: dict[str, Any], peer: Peer) -> bool:
    if block := entry.get("ipBlock"):
        if not peer.address:
            return False
        address = ipaddress.ip_address(peer.address)
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(each) for each in block.get("except", [])
        )
    if peer.address:
        return False
    if "namespaceSelector" in entry:
        named = {"kubernetes.io/metadata.name": peer.namespace}
        if not _selects(entry["namespaceSelector"], named):
            return False
    elif peer.namespace != NAMESPACE:
        return False
    return _selects(entry.get("podSelector", {}), peer.labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in wanted)
