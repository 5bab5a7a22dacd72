"""A pod that is told to go answers what it was asked, and leaves nothing open."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psutil
import psycopg
import pytest
from django.contrib.auth.models import Group

from tenancy import context
from tenancy.models import Organization
from tests.fixtures.pods import Pod
from tests.serving import load, service
from tests.serving.load import HOSTS, Load

ELM, OAK = HOSTS
A_SECOND = 50
# Enough to see it; CLINICX_RESTARTS=20 is what is promised, and takes a minute and a half.
RESTARTS = int(os.environ.get("CLINICX_RESTARTS", "2"))
# The ingress hears of a pod's end at once here; in a cluster preStop sleeps for longer.
PRE_STOP_SECONDS = 0.2


@pytest.fixture
def pod(start: Callable[..., Pod], elm: Organization, oak: Organization) -> Callable[..., Pod]:
    """A function that starts an instance, and returns when it serves."""

    def pod(**variables: str) -> Pod:
        pod = start({"DJANGO_SETTINGS_MODULE": "tests.serving.pod_settings", **variables})
        pod.wait_until(lambda: pod.answers(ELM))
        return pod

    return pod


@pytest.fixture
def at_one_address() -> Iterator[service.Service]:
    with service.running() as running:
        yield running


@pytest.fixture
def label(committed: None, elm: Organization, oak: Organization) -> Iterator[str]:
    """What the rows of this test are called; it leaves none."""
    label = uuid4().hex
    yield label
    for organization in (elm, oak):
        with context.override(organization.as_active()):
            Group.objects.filter(name__startswith=label).delete()


def list_open_transactions() -> list[tuple[str, str]]:
    """Return the transactions in which nobody has done anything for a second."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as superuser:
        return superuser.execute(
            """
            SELECT datname, query FROM pg_stat_activity
             WHERE state LIKE 'idle in transaction%%' AND state_change < now() - interval '1 s'
               AND datname LIKE %s
            """,
            [os.environ["DATABASE_URL"].rpartition("/")[2]],
        ).fetchall()


def list_rows(label: str, *clinics: Organization) -> list[str]:
    found: list[str] = []
    for clinic in clinics:
        with context.override(clinic.as_active()):
            rows = Group.objects.filter(name__startswith=label)
            found += rows.values_list("name", flat=True)
    return found


def end(pod: Pod) -> None:
    pod.process.terminate()
    assert pod.process.wait(timeout=30) == 0, pod.said


def assert_nothing_lost(load: Load, at: service.Service) -> None:
    assert at.lost == []
    assert load.wrong == []
    print(f"\n{load.sent} requests, none lost, the slowest took {load.slowest:.2f} s")  # noqa: T201


class TestRollOut:
    def test_loses_no_request_and_leaves_no_transaction(
        self,
        pod: Callable[..., Pod],
        at_one_address: service.Service,
        label: str,
        elm: Organization,
        oak: Organization,
    ) -> None:
        """Two instances are replaced one after the other, the new one first, time and again."""
        instances = [pod(WEB_WORKERS="1"), pod(WEB_WORKERS="1")]
        for each in instances:
            at_one_address.add(each.port)

        with load.running(at_one_address.port, a_second=A_SECOND, label=label) as loaded:
            for _ in range(RESTARTS):
                old, new = instances.pop(0), pod(WEB_WORKERS="1")
                at_one_address.add(new.port)
                at_one_address.remove(old.port)
                time.sleep(PRE_STOP_SECONDS)
                end(old)
                instances.append(new)
                assert list_open_transactions() == []

        assert_nothing_lost(loaded, at_one_address)
        assert sorted(list_rows(label, elm, oak)) == sorted(loaded.written)
        assert len(at_one_address.served) == RESTARTS + 2

    def test_would_show_what_is_lost(
        self, pod: Callable[..., Pod], at_one_address: service.Service, label: str
    ) -> None:
        """An instance that is killed, and that the address goes on to send requests to."""
        instance = pod(WEB_WORKERS="1")
        at_one_address.add(instance.port)

        with load.running(at_one_address.port, a_second=A_SECOND, label=label) as loaded:
            time.sleep(0.5)
            workers = psutil.Process(instance.process.pid).children()
            for each in (instance.process, *workers):
                each.kill()
            time.sleep(0.5)

        assert at_one_address.lost
        assert loaded.wrong


class TestWorkers:
    def test_are_replaced_without_losing_a_request(
        self, pod: Callable[..., Pod], at_one_address: service.Service, label: str
    ) -> None:
        """After so many requests each, and all at once by a HUP."""
        instance = pod(WEB_MAX_REQUESTS="50", WEB_MAX_REQUESTS_JITTER="30")
        at_one_address.add(instance.port)
        parent = psutil.Process(instance.process.pid)
        before = {each.pid for each in parent.children()}

        with load.running(at_one_address.port, a_second=A_SECOND, label=label) as loaded:
            time.sleep(3)
            instance.process.send_signal(signal.SIGHUP)
            time.sleep(3)

        assert_nothing_lost(loaded, at_one_address)
        assert instance.said.count("Autorestarting worker") >= 2
        assert not before & {each.pid for each in parent.children()}
        # What loaded the application for all of them has asked nobody anything.
        assert [each for each in parent.net_connections() if each.status != "LISTEN"] == []
        assert list_open_transactions() == []


class TestSigterm:
    def test_lets_requests_end_that_are_being_answered(
        self, pod: Callable[..., Pod], at_one_address: service.Service
    ) -> None:
        instance = pod()
        at_one_address.add(instance.port)
        asked = [(ELM, "slow/?seconds=2"), (OAK, "slow/?seconds=1"), (ELM, "stream/")]

        def ask(host: str, path: str) -> tuple[int, bytes]:
            answer = at_one_address.forward("GET", f"/probe/{path}", _headers(host), b"")
            return answer[0], answer[2]

        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(ask, *each) for each in asked]
            time.sleep(0.3)
            end(instance)
            found = [each.result() for each in answers]

        assert found == [(200, b"tenant_elm"), (200, b"tenant_oak"), (200, b"tenant_elm " * 5)]
        assert list_open_transactions() == []

    def test_answers_on_a_connection_that_was_kept_and_then_closes_it(
        self, pod: Callable[..., Pod], at_one_address: service.Service
    ) -> None:
        """A request may be on its way when the worker is told to go."""
        instance = pod(WEB_WORKERS="1")
        at_one_address.add(instance.port)
        first = at_one_address.forward("GET", "/probe/who/", _headers(ELM), b"")
        instance.process.terminate()
        time.sleep(0.5)
        second = at_one_address.forward("GET", "/probe/who/", _headers(OAK), b"")

        assert (first[0], first[2]) == (200, b"tenant_elm")
        assert (second[0], second[2]) == (200, b"tenant_oak")
        assert ("Connection", "close") in second[1]
        assert instance.process.wait(timeout=10) == 0


def _headers(host: str) -> dict[str, str]:
    return {"Host": host, "X-Forwarded-Proto": "https"}
