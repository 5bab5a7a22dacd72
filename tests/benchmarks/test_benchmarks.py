"""The benchmarks run to their end, count what can be counted, and leave nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clinicx.local import state
from tests.benchmarks import crash, memory, requests, switch, targets
from tests.benchmarks.__main__ import FLEET_SIZES
from tests.benchmarks.children import ROOT
from tests.benchmarks.errors import UnableToMeasure
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import ALL, WITH_DJANGO
from tests.fixtures import servers

Rows = list[dict[str, Any]]
KEYS = ["metric", "size", "unit", "ours", "plain_django", "django_tenants", "limit"]

SMALLEST = ("--sizes=2", "--rounds=1", "--operations=0.05", "--seconds=1")


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Rows]:
    """A function that runs a benchmark as `make bench` does, and returns its rows."""

    def measure(benchmark: str, *options: str) -> Rows:
        command = [sys.executable, "-m", "tests.benchmarks", benchmark, f"--folder={tmp_path}"]
        done = subprocess.run(
            [*command, *SMALLEST, *options], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        file = tmp_path / f"{benchmark}.json"
        rows: Rows = json.loads(file.read_text()) if file.exists() else []
        return rows

    return measure


TOTALS = [f"total_{name}" for name in FLEET_SIZES if name.startswith("migrate_")]
FEW = ("--schemas=30", "--connections=2", "--visits=60", "--lifetime=1", "--tenants=8")


def value_of(rows: Rows, metric: str) -> dict[str, Any]:
    (row,) = [row for row in rows if row["metric"] == metric]
    return row


def list_left_behind() -> list[str]:
    """Return the databases and roles of the server that only a benchmark makes."""
    left = f"bench_{servers.database_name()}"
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as server:
        found = server.execute(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %(left)s) "
            "UNION ALL "
            "SELECT datname FROM pg_catalog.pg_database WHERE datname = %(left)s",
            {"left": left},
        )
        return [name for (name,) in found]


class TestSwitch:
    @pytest.mark.slow
    @pytest.mark.skipif(
        shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
        reason="PgBouncer is not installed; on Debian: apt-get install pgbouncer",
    )
    def test_counts_round_trips_and_leaves_no_value_out(self, measure: Callable[..., Rows]):
        """
        No more round trips than plain Django, however many queries, also through a pooler.
        """
        rows = measure("switch")

        assert {row["metric"] for row in rows} == {
            f"{kind}_{operation}_{route}"
            for kind in ("query", "round_trips")
            for operation in switch.OPERATIONS
            for route in switch.ROUTES
        }
        assert all(list(row) == KEYS for row in rows)
        assert all(row[system.key] > 0 for row in rows for system in ALL)
        for route in switch.ROUTES:
            for operation, ours, of_plain, of_stock in (
                ("autocommit", 1, 1, 2),
                ("atomic_1", 2, 3, 4),
                ("atomic_5", 6, 7, 12),
            ):
                row = value_of(rows, f"round_trips_{operation}_{route}")
                assert (row["ours"], row["limit"]) == (ours, ours)
                assert (row["plain_django"], row["django_tenants"]) == (of_plain, of_stock)
        assert list_left_behind() == []


class TestRequests:
    @pytest.mark.slow
    @pytest.mark.skipif(
        shutil.which("wrk") is None, reason="wrk is not installed; on Debian: apt-get install wrk"
    )
    def test_are_answered_by_every_system(self, measure: Callable[..., Rows]):
        """
        Each thread answered for both tenants with their own rows, and wrk saw no error: with
        either there would be no rows here.
        """
        rows = measure("requests", "--delays=1ms")

        assert {row["metric"] for row in rows} == {
            f"{kind}_{endpoint}_1ms"
            for kind in ("rps", "p50", "p99")
            for endpoint in requests.ENDPOINTS
        }
        assert all(list(row) == KEYS for row in rows)
        assert all(row[system.key] > 0 for row in rows for system in WITH_DJANGO)
        assert all(row["limit"] is None for row in rows)
        assert list_left_behind() == []


class TestMetrics:
    @pytest.mark.slow
    def test_are_measured_beside_nobodys_and_django_prometheus(self, measure: Callable[..., Rows]):
        """
        Each answer was of the tenant that was asked; how long it took is not asked here.
        """
        rows = measure("metrics")

        assert {row["metric"] for row in rows} == {
            f"{kind}_{name}_{endpoint}"
            for kind in ("request", "cost")
            for name in ("metrics", "django_prometheus")
            for endpoint in ("list", "detail")
        }
        assert all(list(row) == KEYS for row in rows)
        assert all(row["limit"] > 0 for row in rows if row["metric"].startswith("request_"))
        assert list_left_behind() == []


class TestMemory:
    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux alone tells it, in /proc")
    def test_follows_the_processes_with_each_bound_and_draws_them(
        self, measure: Callable[..., Rows], tmp_path: Path
    ) -> None:
        """
        The same visits: a connection that serves eight tenants at most is at more of them for
        the first time than one that stays, and one with tenants of its own at fewer.
        """
        rows = measure("memory", *FEW)

        assert all(list(row) == KEYS for row in rows)
        assert all(row["ours"] > 0 for row in rows)
        for bound in memory.BOUNDS[1:]:
            steps = [row["size"] for row in rows if row["metric"] == f"largest_{bound.key}"]
            assert steps == [4 * step for step in range(1, memory.STEPS + 1)]
        own, stays, counts = (
            value_of(rows, f"new_{bound}")["ours"] for bound in ("affinity", "none", "tenants")
        )
        assert own < stays < counts
        drawn = (tmp_path / "memory.svg").read_text()
        assert "at most 8 tenants" in drawn
        assert_loads_nothing(drawn)
        assert list_left_behind() == []

    def test_in_the_documentation_loads_nothing(self) -> None:
        assert_loads_nothing((ROOT / "docs" / "images" / "memory.svg").read_text())

    def test_is_refused_where_there_is_no_room(self) -> None:
        size = memory.Size(schemas=100_000, connections=1_000, visits=100_000, seconds=1)

        with pytest.raises(UnableToMeasure, match=r"the processes take about \d{7,} MB"):
            memory.require_room(size)


class TestFleet:
    @pytest.mark.slow
    def test_is_worked_on_by_every_system_and_drawn(
        self, measure: Callable[..., Rows], tmp_path: Path
    ) -> None:
        """
        A system that left out a clinic, or a row that is not there, is an error: with one
        there would be no rows here.
        """
        measure("fleet", "--clinics=2")

        rows = {
            row["metric"]: row
            for name in FLEET_SIZES
            for row in json.loads((tmp_path / f"{name}.json").read_text())
        }
        assert all(list(row) == KEYS and row["size"] == 2 for row in rows.values())
        for metric in ("p50_provision", "p95_provision", *TOTALS):
            measured = [rows[metric][system] for system in ("ours", "django_tenants", "limit")]
            assert None not in measured
        assert rows["p95_provision_warm"]["ours"] < rows["p50_provision"]["ours"]
        for name in FLEET_SIZES:
            if name != "provision":
                assert 30 < rows[f"peak_{name}"]["ours"] < 1_000
        assert_loads_nothing((tmp_path / "fleet.svg").read_text())
        assert list_left_behind() == []

    @pytest.mark.slow
    def test_is_migrated_by_stock_up_to_a_size(self, measure: Callable[..., Rows]) -> None:
        """Hundreds of clinics take it minutes, which are spent when somebody asks for them."""
        rows = measure("migrate_noop", "--stock-up-to=1")

        total = value_of(rows, "total_migrate_noop")
        assert total["django_tenants"] is None
        assert None not in (total["ours"], total["limit"])

    def test_in_the_documentation_loads_nothing(self) -> None:
        assert_loads_nothing((ROOT / "docs" / "images" / "fleet.svg").read_text())


class TestCrash:
    @pytest.mark.slow
    def test_is_over_soon_and_leaves_no_server(self, measure: Callable[..., Rows]) -> None:
        """
        The server has taken a row again; with PostgreSQL's own setting it opens each file first.
        """
        (row,) = measure("crash", "--sizes=30")

        assert row["metric"] == "crash_restart"
        assert row["ours"] <= targets.MOST_SECONDS_AFTER_CRASH
        assert row["ours"] < row["plain_django"]
        assert not state.folder_of(crash.STACK).exists()


class TestTargets:
    @pytest.mark.parametrize(
        ("metric", "ours", "limit", "missed"),
        [
            ("p50_provision", 65, 50, 0),
            ("p50_provision", 66, 50, 1),
            ("p50_provision", 101, 100, 1),  # more than a tenth of stock django-tenants' 1,000
            ("p95_provision_warm", 20, None, 0),
            ("p95_provision_warm", 21, None, 1),
            ("total_migrate_noop", 0.5, 0.01, 0),
            ("total_migrate_noop", 0.6, 0.01, 1),
            ("total_migrate_add_column", 3, 2, 0),
            ("total_migrate_create_model", 3.1, 2, 1),
            ("total_migrate_data", 1000, 1, None),
            ("total_check_schemas", 5.1, None, 1),
            ("crash_restart", 10, None, 0),
            ("crash_restart", 10.1, None, 1),
            ("peak_migrate_data", 300, None, 0),
            ("peak_migrate_data", 301, None, 1),
        ],
    )
    def test_of_the_fleet(
        self, metric: str, ours: float, limit: float | None, missed: int | None
    ) -> None:
        """`missed` is how many of the targets are; None where there are none."""
        row = Samples(metric, 500, "")
        row.add("ours", ours)
        row.add("django_tenants", 1_000)
        if limit:
            row.add("limit", limit)

        verdicts = list(targets.judge([row]))

        assert (sum(not each.is_met for each in verdicts) if verdicts else None) == missed

    def test_of_a_larger_fleet_are_those_of_memory(self) -> None:
        rows = [
            Samples("total_migrate_noop", 2_000, "s"),
            Samples("peak_migrate_noop", 2_000, "MB"),
        ]
        for row in rows:
            row.add("ours", 1_000)

        assert [each.samples.metric for each in targets.judge(rows)] == ["peak_migrate_noop"]


def assert_loads_nothing(drawn: str) -> None:
    """A picture in a page may not, and one that is opened by itself should not."""
    assert "<script" not in drawn
    assert re.findall(r"(?:href|src)=\"(?!#)|url\((?!#)|@import", drawn) == []
