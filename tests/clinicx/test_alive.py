"""A worker and beat as a pod has them: how they show that they live, and how a worker goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from kombu.asynchronous.timer import Timer

from clinicx import alive, probe
from clinicx.local import ports
from clinicx.local import redis as local_redis
from tenancy import context
from tenancy.models import Organization
from tests.clinicx.pod_tasks import wait as wait_task
from tests.clinicx.test_settings import COMPLETE, ROOT
from tests.fixtures import servers

PATIENCE_SECONDS = 60
PREFIX = "clinicx:celery:"
QUEUE = f"{PREFIX}celery"
CANNOT = "Cannot connect to"
CLEAR = "apps.accounts.tasks.clear_expired_sessions"


def wait_until(is_so: Callable[[], object], *, said: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


class Redis:
    """A Redis of the test's own, which can be killed and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        build = local_redis.find()
        self._server = local_redis.Server(folder, build, ports.pick(preferred=0), "secret")
        self.url = self._server.address

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        local_redis.stop(self._server.folder)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@dataclass
class Pod:
    process: subprocess.Popen[bytes]
    log: Path
    file: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.said, said=lambda: self.said)

    def wait_for_touches(self) -> None:
        """Return when the file was touched twice: once might be of what was before."""
        for _ in range(2):
            last = self.file.stat().st_mtime_ns
            wait_until(lambda last=last: self.file.stat().st_mtime_ns > last)


Start = Callable[..., Pod]


def ask(pod: Pod) -> int:
    """Return the status of the probe, as Kubernetes runs it in the pod."""
    variables = {"PATH": os.environ["PATH"], "ALIVE_FILE": str(pod.file)}
    words = [sys.executable, "-m", "clinicx", "alive"]
    return subprocess.run(words, cwd=ROOT, env=variables).returncode


def queue_a_wait(broker: Redis, *, seconds: float) -> None:
    with (
        context.override(context.PLATFORM),
        wait_task.app.connection_for_write(broker.url) as connection,
    ):
        wait_task.apply_async([seconds], connection=connection)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start(django_db_setup: None, broker: Redis, tmp_path: Path) -> Iterator[Start]:
    """A function that starts `python -m clinicx WORD` with production's settings."""
    pods: list[Pod] = []

    def start(*words: str, **variables: str) -> Pod:
        pod_name = f"{words[0]}-{len(pods)}"
        file, log = tmp_path / f"{pod_name}-alive", tmp_path / f"{pod_name}.log"
        environment = {
            **{key: value for key, value in COMPLETE.items() if key != "DATABASE_DDL_URL"},
            "DATABASE_URL": servers.database_url(servers.database_name(), "app"),
            "REDIS_URL": broker.url,
            # Of the messages' signatures: the tests queue some.
            "SECRET_KEY": django_settings.SECRET_KEY,
            "PATH": os.environ["PATH"],
            "ALIVE_FILE": str(file),
            "WORKER_CONCURRENCY": "1",
            "LOG_FORMAT": "line",
            **variables,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "clinicx", *words],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        pods.append(Pod(process, log, file))
        return pods[-1]

    yield start
    for pod in pods:
        pod.process.kill()
        pod.process.wait()


class TestWorker:
    def test_lives_while_it_waits_for_redis(self, start: Start, broker: Redis):
        """
        Before it was there, and when it is gone: to be restarted would help nobody, and end
        the task that it is at.
        """
        broker.stop()
        worker = start("worker")
        worker.wait_for(CANNOT)
        worker.wait_for_touches()

        broker.start()
        worker.wait_for(" ready.")
        tried = worker.said.count(CANNOT)
        broker.stop()
        wait_until(lambda: worker.said.count(CANNOT) > tried, said=lambda: worker.said)

        worker.wait_for_touches()
        assert ask(worker) == 0

    def test_has_tasks_end_and_then_goes(self, start: Start, broker: Redis):
        worker = start("worker", "--include=tests.clinicx.pod_tasks")
        worker.wait_for(" ready.")
        queue_a_wait(broker, seconds=1)
        queue_a_wait(broker, seconds=1)
        worker.wait_for("pid=")

        worker.process.terminate()

        assert worker.process.wait(timeout=PATIENCE_SECONDS) == 0
        assert worker.said.count("succeeded in 1") == 1
        assert broker.client.llen(QUEUE) == 1

    def test_gives_back_what_does_not_end_in_time(self, start: Start, broker: Redis):
        worker = start("worker", "--include=tests.clinicx.pod_tasks", WORKER_SHUTDOWN_SECONDS="1")
        worker.wait_for(" ready.")
        queue_a_wait(broker, seconds=600)
        worker.wait_for("pid=")

        worker.process.terminate()

        assert worker.process.wait(timeout=PATIENCE_SECONDS) == 0
        assert "succeeded" not in worker.said
        assert broker.client.llen(QUEUE) == 1


