"""What is counted, for whom, and that the number of series has a bound."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest
from django.core.cache import cache
from django.core.exceptions import MiddlewareNotUsed
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from prometheus_client import REGISTRY, generate_latest

from tenancy import context, metrics
from tenancy.backend import gauges
from tenancy.backend.base import DatabaseWrapper
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.metrics import instruments, names, sampling
from tenancy.metrics.names import OTHER
from tenancy.metrics.requests import MetricsMiddleware
from tenancy.metrics.seats import Seats
from tenancy.models import Organization
from tenancy.testing import TenantClient

CLINICS = [f"clinic-{number}" for number in range(2_000)]


class TestSeats:
    def test_name_everybody_where_there_are_few(self) -> None:
        seats = Seats(100)

        assert [seats.name_of(clinic) for clinic in CLINICS[:75]] == CLINICS[:75]

    def test_are_never_more_than_the_limit(self) -> None:
        """
        Whoever asks, however often: 2,000 clinics are 100 names and "other".
        """
        seats = Seats(100)
        generator = random.Random(1)
        named = {seats.name_of(generator.choice(CLINICS)) for _ in range(200_000)}

        assert len(named - {OTHER}) <= 100
        assert OTHER in named

    def test_are_the_busys(self) -> None:
        """
        Of 2,000 clinics whose requests go as one over their rank, the first 20 have names.
        """
        weights = list(accumulate(1 / rank for rank in range(1, len(CLINICS) + 1)))
        for seed in range(5):
            asked = random.Random(seed).choices(CLINICS, cum_weights=weights, k=50_000)
            seats = Seats(100)
            for clinic in asked:
                seats.name_of(clinic)

            assert [seats.peek(clinic) for clinic in CLINICS[:20]] == CLINICS[:20]

    def test_come_to_a_busy_clinic_that_comes_late(self) -> None:
        seats = Seats(100)
        for clinic in CLINICS * 2:
            seats.name_of(clinic)

        names = [seats.name_of("late") for _ in range(1_000)]

        assert names[0] == OTHER
        assert names[-1] == "late"

    def test_are_kept(self) -> None:
        """
        A counter that changed its name would fall, and rise somewhere else.
        """
        seats = Seats(8)
        seen: dict[str, str] = {}
        generator = random.Random(2)
        for _ in range(20_000):
            clinic = generator.choice(CLINICS[:50])
            name = seats.name_of(clinic)
            if seen.get(clinic) == clinic:
                assert name == clinic
            seen[clinic] = name

    def test_are_shared_by_the_processes_of_a_pod(self, tmp_path: Path) -> None:
        """
        Workers come and go; the names of all of them together have the same bound.
        """
        generator = random.Random(3)
        named: set[str] = set()
        for _ in range(20):
            worker = Seats(16, tmp_path / "seats")
            named |= {worker.name_of(generator.choice(CLINICS)) for _ in range(500)}

        assert len(named - {OTHER}) <= 16

    def test_are_not_given_twice_by_processes_that_see_late(self, tmp_path: Path) -> None:
        """
        Each looked before any seat was taken: who has one is asked again when one is given.
        """
        workers = [Seats(8, tmp_path / "seats") for _ in range(20)]
        for worker in workers:
            worker._looked_at = time.monotonic()

        first = {worker.name_of(f"first-{n}") for n, worker in enumerate(workers)}
        busy = {worker.name_of(f"busy-{n % 20}") for n, worker in enumerate(workers * 100)}

        assert len(first - {OTHER}) == 6
        assert len((first | busy) - {OTHER}) == 8


class TestSeries:
    def test_have_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        2,000 clinics ask 30 routes and a hundred more: names x endpoints x buckets, and no more.
        """
        from prometheus_client import CollectorRegistry, Histogram

        registry = CollectorRegistry()
        metric = names.RESPONSE_TIME
        histogram = Histogram(
            metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry
        )
        seats = Seats(100)
        monkeypatch.setattr(metrics, "_endpoints", set())
        for number in range(400_000):
            endpoint = metrics._bounded(f"route-{number % 130}")
            name = seats.name_of(CLINICS[number % len(CLINICS)])
            if number % 3 == 0:
                histogram.labels(name, endpoint)
        (family,) = registry.collect()

        tenants = {sample.labels["tenant_id"] for sample in family.samples}
        endpoints = {sample.labels["endpoint"] for sample in family.samples}
        assert len(tenants) <= 101
        assert len(endpoints) <= 41
        # Each bucket, +Inf, _sum, _count and _created.
        assert len(family.samples) <= 101 * 41 * (len(metric.buckets) + 4)


@pytest.fixture
def fresh(committed: None) -> None:
    """A connection that has worked for nobody; real commits."""
    connection.close()


def switches(grown: Callable[..., float], tenant: str) -> float:
    return grown("schema_switch_duration_seconds_count", tenant_id=tenant)


