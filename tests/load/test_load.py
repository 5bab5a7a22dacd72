"""The load test finds nothing amiss where nothing is, and one patient of another clinic."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fixtures import servers
from tests.fixtures.live import LiveClinics

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow

LoadTest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def load_test(live_clinics: LiveClinics) -> LoadTest:
    """Run it at the live clinics, in a process of its own: locust changes Python's sockets."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "clinicx.settings.dev",
        "DATABASE_URL": servers.database_url(live_clinics.database, "app"),
        "DATABASE_DDL_URL": servers.database_url(live_clinics.database, "ddl_login"),
        "REDIS_URL": servers.redis_url(servers.redis_number("live")),
        "SECRET_KEY": "only-for-tests",
    }

    def run(*arguments: str, port: int = live_clinics.port) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.load", f"--port={port}", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def mixed_up(live_clinics: LiveClinics) -> Iterator[int]:
    """The port of a proxy that puts a patient of Oak where one of Elm is."""
    own, strange = _first_patient(live_clinics, "elm"), _first_patient(live_clinics, "oak")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(
            target=_serve, args=(listener, live_clinics.port, own, strange), daemon=True
        ).start()
        yield listener.getsockname()[1]
        # Wakes the thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)


def _first_patient(live: LiveClinics, clinic: str) -> bytes:
    """Return the id of the first in the clinic's list, which is on every page of it."""
    address = os.environ["DATABASE_SUPERUSER_URL"].rsplit("/", 1)[0] + f"/{live.database}"
    with psycopg.connect(address) as server:
        query = f"SELECT id FROM tenant_{clinic}.patients_patient ORDER BY sort_name, id LIMIT 1"
        row = server.execute(query).fetchone()
    assert row is not None
    return str(row[0]).encode()


def _serve(listener: socket.socket, port: int, old: bytes, new: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for source, target, changes in ((client, server, False), (server, client, True)):
            threading.Thread(
                target=_pass_on, args=(source, target, old, new if changes else old), daemon=True
            ).start()


def _pass_on(source: socket.socket, target: socket.socket, old: bytes, new: bytes) -> None:
    try:
        while said := source.recv(65536):
            target.sendall(said.replace(old, new))
    except OSError:
        pass
    finally:
        for end in (source, target):
            end.close()


class TestLoadTest:
    def test_finds_nothing_amiss_where_nothing_is(self, load_test: LoadTest) -> None:
        done = load_test("--users=11", "--seconds=4", "--clinics=1")
        cleaned = load_test("--clean")

        assert done.returncode == 0, done.stdout + done.stderr
        told = re.search(r"11 people at 3 clinics: (\d+) answers, .+; 0 failed", done.stdout)
        assert told is not None, done.stdout
        assert int(told[1]) > 22
        assert re.search(r"patient's chart +\d+ +0", done.stdout)
        assert re.fullmatch(r"Deleted: load-\d+\.\n", cleaned.stdout)

    def test_finds_one_patient_of_another_clinic(self, load_test: LoadTest, mixed_up: int) -> None:
        done = load_test("--users=4", "--seconds=4", port=mixed_up)

        assert done.returncode == 1
        assert "WRONG CLINIC: oak at elm" in done.stdout
        assert "at oak" not in done.stdout
