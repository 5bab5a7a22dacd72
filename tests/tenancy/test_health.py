"""/health/live and /health/ready, asked as Kubernetes asks."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.cache import caches
from django.db import connection, connections
from django.test import AsyncClient, Client

from clinicx.local import ports
from tenancy import context
from tenancy.backend import server
from tenancy.health import draining
from tenancy.health import monitor as monitors
from tenancy.health.monitor import Monitor
from tenancy.models import Organization
from tests.fixtures.pgbouncer import PgBouncer

# The promise is a second; the machine that runs the tests is busy.
PROMPT_SECONDS = 1.5


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The application's address as new connections read it."""
    entry: dict[str, Any] = connections.settings["default"]
    for name in ("PORT", "OPTIONS", "CONN_MAX_AGE"):
        monkeypatch.setitem(entry, name, entry[name])
    return entry


@pytest.fixture
def nobody_listens(address: dict[str, Any]) -> int:
    address["PORT"] = ports.pick(preferred=0)
    return int(address["PORT"])


@pytest.fixture
def nobody_answers(address: dict[str, Any]) -> Iterator[None]:
    """Something lets everybody in and says nothing; at the end of the test it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address["PORT"] = listener.getsockname()[1]
        yield


class Statements:
    """What was sent to PostgreSQL, for whom and as whom."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __iter__(self) -> Iterator[str]:
        return iter([each.message for each in self._caplog.records if each.name == "tenancy.sql"])

    def forget(self) -> None:
        self._caplog.clear()


@pytest.fixture
def statements(caplog: pytest.LogCaptureFixture) -> Iterator[Statements]:
    with caplog.at_level(logging.DEBUG, logger="tenancy.sql"):
        yield Statements(caplog)


def ready(probe: Client) -> tuple[int, dict[str, Any]]:
    response = probe.get("/health/ready")
    return response.status_code, response.json()


def states(told: dict[str, Any]) -> dict[str, str]:
    return {name: check["state"] for name, check in told["checks"].items()}


def make_old(monitor: Monitor) -> None:
    """Let the next who asks get a new answer, and not the last one."""
    for asked in (monitor.database, monitor.fleet, monitor.redis):
        asked._answered_at = float("-inf")


class TestLive:
    def test_answers_whatever_is_down(self, probe: Client, nobody_listens: int) -> None:
        response = probe.get("/health/live")

        assert response.status_code == 200
        assert response.json() == {"state": "live"}

    def test_asks_nothing(self, probe: Client, monitor: Monitor, statements: Statements) -> None:
        probe.get("/health/live")

        assert list(statements) == []
        assert monitor.database._asked_at == float("-inf")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
class TestProbe:
    @pytest.mark.parametrize("host", ["10.1.2.3:8080", "elm.localhost", "nobody.example", "[::1]"])
    def test_is_answered_at_any_host(self, probe: Client, path: str, host: str) -> None:
        assert probe.get(path, headers={"host": host}).status_code == 200

    def test_is_answered_over_plain_http(self, probe: Client, path: str, settings: Any) -> None:
        settings.SECURE_SSL_REDIRECT = True

        assert probe.get(path).status_code == 200

    def test_is_never_stored(self, probe: Client, path: str) -> None:
        assert probe.get(path)["Cache-Control"] == "no-store"

    def test_gets_the_same_without_the_text(self, probe: Client, path: str) -> None:
        response = probe.head(path)

        assert response.status_code == 200
        assert response.content == b""

    @pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
    def test_may_only_read(self, probe: Client, path: str, method: str) -> None:
        response = getattr(probe, method)(path)

        assert response.status_code == 405
        assert response["Allow"] == "GET, HEAD"

    def test_is_answered_by_a_server_of_coroutines(self, monitor: Monitor, path: str) -> None:
        client = AsyncClient(headers={"host": "10.1.2.3:8080"})

        response = asyncio.run(client.get(path))

        assert response.status_code == 200

    @pytest.mark.parametrize("end", ["/", "x", "/x"])
    def test_is_for_these_paths_alone(self, probe: Client, path: str, end: str) -> None:
        """Another one is a clinic's, and this host is nobody's."""
        assert probe.get(f"{path}{end}").status_code == 404