class TestBeat:
    def test_lives_and_has_a_worker_do_what_is_due(
        self, start: Start, broker: Redis, elm: Organization, committed: None, tmp_path: Path
    ):
        """
        One message of beat for all clinics, and of the worker one for each.
        """
        beat = start(
            "beat",
            f"--schedule={tmp_path / 'schedule'}",
            DJANGO_SETTINGS_MODULE="tests.clinicx.pod_settings",
        )
        worker = start("worker", DJANGO_SETTINGS_MODULE="tests.clinicx.pod_settings")

        worker.wait_for("Task tenancy.fan_out")
        # The platform's own, and what was fanned out.
        done = re.compile(rf"Task {CLEAR}\S+ succeeded")
        wait_until(lambda: len(done.findall(worker.said)) > 1, said=lambda: worker.said)
        beat.wait_for_touches()
        assert ask(beat) == 0
        broker.stop()
        beat.wait_for("SchedulingError")
        beat.wait_for_touches()

    def test_queues_for_the_owner_where_somebody_listens(
        self, start: Start, broker: Redis, tmp_path: Path
    ):
        beat = start(
            "beat",
            f"--schedule={tmp_path / 'schedule'}",
            DJANGO_SETTINGS_MODULE="tests.clinicx.pod_settings",
            OWNER_WORKER="True",
        )

        wait_until(lambda: broker.client.llen(f"{PREFIX}tenancy-owner"), said=lambda: beat.said)


class TestHeart:
    def test_stops_where_the_loop_does(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        monkeypatch.setattr(alive, "PULSE_SECONDS", 0.01)
        monkeypatch.setattr(alive.Heart, "PATIENCE_SECONDS", 0.1)
        file = tmp_path / "alive"
        heart = alive.Heart(file)

        def is_touched() -> bool:
            before = file.stat().st_mtime_ns
            time.sleep(0.3)
            return file.stat().st_mtime_ns > before

        assert is_touched()
        heart.turn()
        time.sleep(0.2)
        assert not is_touched()
        heart.wait()
        assert is_touched()


class TestPulse:
    def test_says_when_it_waits_for_redis(self, settings: Any, tmp_path: Path):
        """Else the file would grow old a minute after Redis went away."""
        settings.CLINICX_ALIVE_FILE = tmp_path / "alive"
        consumer = SimpleNamespace(timer=Timer(), steps=[])
        pulse = alive.Pulse(consumer)
        assert pulse._heart._turned_at is None

        pulse.start(consumer)
        assert pulse._heart._turned_at is not None
        assert len(consumer.timer.schedule.queue) == 1

        pulse.stop(consumer)
        assert pulse._heart._turned_at is None
        assert [entry.cancelled for *_, entry in consumer.timer.queue if entry] == [True]

    def test_is_only_where_a_file_is_named(self, settings: Any):
        settings.CLINICX_ALIVE_FILE = None

        assert not alive.Pulse(SimpleNamespace(timer=Timer(), steps=[])).enabled


class TestProbe:
    @pytest.fixture
    def file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.setenv("ALIVE_FILE", str(tmp_path / "alive"))
        return tmp_path / "alive"

    def test_believes_a_file_that_was_touched(self, file: Path):
        file.touch()

        assert probe.find_fault() == ""

    def test_says_how_old_it_is(self, file: Path):
        file.touch()
        os.utime(file, (0, time.time() - 100))

        assert f"{file} is 100 seconds old" in probe.find_fault()

    @pytest.mark.parametrize(("status", "fault"), [(200, ""), (503, "says 503")])
    def test_asks_for_a_page_where_there_is_none(
        self, file: Path, status: int, fault: str, monkeypatch: pytest.MonkeyPatch
    ):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/health/live" else 404)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        with HTTPServer(("127.0.0.1", 0), Answer) as server:
            monkeypatch.setattr(probe, "PORT", server.server_port)
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            said = probe.find_fault()
            thread.join()

        assert said.endswith(f"{fault}." if fault else "")
        assert bool(said) == bool(fault)

    def test_says_that_nobody_answers(self, file: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(probe, "PORT", ports.pick(preferred=0))

        assert "nobody answers" in probe.find_fault()
