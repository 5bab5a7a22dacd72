"""
A real PgBouncer with the manifests' own configuration, word for word.

Only what cannot be the same on one machine is replaced: addresses, names of the test's
database, and folders. Directives that the installed PgBouncer does not know yet are left out
as the file says, and TLS to a PostgreSQL that has none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from clinicx.local import account, ports
from tests.fixtures import pgbouncer, servers
from tests.fixtures.pgbouncer import PgBouncer
from tests.k8s import manifests

FOLDERS = ("/etc/pgbouncer-users/", "/etc/pgbouncer-tls/", "/etc/pgbouncer/")
NEWER = "%include /etc/pgbouncer/since-1.25.ini\n"
STATS = "pgbouncer_stats"


def installed() -> tuple[int, int]:
    done = subprocess.run(
        [pgbouncer._program(), "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"PgBouncer (\d+)\.(\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1]), int(found[2])


def configuration(overlay: str = "production") -> dict[str, str]:
    """Return the files that the ConfigMap puts into /etc/pgbouncer, by their names."""
    objects = manifests.overlay(overlay)
    return dict(manifests.find(objects, "ConfigMap", "pgbouncer-config")["data"])


class Pooler(PgBouncer):
    """The fixture's, with files that are there already and clients that want TLS."""

    def write(self, files: dict[str, str], *, newer: bool, server_tls: bool) -> None:
        users = "".join(
            f'"{login}" "{servers.PASSWORD}"\n'
            for login in (f"{self.database}_app", f"{self.database}_ddl_login", STATS)
        )
        for name, text in {**files, "userlist.txt": users}.items():
            path = self.folder / name
            path.write_text(
                self._at_home(text, newer, server_tls) if name.endswith(".ini") else text
            )
            account.choose().own(path)
        _make_certificate(self.folder)

    def _at_home(self, text: str, newer: bool, server_tls: bool) -> str:
        server = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
        replaced = {
            "clinicx = host=postgres-service port=5432 dbname=clinicx": (
                f"{self.database} = host={server.hostname} port={server.port} "
                f"dbname={self.database}"
            ),
            "clinicx_ddl_login = ": f"{self.database}_ddl_login = ",
            "listen_port = 6432": f"listen_port = {self.port}",
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "/etc/pgbouncer-server-ca/ca.crt": f"{self.folder}/tls.crt",
            **dict.fromkeys(FOLDERS, f"{self.folder}/"),
        }
        if not newer:
            text = text.replace(NEWER, "")
        if not server_tls:
            # The tests' PostgreSQL has no certificate.
            text = text.replace(" = verify-full", " = disable")
        for theirs, ours in replaced.items():
            text = text.replace(theirs, ours)
        assert "/etc/" not in text
        return text

    def url(self, login: str) -> str:
        checked = {"sslmode": "verify-full", "sslrootcert": str(self.folder / "tls.crt")}
        return f"{super().url(login)}?{urlencode(checked)}"

    def start(self) -> None:
        self.launch()
        pgbouncer._wait(self.process, address=self.url("app"), log=self.log)

    def launch(self) -> None:
        """Start it, and return when it listens."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [pgbouncer._program(), str(self.folder / "pgbouncer.ini")],
                cwd="/",
                stderr=output,
                **account.choose().identity,
            )
        deadline = time.monotonic() + pgbouncer.PATIENCE_SECONDS
        while not _listens(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PgBouncer does not listen:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stats_url(self) -> str:
        url = self.url("app").replace(f"{self.database}_app", STATS, 1)
        return url.replace(f"/{self.database}?", "/pgbouncer?")


@contextmanager
def running(files: dict[str, str]) -> Iterator[Pooler]:
    """Run a pooler with the ConfigMap's files; skip where PgBouncer is not installed."""
    newer = installed() >= (1, 25)
    with prepared(files, newer=newer) as pooler:
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()


@contextmanager
def prepared(files: dict[str, str], *, newer: bool, server_tls: bool = False) -> Iterator[Pooler]:
    with tempfile.TemporaryDirectory(prefix="clinicx-pgbouncer-") as name:
        folder = Path(name)
        account.choose().own(folder)
        pooler = Pooler(port=ports.pick(preferred=0), folder=folder)
        pooler.write(files, newer=newer, server_tls=server_tls)
        yield pooler


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ports.HOST, port)) == 0


def _make_certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; it makes the pooler's certificate")
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=pgbouncer"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    for path in (key, certificate):
        account.choose().own(path)