class TestReady:
    def test_says_how_all_is(self, probe: Client) -> None:
        status, told = ready(probe)

        assert status == 200
        assert told["state"] == "up"
        assert told["mode"] == "schema-per-tenant"
        assert told["failed"] == []
        assert set(states(told).values()) == {"up"}
        assert all(check["milliseconds"] > 0 for check in told["checks"].values())

    def test_counts_the_schemas_in_service(self, probe: Client, elm: Organization) -> None:
        with context.override(context.PLATFORM):
            count = Organization.objects.filter(state="active").count()

        assert ready(probe)[1]["schemas"] == count >= 2

    def test_works_for_one_clinic_after_the_other(
        self, probe: Client, monitor: Monitor, statements: Statements
    ) -> None:
        for _ in range(4):
            make_old(monitor)
            ready(probe)

        visited = [each for each in statements if "current_schema()" in each]
        assert len(visited) == 4
        assert [each.split()[0] for each in visited[:2]] == ["tenant_elm", "tenant_oak"]
        assert all(f"_{each.split()[0]}," in each for each in visited), "as the clinic's role"

    def test_names_nothing_that_is_nobodys_business(self, probe: Client, address: Any) -> None:
        for port in (address["PORT"], ports.pick(preferred=0)):
            address["PORT"] = port
            text = probe.get("/health/ready").content.decode()
            for secret in ("127.0.0.1", str(port), address["NAME"], address["USER"], "elm", "oak"):
                assert secret not in text


class TestCost:
    def test_is_the_same_for_one_probe_and_for_many(
        self, probe: Client, statements: Statements
    ) -> None:
        """Whoever asks without end is answered, and PostgreSQL does not notice."""
        with ThreadPoolExecutor(8) as pool:
            began = time.monotonic()
            answers = list(pool.map(lambda _: ready(probe)[0], range(200)))
            seconds = time.monotonic() - began

        assert set(answers) == {200}
        once = Counter(each.split(": ", 1)[1] for each in statements)["SELECT 1"]
        # One at the beginning, and one for each second that it took.
        assert 1 <= once <= 1 + seconds

    def test_is_three_statements(
        self, probe: Client, monitor: Monitor, statements: Statements
    ) -> None:
        ready(probe)
        monitor.fleet.wait(5)
        statements.forget()
        monitor.database._answered_at = float("-inf")

        ready(probe)

        assert len(list(statements)) == 3

    def test_of_the_fleet_is_paid_once_in_half_a_minute(
        self, probe: Client, monitor: Monitor, statements: Statements
    ) -> None:
        for _ in range(3):
            monitor.database._answered_at = float("-inf")
            ready(probe)

        assert sum("to_regnamespace" in each for each in statements) == 1
        assert monitors.FLEET_FRESH_SECONDS == 30


