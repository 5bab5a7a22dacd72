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

from tests.benchmarks import memory, requests, switch
from tests.benchmarks.children import ROOT
from tests.benchmarks.errors import UnableToMeasure
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
        rows: Rows = json.loads((tmp_path / f"{benchmark}.json").read_text())
        return rows

    return measure


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


def assert_loads_nothing(drawn: str) -> None:
    """A picture in a page may not, and one that is opened by itself should not."""
    assert "<script" not in drawn
    assert re.findall(r"(?:href|src)=\"(?!#)|url\((?!#)|@import", drawn) == []