class TestRequests:
    def test_are_counted_for_their_clinic(
        self, in_elm: Organization, elm_client: TenantClient, grown: Callable[..., float]
    ) -> None:
        elm_client.get("/sign-in/")

        labels = {"tenant_id": "elm"}
        assert grown("tenant_requests_total", **labels, pod_name=settings.METRICS_POD) == 1
        assert grown("tenant_responses_total", **labels, status_class="2xx") == 1
        time = {**labels, "endpoint": "accounts:sign_in"}
        assert grown("tenant_response_time_seconds_count", **time) == 1
        assert 0 < grown("tenant_response_time_seconds_sum", **time) < 60

    @pytest.mark.parametrize(
        ("host", "path", "tenant", "endpoint"),
        [
            ("localhost", "/sign-in/", "platform", "accounts:sign_in"),
            ("localhost", "/admin/login/", "platform", "admin"),
            ("nobody.localhost", "/patients/", "unknown", "unresolved"),
            ("elm.localhost", "/Eleanor-Rigby/", "elm", "unresolved"),
        ],
    )
    def test_are_told_by_words_of_ours(
        self,
        on_platform: None,
        elm: Organization,
        grown: Callable[..., float],
        host: str,
        path: str,
        tenant: str,
        endpoint: str,
    ) -> None:
        """
        A path is a client's, and may name a patient.
        """
        TenantClient(host=host).get(path)

        labels = {"tenant_id": tenant, "endpoint": endpoint}
        assert grown("tenant_response_time_seconds_count", **labels) == 1
        assert "Eleanor" not in generate_latest(REGISTRY).decode()

    def test_are_in_flight_while_they_are_answered(self) -> None:
        before = metrics.count_in_flight()
        seen = []

        def answer(request: HttpRequest) -> HttpResponse:
            seen.append(metrics.count_in_flight())
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            MetricsMiddleware(answer)(RequestFactory().get("/"))

        assert seen == [before + 1]
        assert metrics.count_in_flight() == before

    def test_are_counted_in_an_asynchronous_server_too(self, grown: Callable[..., float]) -> None:
        async def answer(request: HttpRequest) -> HttpResponse:
            return HttpResponse(status=418)

        asyncio.run(MetricsMiddleware(answer)(RequestFactory().get("/")))  # type: ignore[arg-type]

        labels = {"tenant_id": "unknown", "status_class": "4xx"}
        assert grown("tenant_responses_total", **labels) == 1

    @pytest.mark.parametrize("host", ["elm.localhost", "localhost"])
    def test_are_told_to_nobody_who_asks_for_pages(
        self, on_platform: None, elm: Organization, host: str
    ) -> None:
        """
        Who may open a clinic's pages must not read how many others there are.
        """
        assert TenantClient(host=host).get("/metrics").status_code == 404

    def test_cost_nothing_where_nobody_counts(self, settings: Any) -> None:
        settings.TENANCY_METRICS = False

        with pytest.raises(MiddlewareNotUsed):
            MetricsMiddleware(lambda request: HttpResponse())

    def test_that_are_refused_are_counted_by_the_error(
        self, in_elm: Organization, elm_client: TenantClient, settings: Any, grown: Any
    ) -> None:
        settings.TENANCY_TENANT_RATES = {"elm": {"tenant": "1/hour"}}
        elm_client.get("/sign-in/")

        refused = elm_client.get("/sign-in/")

        assert refused.status_code == 429
        assert grown("tenant_refusals_total", tenant_id="elm", reason="RateLimited") == 1


class TestSwitch:
    def test_is_the_first_message_for_another_clinic(
        self, fresh: None, elm: Organization, oak: Organization, grown: Callable[..., float]
    ) -> None:
        """
        Three statements for Elm are one switch, and each way back is another.
        """
        for organization in (elm, elm, oak, elm):
            with context.override(organization.as_active()), connection.cursor() as cursor:
                for _ in range(3):
                    cursor.execute("SELECT 1")

        assert switches(grown, "elm") == 2
        assert switches(grown, "oak") == 1

    @pytest.mark.parametrize("how", ["transaction", "many", "copy"])
    def test_is_noted_however_the_binding_travels(
        self, fresh: None, elm: Organization, grown: Callable[..., float], how: str
    ) -> None:
        with context.override(elm.as_active()), connection.cursor() as cursor:
            if how == "transaction":
                with transaction.atomic():
                    cursor.execute("SELECT 1")
            elif how == "many":
                cursor.executemany("SELECT %s", [[1], [2]])
            else:
                with cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                    list(copy)

        assert switches(grown, "elm") == 1

    def test_takes_as_long_as_its_message(
        self, fresh: None, elm: Organization, grown: Callable[..., float]
    ) -> None:
        """
        What the server does for a binding has no answer of its own: a bound from above.
        """
        with context.override(elm.as_active()), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.2)")

        seconds = grown("schema_switch_duration_seconds_sum", tenant_id="elm")
        assert 0.2 <= seconds < 10

    def test_is_not_noted_where_the_server_refused(
        self, fresh: None, elm: Organization, grown: Callable[..., float]
    ) -> None:
        with (
            context.override(elm.as_active()),
            connection.cursor() as cursor,
            pytest.raises(ProgrammingError),
        ):
            cursor.execute("SELECT nothing")

        assert switches(grown, "elm") == 0