class TestWithoutPostgresql:
    def test_says_what_is_down_within_a_second(self, probe: Client, nobody_listens: int) -> None:
        began = time.monotonic()
        response = probe.get("/health/ready")
        told = response.json()

        assert time.monotonic() - began < PROMPT_SECONDS
        assert response.status_code == 503
        assert response["Retry-After"] == "5"
        assert told["failed"] == ["postgresql"]
        assert told["checks"]["postgresql"]["reason"] == "nothing answers at its address"
        assert states(told) == {
            "postgresql": "down",
            "metadata": "unknown",
            "schema_switch": "unknown",
            "tenant_schemas": "unknown",
            "migrations": "unknown",
            "redis": "up",
        }

    def test_does_not_hang_where_it_hangs(
        self, probe: Client, monitor: Monitor, nobody_answers: None
    ) -> None:
        for _ in range(3):
            began = time.monotonic()
            status, told = ready(probe)

            assert time.monotonic() - began < PROMPT_SECONDS
            assert status == 503
            assert told["checks"]["postgresql"]["reason"] == "it has not answered in time"

    def test_waits_a_little_before_it_leaves_one_that_is_late(
        self, probe: Client, monitor: Monitor, address: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All pods meet a pooler that is full, and must not leave together for that."""
        assert ready(probe)[0] == 200
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address["PORT"] = listener.getsockname()[1]
            make_old(monitor)
            status, told = ready(probe)
            assert (status, told["state"]) == (200, "degraded")
            assert states(told)["postgresql"] == "degraded"

            monkeypatch.setattr(monitors, "LATE_SECONDS", 0)
            assert ready(probe)[0] == 503
        assert monitor.database.wait(10)

    def test_says_nothing_of_schemas_that_was_known_before(
        self, probe: Client, monitor: Monitor, address: dict[str, Any]
    ) -> None:
        assert states(ready(probe)[1])["tenant_schemas"] == "up"

        address["PORT"] = ports.pick(preferred=0)
        monitor.database._answered_at = float("-inf")

        assert states(ready(probe)[1])["tenant_schemas"] == "unknown"

    def test_is_ready_again_by_itself(self, probe: Client, monitor: Monitor, address: Any) -> None:
        port = address["PORT"]
        address["PORT"] = ports.pick(preferred=0)
        assert ready(probe)[0] == 503

        address["PORT"] = port
        make_old(monitor)
        status, told = ready(probe)

        assert (status, told["state"]) == (200, "up")


class TestFullPool:
    def test_takes_no_pod_out_of_service(self, probe: Client, address: dict[str, Any]) -> None:
        """All connections of the process are at work: that says nothing of PostgreSQL."""
        address["CONN_MAX_AGE"] = 0
        address["OPTIONS"] = {
            **address["OPTIONS"],
            "pool": {"min_size": 1, "max_size": 1, "timeout": 0.5},
        }
        working = connections.create_connection("default")
        working.ensure_connection()
        try:
            assert ready(probe)[1]["state"] == "up"
        finally:
            working.close()
            working.close_pool()


class TestFullPooler:
    @pytest.mark.parametrize("patience", [None, timedelta(seconds=0.3)])
    def test_takes_no_pod_out_of_service(
        self,
        through_pgbouncer: PgBouncer,
        probe: Client,
        monitor: Monitor,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        patience: timedelta | None,
    ) -> None:
        """Others hold all its connections to the server; it still lets everybody in."""
        settings.TENANCY_DATABASE_PATIENCE = patience
        monkeypatch.setattr(server, "_servers", {})
        assert ready(probe)[0] == 200
        held = [connection.copy() for _ in range(through_pgbouncer.pool_size)]
        with context.override(context.PLATFORM):
            for each in held:
                each.set_autocommit(False)
                each.cursor().execute("SELECT 1")
        make_old(monitor)

        status, told = ready(probe)

        assert (status, told["state"]) == (200, "degraded")
        assert told["checks"]["postgresql"]["reason"] == "it has not answered in time"
        for each in held:
            each.rollback()
            each.close()
        assert monitor.database.wait(10)
        assert ready(probe)[1]["state"] == "up"

    def test_that_lets_nobody_else_in_takes_no_pod_out_of_service(
        self, through_pgbouncer: PgBouncer, probe: Client, monitor: Monitor
    ) -> None:
        """Whoever is in goes on, as this pod's own connections."""
        clients = [psycopg.connect(through_pgbouncer.url("app")) for _ in range(2)]
        with closing(through_pgbouncer.console()) as console:
            before = console.execute("SHOW CONFIG").fetchall()
            console.execute("SET max_client_conn = 2")
            try:
                status, told = ready(probe)
            finally:
                (limit,) = (row[1] for row in before if row[0] == "max_client_conn")
                console.execute(f"SET max_client_conn = {limit}")
        for client in clients:
            client.close()

        assert (status, told["state"]) == (200, "degraded")
        assert told["checks"]["postgresql"]["reason"] == "it lets nobody else in"


class TestRedis:
    def test_makes_pages_slower_and_nothing_else(
        self, probe: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = f"redis://127.0.0.1:{ports.pick(preferred=0)}/0"
        monkeypatch.setitem(caches.settings["default"], "LOCATION", nowhere)

        status, told = ready(probe)

        assert (status, told["state"]) == (200, "degraded")
        assert states(told)["redis"] == "degraded"


class TestDraining:
    def test_is_not_ready(self, probe: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(draining, "is_on", True)

        status, told = ready(probe)

        assert status == 503
        assert told["failed"] == ["draining"]
        assert states(told)["postgresql"] == "up"
        assert probe.get("/health/live").status_code == 200
