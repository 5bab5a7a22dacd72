"""`python -m clinicx WORD`: what becomes of each word, and what is said of any other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clinicx.__main__ import PROGRAMS
from tests.clinicx.test_settings import COMPLETE, ROOT


def clinicx(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **COMPLETE, **variables}
    return subprocess.run(
        [sys.executable, "-m", "clinicx", *arguments],
        cwd=ROOT,
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        timeout=60,
    )


class TestHelp:
    def test_tells_what_each_word_does(self):
        done = clinicx("--help")

        assert done.returncode == 0
        for word, program in PROGRAMS.items():
            assert f"  {word} " in done.stdout
            assert program.help in done.stdout

    @pytest.mark.parametrize("words", [["wroker"], [""], []])
    def test_is_pointed_at_by_what_is_no_word(self, words: list[str]):
        done = clinicx(*words)

        assert done.returncode == 2
        assert "Say one of: web, worker, owner-worker, beat, migrate, check-migrated" in done.stderr
        assert words == [] or not words[0] or "'wroker'" in done.stderr


class TestWord:
    @pytest.mark.parametrize(
        ("word", "told"),
        [
            ("web", "gunicorn"),
            ("worker", "Start worker instance"),
            ("owner-worker", "Start worker instance"),
            ("beat", "Start the beat periodic task scheduler"),
            ("migrate", "migrate_schemas"),
            ("check-migrated", "migrate_schemas"),
        ],
    )
    def test_becomes_its_program(self, word: str, told: str):
        """Which knows all the options that it is given: each fails on one that it does not."""
        done = clinicx(word, "--help")

        assert done.returncode == 0, done.stderr
        assert told in done.stdout

    def test_list_is_complete(self):
        cases = self.test_becomes_its_program.pytestmark[0].args[1]

        assert [word for word, _ in cases] == list(PROGRAMS)

    def test_passes_on_what_follows(self):
        done = clinicx("migrate", "--no-such-option")

        assert done.returncode == 2
        assert "--no-such-option" in done.stderr

    def test_of_the_owner_does_not_start_without_its_address(self):
        done = clinicx("owner-worker", DATABASE_DDL_URL="")

        assert done.returncode == 2
        assert "owner-worker needs DATABASE_DDL_URL" in done.stderr

    def test_has_productions_settings_unless_others_are_named(self):
        done = clinicx("check-migrated", DJANGO_SETTINGS_MODULE="", SECRET_KEY="")

        assert "SECRET_KEY is not set" in done.stderr
