"""What is in k8s/: the files as they are written, and what kubectl makes of an overlay."""

from __future__ import annotations

import functools
import re
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
ALL_OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
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
def is_built() -> bool:
    """Whether there is a kubectl that builds overlays; Debian 12's own is too old for ours."""
    if shutil.which("kubectl") is None:
        return False
    done = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True)
    found = re.search(r"Kustomize Version: v(\d+)", done.stdout)
    return found is not None and int(found[1]) >= 5


# Without kubectl the one that has no patch can be put together from its files.
OVERLAYS = ALL_OVERLAYS if is_built() else ["production"]


@functools.cache
def build(folder: str) -> tuple[Object, ...]:
    """Return the objects that `kubectl apply -k k8s/<folder>` would make."""
    if not is_built():
        return tuple(put_together(K8S / folder))
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def put_together(folder: Path) -> Iterator[Object]:
    """Yield what kustomize would make of a folder without patches."""
    kustomization = load(folder / "kustomization.yaml")
    if "patches" in kustomization:
        pytest.skip("kubectl with kustomize 5 is not installed; it builds overlays with patches")
    namespace = kustomization.get("namespace")
    labels = [pair for each in kustomization.get("labels", []) for pair in each["pairs"].items()]
    for document in _list_resources(folder, kustomization):
        metadata = document["metadata"]
        if namespace and document["kind"] != "Namespace":
            metadata["namespace"] = namespace
        if labels:
            metadata["labels"] = {**metadata.get("labels", {}), **dict(labels)}
        yield document


def _list_resources(folder: Path, kustomization: Object) -> Iterator[Object]:
    for path in (folder / name for name in kustomization["resources"]):
        if path.is_dir():
            yield from put_together(path)
        else:
            yield load(path)
    for made in kustomization.get("configMapGenerator", []):
        files = [folder / name for name in made["files"]]
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": made["name"], "labels": dict(made["options"]["labels"])},
            "data": {path.name: path.read_text() for path in files},
        }


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
