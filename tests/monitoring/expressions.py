"""
What do the dashboard and the alerts ask Prometheus, and does it know an answer?
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "k8s" / "base" / "monitoring"

# What Grafana puts in the place of a variable.
VARIABLES = {"$namespace": "clinicx", "$tenant": ".*"}


@dataclass(frozen=True)
class Series:
    """One series: its labels, and a value for each minute as promtool writes them."""

    name: str
    labels: Mapping[str, str]
    values: str

    def as_input(self) -> dict[str, str]:
        labels = ",".join(f'{label}="{value}"' for label, value in self.labels.items())
        return {"series": f"{self.name}{{{labels}}}", "values": self.values}


def rules() -> dict[str, Any]:
    rule: dict[str, Any] = yaml.safe_load((FOLDER / "prometheusrule.yaml").read_text())
    return rule


@cache
def alerts() -> dict[str, Any]:
    return {rule["alert"]: rule for group in rules()["spec"]["groups"] for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((FOLDER / "clinicx-dashboard.json").read_text())
    return board


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def shown() -> dict[str, str]:
    """Return what each panel asks for, its variables filled in."""
    return {
        f"{panel['title']}, {target['refId']}": _filled(target["expr"])
        for panel in panels()
        for target in panel["targets"]
    }


def _filled(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


# With the labels that an expression selects or groups by, and functions of PromQL taken away,
# what is left of its words are names of metrics.
WORDS = re.compile(r"[a-zA-Z_:][\w:]*")
LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on|without)\s*\([^)]*\)|\[[^\]]*\]|\"[^\"]*\"")
LANGUAGE = {
    *("sum", "max", "min", "count", "topk", "rate", "increase", "histogram_quantile", "time"),
    *("absent", "and", "or", "unless", "bool"),
}


def metrics_in(expression: str) -> set[str]:
    return {
        word
        for word in WORDS.findall(LABELS.sub(" ", expression))
        if word not in LANGUAGE and not word.isdigit()
    }


def labels_in(expression: str) -> set[str]:
    """Return the labels that an expression selects or groups by."""
    found: set[str] = set()
    for part in re.findall(r"\{([^}]*)\}", expression):
        found |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", part))
    for part in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression):
        found |= set(re.findall(r"\w+", part))
    return found


def promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; on Debian: apt-get install prometheus")
    return program


def run_tests(folder: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Let promtool run `tests` with the rules of the manifests; fail with what it says."""
    program = promtool()
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()["spec"]))
    file = folder / "tests.yaml"
    file.write_text(
        yaml.safe_dump(
            {"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": list(tests)}
        )
    )
    done = subprocess.run([program, "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
