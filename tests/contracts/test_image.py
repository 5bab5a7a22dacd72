"""The image: what goes into it, as whom it runs, and how gunicorn is set in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.config import make_settings

from clinicx import gunicorn

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))


def gunicorn_settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, object]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source = "import clinicx.gunicorn as g; print(g.workers, g.threads)"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    workers, threads = map(int, done.stdout.split())
    return {"workers": workers, "threads": threads}


class TestDockerfile:
    def test_has_no_fault_that_a_linter_knows(self):
        hadolint = Path(sys.executable).with_name("hadolint")

        done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)

        assert done.stdout == ""

    def test_installs_what_the_tests_ran_with(self):
        assert pins("requirements-production.txt") <= pins("requirements.txt")

    def test_copies_only_what_is_let_in(self):
        sources = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
        let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

        assert sorted(sources) == sorted(let_in)
        assert all((ROOT / source).exists() for source in sources)

    def test_runs_as_nobody(self):
        assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


class TestGunicorn:
    def test_divides_the_pods_connections_among_its_workers(self, monkeypatch):
        settings = gunicorn_settings(monkeypatch, DB_POOL_SIZE="20", WEB_WORKERS="4")

        assert settings == {"workers": 4, "threads": 5}

    def test_is_set_by_names_that_it_knows(self):
        """It passes over any other in silence."""
        names = {name for name in vars(gunicorn) if name.islower() and not name.startswith("_")}

        assert names - {"annotations", "env"} <= set(make_settings())
