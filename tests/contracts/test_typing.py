"""Whoever uses tenancy is told its types, by mypy at its strictest."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).with_name("typed_project.py")

REVEALED = re.compile(r':(\d+): note: Revealed type is "(.+)"')
MODULES = re.compile(r"\b[a-z_]+\.(?=\w)")


def short(type_: str) -> str:
    return MODULES.sub("", type_)


class TestTypes:
    def test_are_those_that_a_project_expects(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--no-error-summary", str(PROJECT)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

        told = {int(line): short(type_) for line, type_ in REVEALED.findall(done.stdout)}
        assert done.returncode == 0, done.stdout + done.stderr
        assert told == {
            number: line.partition("  # ")[2]
            for number, line in enumerate(PROJECT.read_text().splitlines(), start=1)
            if "reveal_type(" in line and not line.startswith("from")
        }
        assert "Any" not in " ".join(told.values()).replace("tuple[Any, ...]", "")

    def test_are_packed_with_the_package(self) -> None:
        data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
        packed = {
            path
            for pattern in data["package-data"]["tenancy"]
            for path in (ROOT / "tenancy").glob(pattern)
        }

        assert ROOT / "tenancy" / "py.typed" in packed
        assert packed >= set((ROOT / "tenancy").rglob("*.html"))
