"""`manage.py health`, as it is read at a terminal and by a program."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from clinicx.local import ports
from tenancy.models import Organization
from tests.fixtures import servers
from tests.fixtures.live import LiveClinics

ROOT = Path(__file__).parents[2]


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that makes the terminal so wide."""
    return lambda width: monkeypatch.setenv("COLUMNS", str(width))


def health(*options: str) -> str:
    out = io.StringIO()
    call_command("health", *options, stdout=out)
    return out.getvalue()


class TestTable:
    def test_has_a_row_for_each_check(
        self, committed: None, elm: Organization, columns: Callable[[int], None]
    ) -> None:
        columns(80)
        head, titles, *rows = health().splitlines()

        assert head.startswith("here ready  schema-per-tenant, ")
        assert titles.split() == ["CHECK", "STATE", "MS"]
        assert [row[:14].strip() for row in rows] == [
            "postgresql",
            "metadata",
            "schema switch",
            "tenant schemas",
            "migrations",
            "redis",
        ]
        assert all(" up " in row for row in rows)

    @pytest.mark.parametrize("width", [80, 40])
    def test_fits_a_terminal(
        self, committed: None, elm: Organization, columns: Callable[[int], None], width: int
    ) -> None:
        columns(width)

        assert max(map(len, health().splitlines())) <= width

    def test_says_states_in_words_and_in_colour(self, committed: None, elm: Organization) -> None:
        assert "\x1b[32mup" in health("--force-color")
        assert "\x1b" not in health()

    def test_says_what_is_down_and_ends_with_one(
        self, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(connections.settings["default"], "PORT", ports.pick(preferred=0))
        out = io.StringIO()

        with pytest.raises(CommandError, match=r"Not ready: here\.") as caught:
            call_command("health", stdout=out)

        assert caught.value.returncode == 1
        assert "here not ready: postgresql" in out.getvalue()


class TestJson:
    def test_is_what_a_probe_gets(self, committed: None, elm: Organization) -> None:
        told = json.loads(health("--json"))

        assert told["state"] == "up"
        assert told["checks"]["schema_switch"]["state"] == "up"


class TestUrl:
    def test_asks_who_answers_there(self, live_clinics: LiveClinics) -> None:
        address = f"http://127.0.0.1:{live_clinics.port}"

        (told,) = json.loads(health("--json", "--url", address))

        assert told["url"] == address
        assert told["state"] == "up"

    def test_says_where_nobody_answers(self, live_clinics: LiveClinics) -> None:
        there = f"http://127.0.0.1:{live_clinics.port}"
        nowhere = f"http://127.0.0.1:{ports.pick(preferred=0)}"
        out = io.StringIO()

        with pytest.raises(CommandError, match=f"Not ready: {nowhere}[.]"):
            call_command("health", "--url", there, "--url", nowhere, stdout=out)

        assert f"{there} ready" in out.getvalue()
        assert f"{nowhere} does not answer" in out.getvalue()

    def test_says_where_another_program_answers(self) -> None:
        program = subprocess.Popen(
            [sys.executable, "-u", "-m", "http.server", "--bind=127.0.0.1", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert program.stdout is not None
        try:
            port = program.stdout.readline().split(" port ")[1].split()[0]
            out = io.StringIO()
            with pytest.raises(CommandError):
                call_command("health", "--url", f"http://127.0.0.1:{port}", stdout=out)
        finally:
            program.kill()
            program.communicate()

        assert "answers 404, and not as" in out.getvalue()

    @pytest.mark.parametrize("address", ["10.0.0.3:8080", "ftp://10.0.0.3", "http://a/health"])
    def test_is_an_address(self, address: str) -> None:
        with pytest.raises(CommandError, match=r"address|path"):
            call_command("health", "--url", address)


class TestWatch:
    def test_looks_again_until_ctrl_c(self, committed: None, elm: Organization) -> None:
        name = servers.database_name()
        variables: dict[str, Any] = {
            "DJANGO_SETTINGS_MODULE": "clinicx.settings.dev",
            "DATABASE_URL": servers.database_url(name, "app"),
            "DATABASE_DDL_URL": servers.database_url(name, "ddl_login"),
            "SECRET_KEY": "only-for-tests",
        }
        words = ["health", "--watch", "--json", "--interval", "0.1"]
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)

        assert [look["state"] for look in looks] == ["up"] * 3
        assert (process.returncode, complaint) == (0, "")
