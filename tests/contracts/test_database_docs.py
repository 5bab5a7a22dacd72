"""What docs/database/ names exists: files, commands, options, settings, checks, errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tenancy import errors, roles
from tenancy.conf import Settings
from tests.contracts.test_reference import CHECKS, COMMANDS

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "database"
PAGES = sorted(FOLDER.glob("*.md"))

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


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text())


def words(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text))


class TestIndex:
    INDEX = (FOLDER / "README.md").read_text()

    def test_has_every_document_of_the_plan_in_its_order(self) -> None:
        named = re.findall(r"^- \[?(\d\d-[a-z-]+\.md)", self.INDEX, re.MULTILINE)

        assert named == PLANNED

    @pytest.mark.parametrize("name", PLANNED)
    def test_links_those_that_are_there_and_no_other(self, name: str) -> None:
        assert (f"]({name})" in self.INDEX) is (FOLDER / name).exists()


class TestNamed:
    def test_files_exist(self, text: str) -> None:
        named = words(r"`((?:tenancy|clinicx|tests|apps)/[\w/.-]+)`", text)

        assert [name for name in named if not (ROOT / name).exists()] == []

    def test_settings_exist(self, text: str) -> None:
        named = words(r"\bTENANCY_([A-Z_]+)\b", text)

        assert [name for name in named if not hasattr(Settings, name)] == []

    def test_checks_exist(self, text: str) -> None:
        assert words(r"tenancy\.[EW]\d{3}", text) <= set(CHECKS)

    def test_errors_exist(self, text: str) -> None:
        named = words(r"\b((?:NoActive|Cross|SessionState|TenantChanged|UnableTo)\w+)\b", text)

        assert named <= set(vars(errors))

    def test_commands_take_what_they_are_given(self, text: str) -> None:
        typed = re.findall(
            r"(?:manage\.py |`)((?:\w+_tenants?|\w+_schemas|\w+_run)\b[^\n`|]*)", text
        )

        for line in typed:
            name, *rest = line.split()
            assert name in COMMANDS, line
            options = load_command_class(get_commands()[name], name)
            parser = options.create_parser("manage.py", name)
            known = {text for action in parser._actions for text in action.option_strings}
            assert [word for word in rest if word.startswith("--") and word not in known] == []


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
