"""
Pods that are pressed open exactly as many connections as `connection_plan` says.

Every request waits for a table that the test has locked, in a transaction of its own, so that
each thread holds its connection and each pooler opens all that it may. What is there then is
counted by PgBouncer's console and by PostgreSQL, many times, and the most is what counts.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import import_module
from itertools import cycle, product
from typing import Any

import psutil
import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connections
from psycopg.rows import dict_row

from tenancy import context
from tenancy.connection_plan import NONE, TRANSACTION, Deployment
from tenancy.models import Organization
from tests.fixtures import pgbouncer, servers
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.pods import COMPLETE, Pod

REQUEST = (
    "GET /api/v1/patients/ HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\n"
    "Cookie: __Host-sessionid={session}\r\nConnection: close\r\n\r\n"
)
# Requests that come together.
STEP = 24
# The application's login gives up a lock that it waits for after ten.
PRESS_SECONDS = 7

THROUGH_POOLER = Deployment(
    pods=2,
    workers=3,
    pool=12,
    mode=TRANSACTION,
    poolers=1,
    pool_size=5,
    reserve=2,
    max_client_conn=100,
)
DIRECT = Deployment(pods=1, workers=3, pool=12, mode=NONE)


@pytest.fixture
def sessions(elm: Organization, oak: Organization, committed: None, settings: Any) -> Any:
    """A session at each of two clinics, by the host, as the pods read them."""
    settings.SECRET_KEY = COMPLETE["SECRET_KEY"]
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    made = {}
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            session = store()
            session["kept"] = "so that there is something"
            session.save()
        made[f"{clinic.slug}.clinicx.example"] = session.session_key
    connections.close_all()
    yield made
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            store(made[f"{clinic.slug}.clinicx.example"]).delete()


@contextmanager
def locked(*clinics: Organization) -> Iterator[None]:
    """Let everybody wait who looks for a session at one of the clinics."""
    with ExitStack() as stack:
        for clinic in clinics:
            owner = connections["ddl"].copy()
            stack.callback(owner.close)
            stack.enter_context(context.override(clinic.as_active()))
            owner.set_autocommit(False)
            with owner.cursor() as cursor:
                cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
            stack.callback(owner.rollback)
        yield


class Crowd:
    """Browsers at both clinics and all pods that have asked, and wait for their answers."""

    def __init__(self, pods: list[Pod], sessions: dict[str, str]) -> None:
        self._targets = cycle(product(pods, sessions.items()))
        self._open: list[socket.socket] = []

    def grow(self, number: int) -> None:
        for _ in range(number):
            pod, (host, session) = next(self._targets)
            browser = socket.create_connection(("127.0.0.1", pod.port), timeout=30)
            browser.sendall(REQUEST.format(host=host, session=session).encode())
            self._open.append(browser)

    def answers(self) -> set[int]:
        """Wait until all are answered, and return with which statuses."""
        return {self._answer(browser) for browser in self._open}

    def _answer(self, browser: socket.socket) -> int:
        with browser, browser.makefile("rb") as answer:
            return int(answer.readline().split()[1])


class Watch:
    """The most of what was seen."""

    def __init__(self, count: Callable[[], dict[str, int]]) -> None:
        self._count = count
        self.most: dict[str, int] = {}

    def press(self, crowd: Crowd, expected: dict[str, int]) -> None:
        """
        Let more and more ask until what is expected was seen, and then as many again.

        A worker that is busy takes on requests too, so that it is chance when each has enough.
        """
        deadline = time.monotonic() + PRESS_SECONDS
        while self.most != expected and time.monotonic() < deadline:
            crowd.grow(STEP)
            self._look()
        for _ in range(5):
            crowd.grow(STEP)
            self._look()

    def _look(self) -> None:
        time.sleep(0.2)
        for name, number in self._count().items():
            self.most[name] = max(number, self.most.get(name, 0))


@pytest.fixture
def at_server() -> Iterator[Callable[[], int]]:
    """A function that counts the connections of the application's login that the test brought."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as connection:

        def list_all() -> set[int]:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = %s",
                [f"{servers.database_name()}_app"],
            )
            return {pid for (pid,) in rows}

        # Of tests before this one, such as those that another pooler keeps.
        before = list_all()
        yield lambda: len(list_all() - before)


