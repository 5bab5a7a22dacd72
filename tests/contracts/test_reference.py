"""The reference pages name every setting, command, check and error, and no other."""

from __future__ import annotations

import inspect
import re
from argparse import Action
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from tenancy import checks, conf, errors, testing
from tenancy.testing import leaks, plugin
from tenancy.testing.leaks import hooks

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


class Option(NamedTuple):
    command: str
    name: str
    help: str


def list_options() -> list[Option]:
    """Return the options of our commands that neither Django nor django-tenants gave them."""
    return [
        Option(name, max(action.option_strings, key=len), action.help or "")
        for name in COMMANDS
        for action in _list_actions(type(load_command_class(get_commands()[name], name)), name)
    ]


def _list_actions(command: type[BaseCommand], name: str) -> list[Action]:
    theirs = next(base for base in command.mro() if not base.__module__.startswith(OURS))
    known = {text for action in _actions(theirs, name) for text in action.option_strings}
    return [
        action
        for action in _actions(command, name)
        if action.option_strings and not known.intersection(action.option_strings)
    ]


def _actions(command: type[BaseCommand], name: str) -> list[Action]:
    return command().create_parser("manage.py", name)._actions


def sections(page: str) -> dict[str, str]:
    """Return what a page says under each of its headings."""
    _, *parts = re.split(r"^## `(.+?)`", (REFERENCE / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def headings(page: str) -> list[str]:
    return re.findall(r"^## `(.+?)`", (REFERENCE / page).read_text(), re.MULTILINE)


class TestReference:
    def test_names_every_setting(self) -> None:
        assert sorted(headings("settings.md")) == sorted(f"TENANCY_{name}" for name in SETTINGS)

    def test_names_every_command(self) -> None:
        assert sorted(headings("commands.md")) == sorted(COMMANDS)

    @pytest.mark.parametrize("option", list_options(), ids=lambda option: " ".join(option[:2]))
    def test_names_every_option(self, option: Option) -> None:
        assert option.name in sections("commands.md")[option.command]

    def test_names_every_check(self) -> None:
        assert sorted(headings("checks.md")) == CHECKS

    def test_names_every_error(self) -> None:
        assert sorted(headings("errors.md")) == sorted(error.__name__ for error in ERRORS)


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_of_each_command_says_what_it_does(self, name: str) -> None:
        command = load_command_class(get_commands()[name], name)

        told = command.create_parser("manage.py", name).description or ""
        assert re.match(r"[A-Za-z].{40}", told, re.DOTALL), told

    @pytest.mark.parametrize("option", list_options(), ids=lambda option: " ".join(option[:2]))
    def test_of_each_option_is_a_sentence(self, option: Option) -> None:
        assert re.fullmatch(r"[A-Z].+[.)]", option.help, re.DOTALL), option.help


class TestTestingPage:
    PAGE = (REFERENCE / "testing.md").read_text()

    @pytest.mark.parametrize("name", testing.__all__)
    def test_names_what_is_there_for_a_test(self, name: str) -> None:
        assert f"| `{name}" in self.PAGE

    def test_names_every_fixture(self) -> None:
        made = re.findall(r"^@pytest.fixture.*\ndef ([a-z]\w+)", inspect.getsource(plugin), re.M)

        assert len(made) > 10
        assert [name for name in made if f"`{name}`" not in self.PAGE] == []

    def test_names_every_option_and_hook(self) -> None:
        options = re.findall(r'"(--leak[-a-z]+)"', inspect.getsource(leaks))
        names = [*options, *(name for name in vars(hooks) if name.startswith("pytest_"))]

        assert len(names) > 6
        assert [name for name in names if f"`{name}" not in self.PAGE] == []


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


class TestMakefile:
    # What the first plan lets people type; backups are to come.
    PLANNED = (
        *("up", "down", "migrate", "migrate-results", "seed", "shell", "reset", "logs"),
        *("health", "health-continuous"),
    )

    @pytest.mark.parametrize("target", PLANNED)
    def test_has_what_the_first_plan_types(self, target: str) -> None:
        assert f"\n.PHONY: {target}\n" in (ROOT / "Makefile").read_text()

    def test_every_target_says_what_it_does(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))
        told = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))

        assert {target for line in phony for target in line.split()} == told


class TestChangelog:
    def test_holds_no_conflict_of_a_merge(self) -> None:
        text = (ROOT / "CHANGELOG.md").read_text()

        assert re.findall(r"^(?:<{7}|={7}|>{7}).*$", text, re.MULTILINE) == []

    def test_says_nothing_twice(self) -> None:
        """
        A line that one branch changed and another kept is there twice when they meet.
        """
        begun = [line[:40] for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line]

        assert [each for each in begun if begun.count(each) > 1] == []
