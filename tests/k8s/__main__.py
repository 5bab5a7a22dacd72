"""What each overlay runs, as a table: `make k8s-check` shows it before it runs the tests."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.k8s import manifests


def main() -> None:
    console = Console()
    if not manifests.is_built():
        console.print("kubectl with kustomize 5 is not installed: only `production` is checked.")
    table = Table(title="k8s/overlays", title_justify="left")
    columns = ("overlay", "objects", "backend pods", "connections each", "memory", "PostgreSQL")
    for column in columns:
        table.add_column(column, justify="left" if column == "overlay" else "right")
    for name in manifests.OVERLAYS:
        table.add_row(name, *_facts(manifests.overlay(name)))
    console.print(table)


def _facts(objects: tuple[manifests.Object, ...]) -> list[str]:
    scaler = manifests.find(objects, "HorizontalPodAutoscaler", "clinicx-backend-hpa")["spec"]
    backend = manifests.find(objects, "Deployment", "clinicx-backend")["spec"]["template"]["spec"]
    container = backend["containers"][0]
    (size,) = [each["value"] for each in container["env"] if each["name"] == "DB_POOL_SIZE"]
    servers = [each["spec"]["instances"] for each in objects if each["kind"] == "Cluster"]
    return [
        str(len(objects)),
        f"{scaler['minReplicas']} to {scaler['maxReplicas']}",
        size,
        container["resources"]["limits"]["memory"],
        str(sum(servers)),
    ]


if __name__ == "__main__":
    main()
