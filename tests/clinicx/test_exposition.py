"""A pod's numbers are those of all its workers, at a port of their own, whoever dies."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from clinicx.local import ports
from tenancy.metrics import exposition, names
from tenancy.models import Organization
from tests.fixtures.pods import Pod

HOST = "elm.clinicx.example"
PATIENCE_SECONDS = 30


class Measured:
    """A pod and its port for Prometheus."""

    def __init__(self, pod: Pod, port: int, directory: Path) -> None:
        self.pod = pod
        self.port = port
        self.directory = directory

    def get(self, path: str = "/metrics") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def families(self) -> dict[str, Metric]:
        status, text = self.get()
        assert status == 200
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples called `name` that have these labels."""
        return sum(
            sample.value
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def answered(self) -> float:
        return self.value("tenant_requests_total", tenant_id="elm", pod_name="pod-1")

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, self.pod.said
            time.sleep(0.1)

    def list_workers(self) -> list[int]:
        """Return the children of the main thread, who forks; others answer scrapes and end."""
        process = self.pod.process.pid
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
        return [int(child) for child in children.split()]

    def count_files(self) -> int:
        return len(list(self.directory.glob("*/*.db")))


@pytest.fixture
def measured(start: Callable[[dict[str, str]], Pod], elm: Organization, tmp_path: Path) -> Measured:
    """A pod called pod-1 with two workers, which has answered Elm once."""
    port = ports.pick(preferred=0)
    directory = tmp_path / "metrics"
    pod = start(
        {
            "METRICS_PORT": str(port),
            "METRICS_ADDRESS": "127.0.0.1",
            "METRICS_DIRECTORY": str(directory),
            "POD_NAME": "pod-1",
            "CLINICX_VERSION": "1.2.3",
        }
    )
    pod.wait_until(lambda: pod.answers(HOST))
    return Measured(pod, port, directory)


class TestPort:
    def test_answers_one_path(self, measured: Measured) -> None:
        assert measured.get()[0] == 200
        assert measured.get("/")[0] == 404
        assert measured.get("/patients/")[0] == 404

    def test_that_is_taken_keeps_no_page_from_being_served(
        self, measured: Measured, start: Callable[[dict[str, str]], Pod]
    ) -> None:
        pod = start({"METRICS_PORT": str(measured.port), "METRICS_ADDRESS": "127.0.0.1"})

        pod.wait_until(lambda: pod.answers(HOST))

        assert f"METRICS_PORT={measured.port} cannot be listened at" in pod.said


class TestNumbers:
    def test_are_those_of_all_workers(self, measured: Measured) -> None:
        """
        Whoever answers, each request is counted, also when its worker is gone by then.
        """
        measured.wait_until(lambda: measured.answered() >= 1)
        before = measured.answered()
        for _ in range(20):
            measured.pod.ask(HOST)
        measured.wait_until(lambda: measured.answered() >= before + 20)
        assert measured.answered() == before + 20

        for worker in measured.list_workers():
            os.kill(worker, signal.SIGKILL)
        measured.pod.wait_until(lambda: measured.pod.answers(HOST))
        measured.wait_until(lambda: measured.answered() >= before + 21)
        after = measured.answered()

        measured.pod.process.send_signal(signal.SIGHUP)
        measured.pod.wait_until(lambda: measured.pod.answers(HOST))
        measured.wait_until(lambda: measured.answered() >= after + 1)

    def test_never_fall_and_their_files_never_pile_up(self, measured: Measured) -> None:
        """
        Workers that end one after the other leave one file for each kind, and their sum.
        """
        seen = [measured.answered()]
        for _ in range(5):
            for worker in measured.list_workers():
                os.kill(worker, signal.SIGTERM)
            measured.pod.wait_until(lambda: measured.pod.answers(HOST))
            measured.wait_until(lambda: measured.answered() > seen[-1])
            seen.append(measured.answered())

        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
        # Of two workers, and of one that ends: a file for counters, one for histograms, two
        # for gauges; and two for all that are gone.
        assert measured.count_files() <= 3 * 4 + 2

    def test_are_read_while_a_process_makes_its_files(self, tmp_path: Path) -> None:
        """
        For a moment after it was made a file is empty, and prometheus_client stumbles over it.
        """
        gone = subprocess.Popen(["true"])
        gone.wait()
        for process in (os.getpid(), gone.pid):
            (tmp_path / f"counter_{process}.db").touch()

        assert exposition.collect(tmp_path) == b""

    def test_say_what_is_so_now(self, measured: Measured) -> None:
        """
        Each of two workers has a pool; sampled every few seconds, and summed.
        """
        measured.wait_until(lambda: measured.value("db_pool_limit") == 20)

        assert measured.value("clinicx_build_info", version="1.2.3", pod_name="pod-1") == 2
        assert 0 <= measured.value("db_connections_active", pod_name="pod-1") <= 20
        assert measured.value("db_pool_size") >= 1
        # Noted each second, also in the one in which the pod was asked whether it is there.
        measured.wait_until(lambda: measured.value("requests_in_flight") == 0)

    def test_have_the_names_and_labels_that_dashboards_ask_for(self, measured: Measured) -> None:
        """
        What the board and the alerts are tested with is what a pod really says.
        """
        measured.wait_until(lambda: measured.answered() >= 1)
        declared = {metric.name.removesuffix("_total"): metric for metric in names.ALL}
        told = measured.families()

        assert (
            {
                "tenant_requests",
                "tenant_responses",
                "tenant_response_time_seconds",
                "schema_switch_duration_seconds",
                "db_connections_active",
            }
            <= told.keys()
            <= declared.keys()
        )
        for name, family in told.items():
            assert family.type == declared[name].kind
            for sample in family.samples:
                assert sample.labels.keys() - {"le"} == set(declared[name].labels), name

    def test_hold_nothing_that_a_client_sent(self, measured: Measured) -> None:
        """
        A patient's name in path, search, header, cookie and host is in no number.
        """
        name = "eleanor-rigby"
        for host, path in (
            (HOST, f"/api/v1/patients/{name}/"),
            (HOST, f"/api/v1/patients/?search={name}"),
            (f"{name}.clinicx.example", "/api/v1/patients/"),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", measured.pod.port, timeout=10)
            headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Tenant": name}
            connection.request("GET", path, headers=headers | {"Cookie": f"sessionid={name}"})
            assert connection.getresponse().status in (401, 404)
            connection.close()

        measured.wait_until(
            lambda: measured.value("tenant_requests_total", tenant_id="unknown") >= 1
        )
        assert name not in measured.get()[1].lower()

    def test_are_read_while_postgresql_is_away(
        self, start: Callable[[dict[str, str]], Pod], tmp_path: Path
    ) -> None:
        """
        Nothing is asked for a scrape, so that none hangs: this pod waits for its database.
        """
        port = ports.pick(preferred=0)
        pod = start(
            {
                "DATABASE_URL": "postgres://x:x@127.0.0.1:1/x",
                "METRICS_PORT": str(port),
                "METRICS_ADDRESS": "127.0.0.1",
                "METRICS_DIRECTORY": str(tmp_path),
            }
        )
        pod.wait_until(lambda: "Waiting for PostgreSQL" in pod.said)
        began = time.monotonic()

        assert Measured(pod, port, tmp_path).get()[0] == 200
        assert time.monotonic() - began < 5