class TestDatabaseErrors:
    def test_are_counted_once_by_their_class(
        self, fresh: None, elm: Organization, grown: Callable[..., float]
    ) -> None:
        with (
            context.override(elm.as_active()),
            connection.cursor() as cursor,
            pytest.raises(ProgrammingError),
        ):
            cursor.execute("SELECT nothing")

        assert grown("database_errors_total", sqlstate_class="42") == 1

    def test_have_a_class_where_nobody_answers(
        self, fresh: None, grown: Callable[..., float]
    ) -> None:
        nowhere = DatabaseWrapper(
            connection.settings_dict | {"HOST": "127.0.0.1", "PORT": 1}, "nowhere"
        )

        with pytest.raises(OperationalError):
            nowhere.ensure_connection()

        assert grown("database_errors_total", sqlstate_class="connection") == 1

    @pytest.mark.parametrize("sqlstate", ["ZZ123", "patient Eleanor Rigby"])
    def test_of_no_known_class_are_other(self, sqlstate: str, grown: Callable[..., float]) -> None:
        error = psycopg.Error()
        error.sqlstate = sqlstate

        metrics.database_failed(error)

        assert grown("database_errors_total", sqlstate_class="other") == 1


class TestConnections:
    def test_are_active_while_they_are_held(self, committed: None, elm: Organization) -> None:
        connection.close()
        before = gauges.count_lent()
        with context.override(elm.as_active()), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            held = gauges.count_lent()
        connection.close()

        assert held == before + 1
        assert gauges.count_lent() == before

    def test_tell_who_waits(self, committed: None, grown: Callable[..., float]) -> None:
        """
        One connection, two that want it: the second waits, and is counted while and after.
        """
        pool = {"min_size": 1, "max_size": 1, "timeout": 30}
        settings = {"OPTIONS": {"pool": pool}, "CONN_MAX_AGE": 0}
        wrapper = DatabaseWrapper(connection.settings_dict | settings, "waiting")
        try:
            wrapper.pool.open()
            with wrapper.pool.connection():
                waiting = Thread(target=lambda: wrapper.pool.putconn(wrapper.pool.getconn()))
                waiting.start()
                while not wrapper.pool.get_stats().get("requests_waiting"):
                    time.sleep(0.01)
                sampling.sample()
                waited_for = REGISTRY.get_sample_value("db_pool_waiting")
            waiting.join()
            sampling.sample()
        finally:
            wrapper.close_pool()

        assert waited_for == 1
        assert REGISTRY.get_sample_value("db_pool_waiting") == 0
        assert grown("db_pool_checkouts_total") >= 2
        assert grown("db_pool_queued_total") >= 1
        assert grown("db_pool_wait_seconds_total") > 0


class TestCache:
    def test_tells_hits_from_misses(self, elms: ActiveTenant, grown: Callable[..., float]) -> None:
        with context.override(elms):
            cache.set("here", 1)
            cache.get("here")
            cache.get("gone", "default")
            cache.get_many(["here", "gone", "away"])

        assert grown("cache_gets_total", result="hit") == 2
        assert grown("cache_gets_total", result="miss") == 3

    def test_returns_what_it_was_given(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            cache.set("nothing", None)

            assert cache.get("nothing", "default") is None
            assert cache.get("gone", "default") == "default"


class TestInstruments:
    def test_are_made_once_by_many_threads(self) -> None:
        """
        The first two requests of a process may come at once.
        """
        metric = names.Metric("made_by_many_total", "counter", "For this test.")
        together = Barrier(8)

        def count() -> None:
            together.wait()
            instruments.child(metric).inc()

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(count) for _ in range(8)]:
                done.result()

        assert REGISTRY.get_sample_value(metric.name) == 8

    def test_observe_many_values_as_they_would_one_by_one(self) -> None:
        from prometheus_client import CollectorRegistry, Histogram

        values = [0.0005, 0.003, 0.01, 0.01, 7, 99]
        found = []
        for at_once in (True, False):
            registry = CollectorRegistry()
            histogram = Histogram("x", "x", buckets=names.SWITCH_BUCKETS, registry=registry)
            if at_once:
                instruments.observe_all(histogram, values)
            else:
                for value in values:
                    histogram.observe(value)
            (family,) = registry.collect()
            found.append([(s.name, s.labels, s.value) for s in family.samples[:-1]])

        assert found[0] == found[1]
