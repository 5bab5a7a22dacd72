"""compose.yaml: words and variables that there are, pinned images, the pooler's own numbers."""

from __future__ import annotations

import re
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from clinicx import __main__ as pod

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("clinicx/")}
# Those of our words that a service stays with.
RUNNING = {name: each for name, each in OURS.items() if "entrypoint" not in each}

# Compose's own, of the specification; what is not in it would be passed over or refused.
KEYS = {
    "image", "build", "read_only", "cap_drop", "security_opt", "tmpfs", "restart", "depends_on",
    "environment", "command", "entrypoint", "volumes", "shm_size", "healthcheck", "configs",
    "ports", "stop_grace_period",
}  # fmt: skip


def variables_of(service: dict[str, Any]) -> set[str]:
    return set(service.get("environment", {}))


def ini(text: str) -> dict[str, str]:
    parser = ConfigParser(interpolation=None, comment_prefixes=(";", "%"))
    parser.read_string(text)
    return dict(parser["pgbouncer"])


class TestCompose:
    def test_has_every_word_that_stays(self):
        said = {each["command"][0] for each in RUNNING.values()}

        assert said == {"web", "worker", "owner-worker", "beat"} <= set(pod.PROGRAMS)
        assert all(each["command"] == [name] for name, each in RUNNING.items())

    @pytest.mark.parametrize("name", SERVICES)
    def test_says_what_the_specification_knows(self, name: str):
        assert set(SERVICES[name]) <= KEYS

    @pytest.mark.parametrize("name", OURS)
    def test_sets_only_variables_that_are_read(self, name: str):
        sources = [*(ROOT / "clinicx").rglob("*.py")]
        read = set(re.findall(r"[A-Z][A-Z_]+", "".join(path.read_text() for path in sources)))

        assert variables_of(OURS[name]) - {"SUPERUSER_URL"} <= read

    def test_gives_the_owners_address_to_who_needs_it_and_nobody_else(self):
        having = {name for name in OURS if "DATABASE_DDL_URL" in variables_of(OURS[name])}

        assert having == {"setup", "owner-worker"}
        assert [name for name in OURS if "SUPERUSER_URL" in variables_of(OURS[name])] == ["setup"]

    @pytest.mark.parametrize("name", SERVICES)
    def test_pins_its_images(self, name: str):
        tag = SERVICES[name]["image"].rpartition(":")[2]

        assert re.fullmatch(r"v?\d+\.\d+.*", tag)

    def test_runs_the_version_that_the_code_has(self):
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

        assert {each["image"] for each in OURS.values()} == {f"clinicx/backend:{version}"}

    @pytest.mark.parametrize("name", [*OURS, "pgbouncer"])
    def test_needs_no_privilege(self, name: str):
        service = SERVICES[name]

        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]

    def test_is_reached_from_this_machine_only(self):
        ports = [port for each in SERVICES.values() for port in each.get("ports", [])]

        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    @pytest.mark.parametrize("name", SERVICES)
    def test_waits_for_what_says_when_it_is_there(self, name: str):
        for other, how in SERVICES[name].get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
            else:
                assert how["condition"] == "service_completed_successfully"

    def test_lets_tasks_and_requests_end(self):
        from clinicx import gunicorn
        from clinicx.settings import worker

        seconds = {
            name: int(RUNNING[name].get("stop_grace_period", "10s")[:-1]) for name in RUNNING
        }
        assert seconds["web"] > gunicorn.graceful_timeout
        assert min(seconds["worker"], seconds["owner-worker"]) > worker.SHUTDOWN_SECONDS

    def test_names_only_what_it_has(self):
        used = {mount["source"] for each in SERVICES.values() for mount in each.get("configs", [])}
        volumes = {
            volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])
        }

        assert used == set(COMPOSE["configs"])
        assert volumes == set(COMPOSE["volumes"])

    def test_has_no_password(self):
        """Each is asked for, and in the example that is copied each is empty."""
        asked = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
        example = dict(
            line.split("=", 1)
            for line in (ROOT / "compose.env.example").read_text().splitlines()
            if line and not line.startswith("#")
        )

        assert asked == set(example)
        assert {name for name, value in example.items() if value} == {"BASE_DOMAIN"}
        ignored = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT)
        assert ignored.returncode == 0

    def test_has_the_poolers_numbers(self):
        ours = ini(COMPOSE["configs"]["pgbouncer.ini"]["content"])
        cluster = yaml.safe_load((ROOT / "k8s/base/pgbouncer/configmap.yaml").read_text())
        theirs = ini(cluster["data"]["pgbouncer.ini"])

        assert {name: theirs.get(name) for name in ours} == ours

    def test_has_psql_and_the_roles_in_the_setup(self):
        (script,) = SERVICES["setup"]["command"]

        assert subprocess.run(["sh", "-n", "-c", script]).returncode == 0
        assert re.findall(r"manage.py (\w+)|clinicx (\w+)", script) == [
            ("sqlroles", ""), ("", "migrate")
        ]  # fmt: skip