def in_pooler(pooler: PgBouncer) -> dict[str, int]:
    """Return the clients and the servers of the application's pool, as SHOW POOLS has them."""
    with closing(pooler.console()) as console, console.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SHOW POOLS").fetchall()
    (pool,) = (row for row in rows if row["user"] == f"{servers.database_name()}_app")
    return {
        "clients": sum(pool[name] for name in ("cl_active", "cl_waiting")),
        "servers": sum(pool[name] for name in ("sv_active", "sv_idle", "sv_used", "sv_tested")),
    }


def start_all(plan: Deployment, start: Callable[[dict[str, str]], Pod], url: str) -> list[Pod]:
    variables = {
        "DATABASE_URL": url,
        "DB_POOL_SIZE": str(plan.pool),
        "DB_POOL_MIN_SIZE": str(plan.workers),
        "WEB_WORKERS": str(plan.workers),
        "DJANGO_SETTINGS_MODULE": "tests.fixtures.unlimited_settings",
    }
    pods = [start(variables) for _ in range(plan.pods)]
    for pod in pods:
        wait_for_workers(pod, plan.workers)
    return pods


def wait_for_workers(pod: Pod, number: int) -> None:
    """
    Return when so many workers take connections.

    Each begins with a question to PostgreSQL, for whose answer it would wait with all others.
    """
    with ExitStack() as browsers:

        def have_all_accepted() -> bool:
            with suppress(ConnectionRefusedError):
                browsers.enter_context(socket.create_connection(("127.0.0.1", pod.port)))
            workers = psutil.Process(pod.process.pid).children()
            return len(workers) == number and all(map(has_accepted, workers))

        def has_accepted(worker: psutil.Process) -> bool:
            found = worker.net_connections("tcp")
            return any(each.raddr and each.laddr.port == pod.port for each in found)

        pod.wait_until(have_all_accepted)


class TestPodsThroughPgBouncer:
    def test_open_what_the_plan_says(
        self,
        start: Callable[[dict[str, str]], Pod],
        sessions: dict[str, str],
        elm: Organization,
        oak: Organization,
        at_server: Callable[[], int],
    ) -> None:
        plan = THROUGH_POOLER
        with pgbouncer.running(pool_size=plan.pool_size) as pooler:
            with closing(pooler.console()) as console:
                console.execute(f"SET reserve_pool_size = {plan.reserve}")
                console.execute("SET reserve_pool_timeout = 1")
                console.execute(f"SET max_client_conn = {plan.max_client_conn}")
            pods = start_all(plan, start, pooler.url("app"))
            watch = Watch(lambda: {**in_pooler(pooler), "postgres": at_server()})
            expected = {
                "clients": plan.all_clients,
                "servers": plan.through_poolers,
                "postgres": plan.at_server,
            }

            crowd = Crowd(pods, sessions)
            with locked(elm, oak):
                watch.press(crowd, expected)
            answers = crowd.answers()

        assert expected == {"clients": 24, "servers": 7, "postgres": 7}
        # 401 is the page's own answer: nobody was signed in.
        assert (watch.most, answers) == (expected, {401})


class TestPodsWithoutPooler:
    def test_open_what_the_plan_says(
        self,
        start: Callable[[dict[str, str]], Pod],
        sessions: dict[str, str],
        elm: Organization,
        oak: Organization,
        at_server: Callable[[], int],
    ) -> None:
        plan = DIRECT
        pods = start_all(plan, start, servers.database_url(servers.database_name(), "app"))
        watch = Watch(lambda: {"postgres": at_server()})

        crowd = Crowd(pods, sessions)
        with locked(elm, oak):
            watch.press(crowd, {"postgres": plan.at_server})

        assert (watch.most, crowd.answers()) == ({"postgres": 12}, {401})
        assert plan.at_server == 12
