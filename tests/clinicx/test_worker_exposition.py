"""A worker of a pod serves what its processes count."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from clinicx.local import ports
from tests.fixtures import servers
from tests.fixtures.pods import COMPLETE, PATIENCE_SECONDS, ROOT


class TestWorker:
    def test_serves_its_numbers(self, django_db_setup: None, tmp_path: Path) -> None:
        """
        It is asked before it did anything: it listens as soon as it takes tasks.
        """
        port, log = ports.pick(preferred=0), tmp_path / "log"
        environment = {
            **{key: value for key, value in COMPLETE.items() if key != "DATABASE_DDL_URL"},
            "DATABASE_URL": servers.database_url(servers.database_name(), "app"),
            "REDIS_URL": os.environ["TEST_BROKER_URL"],
            "PATH": os.environ["PATH"],
            "METRICS_PORT": str(port),
            "METRICS_ADDRESS": "127.0.0.1",
            "METRICS_DIRECTORY": str(tmp_path / "metrics"),
            "WORKER_CONCURRENCY": "1",
            "ALIVE_FILE": str(tmp_path / "alive"),
        }
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "clinicx", "worker"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (answer := _read(port)):
                assert worker.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(timeout=PATIENCE_SECONDS)

        assert answer == 200


def _read(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            return int(response.status)
    except (urllib.error.URLError, OSError):
        return 0
