"""One clinic at many times its load holds its share of a pod, and the others do not notice."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
import pytest

from tenancy.models import Organization
from tests.faults.crowd import Crowd
from tests.faults.urls import SLOW
from tests.fixtures import servers
from tests.fixtures.pgbouncer import running
from tests.fixtures.pods import Pod

Start = Callable[[dict[str, str]], Pod]

THREADS = 6
SHARE = THREADS // 2
ELM = "elm.clinicx.example"
OAK = "oak.clinicx.example"


def start_pod(start: Start, *, limited: bool, database_port: int, threads: int = THREADS) -> Pod:
    name = servers.database_name()
    pod = start(
        {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "NOISE_UNLIMITED": str(not limited),
            "DATABASE_URL": servers.database_url(name, "app", port=database_port),
            "DB_POOLER_MODE": "transaction",
            "WEB_WORKERS": "1",
            "DB_POOL_SIZE": str(threads),
            "REDIS_URL": servers.redis_url(servers.redis_number()),
        }
    )
    pod.wait_until(lambda: pod.answers(OAK))
    return pod


def most_at_once(database: str, *, seconds: float) -> int:
    """Return how many of Elm's slow statements were seen at the server at the same time."""
    address = urlsplit(os.environ["DATABASE_SUPERUSER_URL"])
    most, end = 0, time.monotonic() + seconds
    with psycopg.connect(address._replace(path=f"/{database}").geturl(), autocommit=True) as server:
        while time.monotonic() < end:
            row = server.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active' "
                "AND query LIKE %s",
                [database, f"%tenant_elm%{SLOW.replace('%', '%%')}%"],
            ).fetchone()
            assert row is not None
            most = max(most, row[0])
            time.sleep(0.005)
    return most


class TestNoise:
    @pytest.mark.parametrize("limited", [True, False], ids=["limited", "unlimited"])
    def test_takes_a_share_of_the_threads(
        self, limited: bool, start: Start, committed: None, elm: Organization, oak: Organization
    ) -> None:
        """
        Counted at the server, and not timed. Without the limits Elm holds every thread.
        """
        with running(pool_size=THREADS) as pooler:
            pod = start_pod(start, limited=limited, database_port=pooler.port)
            noise = Crowd(
                **{"port": pod.port, "hosts": [ELM], "path": "/slow/"},
                **{"clients": 40, "seconds": 3, "pause": 0.01},
            ).start()
            neighbours = Crowd(
                **{"port": pod.port, "hosts": [OAK], "path": "/quick/"},
                **{"clients": 2, "seconds": 3, "pause": 0.05},
            ).start()
            most = most_at_once(servers.database_name(), seconds=3)
            heard, answered = noise(), neighbours()

        assert {each.status for each in answered} == {200}
        statuses = Counter(each.status for each in heard)
        if limited:
            assert most == SHARE
            assert set(statuses) == {200, 429}
        else:
            assert most == THREADS
            assert set(statuses) == {200}
