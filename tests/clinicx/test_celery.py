"""ClinicX's own worker: what it does, what it leaves in Redis, what it starts on a laptop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import redis

from clinicx.celery import app
from tenancy import context
from tenancy.models import Organization
from tests.fixtures import servers
from tests.fixtures.workers import Worker

ROOT = Path(__file__).parent.parent.parent
PREFIX = "clinicx:celery:"
# Celery's, and the cache's, which name the tenant or the platform.
OURS = re.compile(r"clinicx:(celery|platform|[0-9a-f-]{36}):")


class TestWorker:
    def test_has_its_keys_under_one_prefix(
        self, own_worker: Callable[..., Worker], elm: Organization, tmp_path: Path
    ):
        """
        Each key and channel that Redis hears of, from the worker's start to its end.
        """
        client = redis.Redis.from_url(os.environ["TEST_BROKER_URL"], decode_responses=True)
        ours = {str(servers.redis_number(use)) for use in ("cache", "queue")}
        client.delete(f"{PREFIX}celery")
        with client.monitor() as monitor:
            worker = own_worker(
                *("--pool=threads", "--beat", f"--schedule-filename={tmp_path / 'beat'}"),
                app="clinicx",
                DJANGO_SETTINGS_MODULE="clinicx.settings.test",
            )
            with context.override(elm.as_active()):
                app.send_task("apps.accounts.tasks.clear_expired_sessions")
                app.send_task("apps.accounts.tasks.clear_expired_sessions", countdown=1)
            worker.wait("succeeded in", count=2)
            worker.stop()
            client.echo("end")
            commands = []
            for told in monitor.listen():
                if told["command"] == "ECHO end":
                    break
                if str(told["db"]) in ours:
                    commands.append(told["command"])

        keys = {key for command in commands for key in _keys(command)}
        assert {key for key in keys if not OURS.match(key)} == set()
        assert f"{PREFIX}celery" in keys
        assert f"{PREFIX}unacked" in keys

    def test_listens_to_no_commands(self):
        assert app.conf.worker_enable_remote_control is False

    def test_keeps_no_results(self):
        assert app.conf.task_ignore_result is True
        assert app.backend.as_uri() == "disabled://"

    def test_tasks_are_done_again_when_their_worker_dies(self):
        assert app.conf.task_acks_late is True
        assert app.conf.task_reject_on_worker_lost is True


# Commands without a key.
KEYLESS = {"MULTI", "EXEC", "HELLO", "CLIENT", "SELECT", "AUTH", "PING", "INFO", "ECHO", "UNWATCH",
           "SCRIPT", "COMMAND", "MONITOR", "QUIT", "DISCARD"}  # fmt: skip
# Those whose arguments are all keys, but for the last of one of them.
ALL_KEYS = {"BRPOP": -1, "DEL": None, "WATCH": None, "SUBSCRIBE": None, "PSUBSCRIBE": None,
            "UNSUBSCRIBE": None, "PUNSUBSCRIBE": None}  # fmt: skip


def _keys(command: str) -> list[str]:
    verb, *arguments = command.split(" ")
    verb = verb.upper()
    if verb in KEYLESS:
        return []
    if verb in ALL_KEYS:
        return arguments[: ALL_KEYS[verb]]
    if verb in ("EVALSHA", "EVAL"):
        return []
    return arguments[:1]


class TestMakeWorker:
    def test_says_what_to_type_when_no_server_runs(self, tmp_path: Path):
        names = ("DATABASE_URL", "DATABASE_DDL_URL", "REDIS_URL")
        done = subprocess.run(
            [sys.executable, "-m", "clinicx.local", f"--state={tmp_path / 'none'}", "worker"],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in names},
            capture_output=True,
            text=True,
        )

        assert done.returncode == 1
        assert "type 'make run'" in done.stdout + done.stderr
        assert not (tmp_path / "none").exists()


class TestWebProcess:
    def test_queues_what_a_page_shares_at_our_broker(self):
        """
        Celery knows no application of ours until it is imported, and has one of its own.
        """
        program = (
            "import clinicx.wsgi; from apps.accounts.tasks import clear_expired_sessions as task;"
            "print(task.app.main, task.app.conf.broker_url)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "clinicx.settings.test"},
            capture_output=True,
            text=True,
        )

        assert done.stdout.split() == ["clinicx", os.environ["TEST_BROKER_URL"]], done.stderr
