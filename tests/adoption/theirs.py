"""
django-tenants' own tests, from its source distribution, on one backend or the other.

A wheel has the tests and not the project that they run in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest

from tests.fixtures import servers

ROOT = Path(__file__).parent.parent.parent
DOWNLOADS = ROOT / "var" / "downloads"

Outcomes: TypeAlias = dict[str, str]

SETTINGS = {
    "stock": "from dts_test_project.settings import *\n",
    "ours": """\
from dts_test_project.settings import *

DATABASES["default"]["ENGINE"] = "tenancy.backend"
INSTALLED_APPS = ["tenancy", *INSTALLED_APPS]
TENANT_SYNC_ROUTER = "tenancy.router.TenancyRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "KEY_FUNCTION": "tenancy.cache.make_key",
    }
}
# One superuser's login, no roles, and "public" where nobody said a tenant.
TENANCY_DDL_DATABASE = "default"
TENANCY_COMPAT = [
    "public_by_default",
    "switch_in_transaction",
    "session_state",
    "foreign_keys",
    "no_roles",
]
# They test their own middleware and storage.
SILENCED_SYSTEM_CHECKS = [f"tenancy.E0{number}" for number in ("04", "20", "26", "42")]
""",
}

# Writes how each test ended to the file that OUTCOMES names.
RUNNER = """\
import json, os, unittest
from django.test.runner import DiscoverRunner

outcomes = {}


class Recording(unittest.TextTestResult):
    def addSuccess(self, test): outcomes.setdefault(test.id(), "passed"); super().addSuccess(test)
    def addFailure(self, test, e): outcomes[test.id()] = "failed"; super().addFailure(test, e)
    def addError(self, test, e): outcomes[test.id()] = "failed"; super().addError(test, e)
    def addSkip(self, test, why): outcomes[test.id()] = "skipped"; super().addSkip(test, why)


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Recording

    def suite_result(self, suite, result, **kwargs):
        with open(os.environ["OUTCOMES"], "w") as file:
            json.dump(outcomes, file)
        return super().suite_result(suite, result, **kwargs)
"""


def fetch_project(folder: Path) -> None:
    """Unpack the project that their tests run in; skip the test where no index is reached."""
    name = f"django_tenants-{version('django-tenants')}"
    archive = DOWNLOADS / f"{name}.tar.gz"
    if not archive.exists():
        _download(archive)
    subprocess.run(["tar", "-xzf", archive, "-C", folder, f"{name}/dts_test_project"], check=True)
    (folder / name / "dts_test_project").rename(folder / "project")


def _download(archive: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--no-binary", ":all:", "--dest", scratch),
                f"django-tenants=={version('django-tenants')}",
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip(f"The package index is not reached: {done.stderr.strip()[-200:]}")
        archive.parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / archive.name).rename(archive)


def run(project: Path, backend: str) -> Outcomes:
    """Run all of their tests on `backend`, one of SETTINGS, and return how each ended."""
    (project / f"{backend}_settings.py").write_text(SETTINGS[backend])
    (project / "recording.py").write_text(RUNNER)
    answer = project / f"{backend}.json"
    server = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
    environment = {
        "DJANGO_SETTINGS_MODULE": f"{backend}_settings",
        "PYTHONPATH": str(ROOT),
        "OUTCOMES": str(answer),
        "DATABASE_DB": f"{servers.database_name()}_{backend}",
        "DATABASE_USER": server.username or "",
        "DATABASE_PASSWORD": server.password or "",
        "DATABASE_HOST": server.hostname or "",
        "DATABASE_PORT": str(server.port),
    }
    done = subprocess.run(
        [
            *(sys.executable, "manage.py", "test", "django_tenants", "--noinput"),
            "--testrunner=recording.Runner",
        ],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert answer.exists(), done.stderr
    outcomes: Outcomes = json.loads(answer.read_text())
    return outcomes


def table(outcomes: dict[str, Outcomes]) -> str:
    """Return the counts side by side."""
    counts = {backend: Counter(found.values()) for backend, found in outcomes.items()}
    lines = [f"{'':10}" + "".join(f"{backend:>10}" for backend in counts)]
    lines += [
        f"{outcome:10}" + "".join(f"{count[outcome]:>10}" for count in counts.values())
        for outcome in ("passed", "failed", "skipped")
    ]
    return "\n".join(lines)
