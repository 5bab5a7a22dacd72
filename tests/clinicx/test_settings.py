"""Production starts with everything that it needs, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.pods import COMPLETE, ROOT


def check_deploy(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class TestProduction:
    def test_passes_djangos_own_checks(self) -> None:
        result = check_deploy(COMPLETE)

        assert result.returncode == 0, result.stderr

    @pytest.mark.parametrize("name", ["SECRET_KEY", "BASE_DOMAIN", "DATABASE_URL", "REDIS_URL"])
    def test_does_not_start_without(self, name: str) -> None:
        result = check_deploy({key: value for key, value in COMPLETE.items() if key != name})

        assert result.returncode != 0
        assert f"{name} is not set" in result.stderr

    def test_serves_without_the_owners_password_and_says_what_it_cannot(self) -> None:
        serving = {key: value for key, value in COMPLETE.items() if key != "DATABASE_DDL_URL"}

        result = check_deploy(serving)

        assert "tenancy.E002" in result.stderr
        assert "1 issue" in result.stderr

    def test_has_no_demo_sign_ins(self) -> None:
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                "from clinicx.settings import production as p;"
                "assert p.CLINICX_DEMO_SIGN_INS == [];"
                "assert 'clinicx.local' not in p.INSTALLED_APPS;"
                "assert 'Basic' not in str(p.REST_FRAMEWORK)",
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **COMPLETE},
            check=False,
        )

        assert result.returncode == 0
