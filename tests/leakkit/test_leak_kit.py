"""The leak kit finds each mistake that a project makes, and nothing where it makes none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.fixtures import servers

PROJECT = Path(__file__).parent / "project"
ROOT = PROJECT.parent.parent.parent

# What is planted, by the checks that must find it.
PLANTED: dict[str, list[str]] = {
    "memo": ["url[tenant:/memo/<int:pk>/::signed in]", "process[ward]"],
    "lru_cache": ["url[tenant:/cached/<int:pk>/::signed in]", "process[ward]"],
    "class": ["process[ward]"],
    "manager": ["model[ward.Note::managers]"],
    "platform": ["url[tenant:/everybody/::signed in]", "url[tenant:/everybody/::anonymous]"],
    "anywhere": ["url[tenant:/anywhere/<int:pk>/::signed in]"],
    "thread": ["url[tenant:/streamed/::signed in]"],
    "task": ["task[ward.tasks.read_notes::class]"],
    "write": ["url[tenant:/renamed/<int:pk>/::unsafe methods]"],
    "log": ["url[tenant:/logged/<int:pk>/::log]"],
    "cache": ["cache[pages::get]", "cache[pages::incr]", "cache[pages::page]"],
    "storage": ["storage[default::open]", "storage[ward.Note.paper::open]"],
    "session": ["session[session]"],
    "messages": ["session[messages]"],
    "board": ["shared[board.Entry]", "catalogue[rows elsewhere]", "url[base:/::anonymous]"],
    "function": ["catalogue[definer functions]", "catalogue[function paths]"],
    "grant": ["catalogue[group]", "catalogue[privileges]"],
    "view": ["catalogue[views]", "catalogue[rows elsewhere]"],
}
# What the mistakes are about, of which more checks than those above may say something.
ABOUT = re.compile(
    r"url\[(base:/|tenant:/(memo|cached|everybody|anywhere|streamed|renamed|logged)/.*)::"
    r"|cache\[pages::|storage\[|session\[|shared\[board\.Entry\]|process\[ward\]"
    r"|catalogue\[(definer functions|function paths|group|privileges|views|rows elsewhere)\]"
    r"|task\[ward\.tasks\.read_notes::|model\[ward\.Note::managers\]"
)


@dataclass
class Run:
    """How a run of the kit on the planted project ended."""

    status: int
    output: str
    report: dict[str, Any]
    passed: set[str]
    migrated: list[str]

    @property
    def leaks(self) -> dict[str, str]:
        found: dict[str, str] = self.report["leaks"]
        return found


@pytest.fixture(scope="session")
def run_kit(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """A function that runs the kit on the project with some mistakes, in a process of its own."""

    def run_kit(*arguments: str, planted: str = "", **environment: str) -> Run:
        folder = tmp_path_factory.mktemp("leakkit")
        (folder / "migrated").touch()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--leak-kit", "-q"),
                f"--leak-report={folder / 'report'}",
                f"--junitxml={folder / 'junit'}",
                *arguments,
            ],
            cwd=PROJECT,
            env=_environment(folder) | {"PLANTED": planted} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (folder / "report").exists(), ended.stdout + ended.stderr
        return Run(
            status=ended.returncode,
            output=ended.stdout,
            report=json.loads((folder / "report").read_text()),
            passed=_list_passed(folder / "junit"),
            migrated=(folder / "migrated").read_text().split(),
        )

    return run_kit


def _environment(folder: Path) -> dict[str, str]:
    # Of the pytest that runs this test, the one in there must know nothing.
    outer = ("PYTEST_", "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "DATABASE_DDL_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    return {
        **kept,
        "PROJECT_DATABASE": f"ward_{servers.database_name()}",
        "MIGRATED": str(folder / "migrated"),
        "PYTHONPATH": str(ROOT),
    }


def _list_passed(junit: Path) -> set[str]:
    cases = ElementTree.parse(junit).iter("testcase")  # noqa: S314  # written a moment ago
    return {str(case.get("name")) for case in cases if len(case) == 0}


@pytest.fixture(scope="session")
def clean(run_kit: Callable[..., Run]) -> Run:
    """The project without its mistakes, in two processes."""
    return run_kit("-n", "2")


@pytest.fixture(scope="session")
def planted(run_kit: Callable[..., Run]) -> Run:
    """The project with all of its mistakes."""
    return run_kit(planted=" ".join(PLANTED))


class TestPlantedLeak:
    @pytest.mark.parametrize("mistake", PLANTED)
    def test_is_found(self, mistake: str, planted: Run) -> None:
        assert [check for check in PLANTED[mistake] if check not in planted.leaks] == []

    @pytest.mark.parametrize("mistake", PLANTED)
    def test_is_not_found_where_it_is_done_right(self, mistake: str, clean: Run) -> None:
        """
        By the same checks, which do look.
        """
        assert [check for check in PLANTED[mistake] if check not in clean.passed] == []

    def test_is_all_that_is_found(self, planted: Run) -> None:
        assert [check for check in planted.leaks if not ABOUT.match(check)] == []

    @pytest.mark.parametrize("where", ["_remembered[", "_text_of (cached)", "Wall.notes"])
    def test_in_memory_is_named(self, where: str, planted: Run) -> None:
        assert f"ward.views.{where}" in planted.leaks["process[ward]"]

    def test_of_a_cache_says_what_to_type(self, planted: Run) -> None:
        assert "set it to 'tenancy.cache.make_key'" in planted.leaks["cache[pages::get]"]

    def test_fails_the_run(self, planted: Run) -> None:
        assert planted.status == pytest.ExitCode.TESTS_FAILED


class TestReport:
    def test_counts_by_kind_and_says_that_nothing_leaks(self, clean: Run) -> None:
        assert clean.leaks == {}
        assert clean.status == pytest.ExitCode.OK
        assert re.search(
            r"leak kit: \d+ models \(\d+ checks\), .*10 URLs .*2 caches .*: 0 leaks", clean.output
        )

    def test_says_what_was_covered(self, clean: Run) -> None:
        assert "ward.Note" in clean.report["covered"]["model"]["subjects"]
        assert clean.report["covered"]["model"]["checks"] > 200

    def test_gives_the_projects_own_reason_for_what_it_excuses(self, clean: Run) -> None:
        assert clean.report["not_covered"]["cache[everybody::clear]"] == "nobody may clear it"

    def test_says_where_it_would_see_nothing_anyway(self, clean: Run) -> None:
        """
        A way that does not show even Elm what is Elm's proves nothing.
        """
        reason = clean.report["not_covered"]["model[ward.Locker::list]"]

        assert reason == "Elm does not see its own canary this way either."
        assert "model[ward.Locker::cursor]" in clean.passed

    def test_says_why_a_model_could_not_be_made(self, run_kit: Callable[..., Run]) -> None:
        """
        Without the hook that knows what a bed is called.
        """
        run = run_kit("-k", "Bed", "--leak-kit-strict", WITHOUT_RECIPE="1")

        assert "ward_bed_code" in run.report["not_covered"]["model[ward.Bed::list]"]
        assert "pytest_tenancy_make_instance" in run.report["not_covered"]["model[ward.Bed::list]"]
        assert run.leaks == {}
        assert run.status == pytest.ExitCode.TESTS_FAILED


class TestReference:
    def test_is_migrated_once_however_many_processes_there_are(self, clean: Run) -> None:
        """
        Public, and what the tenants are copied of: captured in two schemas that never were.
        """
        kinds = [name.partition("_")[0] for name in sorted(clean.migrated)]
        assert kinds == ["public", "scratch", "scratch"]

    def test_of_the_last_run_is_copied_on_demand(self, run_kit: Callable[..., Run]) -> None:
        first, second = (run_kit("-k", "catalogue", option) for option in ("-q", "--reuse-db"))

        assert (len(first.migrated), second.migrated) == (3, [])
        assert "catalogue[privileges]" in second.passed
