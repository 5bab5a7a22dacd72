"""What is in k8s/: the files as they are written, and what kubectl makes of an overlay."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
BASE = K8S / "base"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
VERSIONS = ("1.29", "1.30", "1.31", "1.32", "1.33")

Object = dict[str, Any]


def load(path: Path) -> Object:
    """Return the one object of a file."""
    (document,) = yaml.safe_load_all(path.read_text())
    return document


def files(folder: Path = K8S) -> list[Path]:
    """Return the files of whole objects: overlays have patches beside."""
    listed: list[Path] = []
    for kustomization in sorted(folder.rglob("kustomization.yaml")):
        paths = [kustomization.parent / name for name in load(kustomization)["resources"]]
        listed += [path for path in paths if path.is_file()]
    return listed


@functools.cache
def build(folder: str) -> tuple[Object, ...]:
    """Return the objects that `kubectl apply -k k8s/<folder>` would make."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; it builds the overlays without a cluster, too")
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> tuple[Object, ...]:
    return build(f"overlays/{name}")


def find(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    (found,) = [each for each in objects if of(each) == (kind, name)]
    return found


def of(document: Object) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def is_of_kubernetes(document: Object) -> bool:
    """Whether kubernetes itself knows the kind; operators bring the others."""
    group = document["apiVersion"].partition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


@dataclass(frozen=True)
class Workload:
    """Something that makes pods, and the pods' template."""

    kind: str
    name: str
    labels: dict[str, str]
    pod: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        return {
            port["name"]: port["containerPort"]
            for container in self.pod["containers"]
            for port in container.get("ports", [])
        }


def workloads(objects: tuple[Object, ...]) -> Iterator[Workload]:
    for document in objects:
        kind, name = of(document)
        spec = document.get("spec", {})
        if kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec and "spec" in spec["template"]:
            template = spec["template"]
            yield Workload(kind, name, template["metadata"]["labels"], template["spec"])
