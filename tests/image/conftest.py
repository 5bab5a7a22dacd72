"""The image, built once in a run; and containers of it, without an engine that would run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from clinicx.local import image
from tests.clinicx.test_settings import COMPLETE
from tests.fixtures import servers

# What an engine does with `--read-only --tmpfs /tmp`, in a mount and a process namespace of its
# own: the root file system cannot be written, but for memory where a pod has memory too.
ENTER = """
set -e
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
for name in null zero full random urandom; do
    touch "$ROOT/dev/$name"
    mount --bind "/dev/$name" "$ROOT/dev/$name"
done
mkdir "$ROOT/dev/shm"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec="$IDS" --groups= "$ROOT" /usr/bin/env -i --chdir="$FOLDER" "$@"
"""


@dataclass
class Image:
    """What was built: what an engine is told about it, and a folder with its files."""

    name: str
    root: Path
    inspected: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.inspected["Docker"]["config"]
        return config

    def command(self, words: list[str], variables: dict[str, str]) -> list[str]:
        """Return what starts a container of it with these words, as the image says."""
        environment = dict(entry.split("=", 1) for entry in self.config["Env"]) | variables
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        inside = [f"{name}={value}" for name, value in environment.items()]
        return [*namespaces, "sh", "-c", ENTER, "sh", *inside, *words]

    @property
    def outside(self) -> dict[str, str]:
        """Variables for the shell that makes the container, none of which is in it."""
        where = {"ROOT": str(self.root), "IDS": self.config["User"]}
        return {"PATH": os.environ["PATH"], "FOLDER": self.config["WorkingDir"], **where}

    def start(self, *words: str, log: Path, **variables: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                self.command([*self.config["Entrypoint"], *words], variables),
                env=self.outside,
                stdout=output,
                stderr=output,
            )

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of it, in place of its entry point, to its end."""
        return subprocess.run(
            self.command(list(command), variables),
            env=self.outside,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="session")
def built() -> Iterator[Image]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap", "unshare"))):
        pytest.skip("Needs root, buildah and debootstrap: apt-get install buildah debootstrap")
    # Whatever engine there may be: how its containers are entered is known here.
    made = image.build(engine="buildah")

    def buildah(*arguments: str) -> str:
        command = [*image.BUILDAH, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    container = buildah("from", "--pull-never", made.name)
    try:
        inspected = json.loads(buildah("inspect", "--type=image", made.name))
        yield Image(made.name, Path(buildah("mount", container)), inspected)
    finally:
        buildah("rm", container)


@pytest.fixture
def variables(django_db_setup: None) -> dict[str, str]:
    """A pod's variables, on the tests' servers."""
    return {
        **{
            key: value
            for key, value in COMPLETE.items()
            if key not in ("DATABASE_DDL_URL", "DJANGO_SETTINGS_MODULE")
        },
        "SECRET_KEY": settings.SECRET_KEY + "-and-so-long-that-no-check-says-it-were-too-short",
        "DATABASE_URL": servers.database_url(servers.database_name(), "app"),
        "REDIS_URL": os.environ["REDIS_URL"],
        "METRICS_ADDRESS": "127.0.0.1",
        "METRICS_PORT": "0",
        "WORKER_CONCURRENCY": "1",
        "LOG_FORMAT": "line",
    }


@pytest.fixture
def start(
    built: Image, variables: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], Path]]]:
    """A function that starts a container; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, **more: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"{len(started)}.log"
        started.append(built.start(*words, log=log, **{**variables, **more}))
        return started[-1], log

    yield start
    for process in started:
        # The first of the container's processes, which takes all others with it. unshare would
        # not: what it asked the kernel for is forgotten when its child becomes another user.
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children():
                child.kill()
        process.wait(timeout=30)
