"""The reference pages name every setting, command, check and error, and no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tenancy import checks, conf, errors

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "docs" / "reference"

SETTINGS = [name for name in vars(conf.Settings) if name.isupper()]
OURS = ("tenancy", "apps.", "clinicx.")
COMMANDS = [name for name, app in get_commands().items() if app.startswith(OURS)]
CHECKS = sorted(set(re.findall(r"tenancy\.[EW]\d{3}", inspect.getsource(checks))))
ERRORS = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error) and issubclass(error, Exception)
]


def headings(page: str) -> list[str]:
    return re.findall(r"^## `(.+?)`", (REFERENCE / page).read_text(), re.MULTILINE)


class TestReference:
    def test_names_every_setting(self) -> None:
        assert sorted(headings("settings.md")) == sorted(f"TENANCY_{name}" for name in SETTINGS)

    def test_names_every_command(self) -> None:
        assert sorted(headings("commands.md")) == sorted(COMMANDS)

    def test_names_every_check(self) -> None:
        assert sorted(headings("checks.md")) == CHECKS

    def test_names_every_error(self) -> None:
        assert sorted(headings("errors.md")) == sorted(error.__name__ for error in ERRORS)


class TestErrors:
    @pytest.mark.parametrize("error", ERRORS)
    def test_say_what_is_true_afterwards(self, error: type[Exception]) -> None:
        assert inspect.getdoc(error) != inspect.getdoc(Exception)

    def test_are_all_in_the_tree(self) -> None:
        tree = re.findall(r"\|__(\w+)", errors.__doc__ or "")

        assert sorted(tree) == sorted(e.__name__ for e in ERRORS if e is not errors.TenancyError)


class TestReadme:
    def test_is_one_screen(self) -> None:
        assert len((ROOT / "README.md").read_text().splitlines()) <= 60

    def test_links_lead_somewhere(self) -> None:
        for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
            for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


class TestMakefile:
    def test_every_target_says_what_it_does(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))
        told = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))

        assert {target for line in phony for target in line.split()} == told
