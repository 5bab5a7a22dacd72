"""docs/database/ has the first plan's documents, and its guide leaves nothing out."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command

from tenancy import roles
from tests.contracts.test_reference import COMMANDS

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "database"

# The documents that the first plan lists, in its order.
PLANNED = [
    "01-architecture-overview.md",
    "02-schema-per-tenant-implementation.md",
    "03-kubernetes-multi-instance-architecture.md",
    "04-migration-strategy.md",
    "05-connection-pooling.md",
    "06-backup-recovery.md",
    "07-performance-tuning.md",
    "08-monitoring-metrics.md",
    "09-sharding-strategy.md",
    "10-security-policies.md",
    "11-audit-compliance.md",
]


class TestIndex:
    INDEX = (FOLDER / "README.md").read_text()

    def test_has_every_document_of_the_plan_in_its_order(self) -> None:
        named = re.findall(r"^- \[?(\d\d-[a-z-]+\.md)", self.INDEX, re.MULTILINE)

        assert named == PLANNED

    @pytest.mark.parametrize("name", PLANNED)
    def test_links_those_that_are_there_and_no_other(self, name: str) -> None:
        assert (f"]({name})" in self.INDEX) is (FOLDER / name).exists()


class TestPooling:
    TEXT = (FOLDER / "05-connection-pooling.md").read_text()
    SHOWN = re.findall(
        r"```sh\n\S+ manage.py connection_plan ([^\n]*)\n```\n\n```text\n(.*?)```", TEXT, re.DOTALL
    )

    @pytest.mark.parametrize(("typed", "said"), SHOWN, ids=[typed for typed, _ in SHOWN])
    def test_shows_what_the_command_says(self, typed: str, said: str) -> None:
        out = StringIO()
        call_command("connection_plan", *typed.split(), stdout=out)

        assert [line.rstrip() for line in out.getvalue().splitlines()] == said.splitlines()

    def test_shows_it(self) -> None:
        assert len(self.SHOWN) == 3


class TestMonitoring:
    TEXT = (FOLDER / "08-monitoring-metrics.md").read_text()
    OBJECTS = ROOT / "k8s" / "base" / "monitoring"

    def test_lists_every_row_of_the_dashboard(self) -> None:
        board = json.loads((self.OBJECTS / "clinicx-dashboard.json").read_text())
        rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]

        (table,) = re.findall(r"^\| row \| answers \|\n.*\n((?:\|.*\n)+)", self.TEXT, re.MULTILINE)
        assert re.findall(r"^\| (.+?) \|", table, re.MULTILINE) == rows

    def test_lists_every_alert_by_its_severity(self) -> None:
        rules = yaml.safe_load((self.OBJECTS / "prometheusrule.yaml").read_text())
        alerts = {
            (rule["alert"], rule["labels"]["severity"])
            for group in rules["spec"]["groups"]
            for rule in group["rules"]
        }

        cells = [line.split("|")[2:4] for line in self.TEXT.splitlines() if "/runbooks/" in line]
        told = {
            (alert, severity)
            for pair in cells
            for cell, severity in zip(pair, ("critical", "warning"), strict=False)
            for alert in re.findall(r"/runbooks/(\w+)\.md", cell)
            if alert != "README"
        }
        assert told == alerts


class TestGuide:
    TEXT = (FOLDER / "02-schema-per-tenant-implementation.md").read_text()

    def test_shows_every_role(self) -> None:
        shown = set(re.findall(r"^clinicx_(\w+) ", self.TEXT, re.MULTILINE))

        assert shown == {*roles.FIXED, "tenant_elm_street"}

    def test_names_every_command_of_a_clinics_way(self) -> None:
        of_clinics = [name for name in COMMANDS if name.endswith(("_tenant", "_tenants"))]

        assert [name for name in of_clinics if f"{name}" not in self.TEXT] == []

    def test_has_every_step_that_its_number_promises(self) -> None:
        numbers = re.findall(r"^## (\d+)\. ", self.TEXT, re.MULTILINE)

        assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
