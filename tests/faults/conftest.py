"""A pod in production, people who are signed in there, and a PostgreSQL that may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from django.contrib.sessions.models import Session

from apps.accounts.models import User
from clinicx.local import account, ports, postgres, processes
from clinicx.settings import pool
from tenancy import context
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.faults.traffic import Outage, Traffic, Visitor
from tests.fixtures import servers
from tests.fixtures.pgbouncer import PgBouncer, running
from tests.fixtures.pods import COMPLETE, Pod

# Thirty seconds is what was promised; the length matters little, and each is a second of CI.
OUTAGE_SECONDS = int(os.environ.get("CLINICX_OUTAGE_SECONDS", "4"))
BEFORE_SECONDS = 1
RECOVERY_SECONDS = 5.0
AFTER_SECONDS = 1
PEOPLE = 6  # at each clinic: one person may ask for twenty pages in a second

# As k8s/base has it for production.
POOLER = {"query_wait_timeout": "5", "server_lifetime": "300", "idle_transaction_timeout": "15"}


@pytest.fixture
def visitors(
    committed: None, settings: Any, elm: Organization, oak: Organization, sign_in: Any
) -> Iterator[list[Visitor]]:
    """Doctors who are signed in, with sessions as the pod's key signs them."""
    settings.SECRET_KEY = COMPLETE["SECRET_KEY"]
    found = []
    for _ in range(PEOPLE):
        for clinic in (elm, oak):
            client = TenantClient(clinic)
            sign_in(client, "doctor")
            session = client.cookies["sessionid"].value
            found.append(Visitor(f"{clinic.slug}.{COMPLETE['BASE_DOMAIN']}", session))
    yield found
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            Session.objects.all().delete()
            User.objects.filter(username="doctor").delete()


@pytest.fixture
def pooler(committed: None) -> Iterator[PgBouncer]:
    with running(pool_size=20, settings=POOLER) as pooler:
        yield pooler


class OwnServer:
    """A PostgreSQL with what the tests' has, for a test that kills it."""

    def __init__(self, server: postgres.Server) -> None:
        self.server = server

    def kill(self) -> None:
        process = self.server.get_process()
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        processes.wait(process, patience=10)

    def start(self) -> None:
        self.server.start()


@pytest.fixture
def own_server(visitors: list[Visitor], monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    """A PostgreSQL that may be killed, which knows the visitors; poolers go to it from now on."""
    owner = account.choose()
    build = postgres.find(flavour=os.environ.get("CLINICX_POSTGRES") or None)
    with tempfile.TemporaryDirectory(prefix="clinicx-postgres-") as name:
        home = Path(name)
        owner.own(home)
        server = postgres.Server(
            folder=home / build.name,
            build=postgres.make_reachable(build, account=owner, home=home),
            account=owner,
            port=ports.pick(preferred=0),
            # The superuser's, which comes along with its role.
            password=str(urlsplit(os.environ["DATABASE_SUPERUSER_URL"]).password),
            settings=postgres.THROW_AWAY,
        )
        server.make()
        server.start()
        try:
            _copy_to(server)
            monkeypatch.setenv("DATABASE_SUPERUSER_URL", server.address)
            yield OwnServer(server)
        finally:
            server.stop()


def _copy_to(server: postgres.Server) -> None:
    """Give `server` the roles and the database of the tests."""
    source = os.environ["DATABASE_SUPERUSER_URL"]
    folder = server.build.folder
    if not (folder / "pg_dumpall").exists():
        pytest.skip(f"{server.build} has no pg_dumpall; on Debian: apt-get install postgresql")
    database = servers.database_name()
    roles = [folder / "pg_dumpall", "--globals-only", "--dbname", source]
    tables = [folder / "pg_dump", "--create", "--dbname", f"{source.rsplit('/', 1)[0]}/{database}"]
    for command in (roles, tables):
        dumped = subprocess.run(command, check=True, capture_output=True).stdout
        # The superuser is there already, and is the one thing that is refused.
        into = [folder / "psql", "--quiet", "--no-psqlrc", server.address]
        subprocess.run(into, check=True, input=dumped, capture_output=True)


Scenario = Callable[..., Outage]


@pytest.fixture
def scenario(
    start: Callable[[dict[str, str]], Pod], visitors: list[Visitor], capsys: Any
) -> Scenario:
    """A function that starts a pod and traffic, does something to it for a while, and undoes it."""

    def play(
        name: str,
        variables: dict[str, str],
        *,
        break_it: Callable[[], object],
        mend_it: Callable[[], object],
        seconds: float = OUTAGE_SECONDS,
    ) -> Outage:
        pod = start({"TENANT_IN_FLIGHT": "0", **variables})
        pod.wait_until(lambda: pod.answers(visitors[0].host))
        # The second is forked while the first answers already.
        pod.wait_until(lambda: len(list_workers(pod)) == pool.workers())
        traffic = Traffic(pod.port, visitors)
        workers = list_workers(pod)
        traffic.warm_up()
        with traffic.running():
            time.sleep(BEFORE_SECONDS)
            began_at = time.monotonic()
            break_it()
            time.sleep(max(0.0, began_at + seconds - time.monotonic()))
            mend_it()
            ended_at = time.monotonic()
            while not traffic.is_served_since(ended_at):
                if time.monotonic() > ended_at + RECOVERY_SECONDS:
                    break
                time.sleep(0.05)
            time.sleep(AFTER_SECONDS)
        assert list_workers(pod) == workers, "A worker was restarted."
        outage = Outage(name, traffic, began_at, ended_at)
        with capsys.disabled():
            print(f"\n{outage}", flush=True)  # noqa: T201  # a table of what people saw
        assert "Traceback" not in pod.said
        return outage

    return play


def list_workers(pod: Pod) -> set[int]:
    return {child.pid for child in psutil.Process(pod.process.pid).children()}


@contextmanager
def superuser(database: str = "") -> Iterator[psycopg.Connection[Any]]:
    address = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
    name = database or servers.database_name()
    with psycopg.connect(address._replace(path=f"/{name}").geturl(), autocommit=True) as connection:
        yield connection


def list_open_transactions() -> list[tuple[Any, ...]]:
    """Return what the application has open at the server, of which there shall be nothing."""
    with superuser() as connection:
        return connection.execute(
            "SELECT pid, state, query FROM pg_catalog.pg_stat_activity"
            " WHERE usename = %s AND state <> 'idle'",
            [f"{servers.database_name()}_app"],
        ).fetchall()
