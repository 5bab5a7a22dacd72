"""Redis starts with the manifests' own configuration, and lets go of the cache before the queue."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from clinicx.local import ports
from clinicx.local import redis as local
from tests.k8s import manifests

MEGABYTE = 1024 * 1024
PASSWORD = "only-for-tests"


@contextmanager
def running(overlay: str, folder: Path) -> Iterator[redis.Redis]:
    """Run a Redis as the pod's command does, with the ConfigMap's files in `folder`."""
    data = manifests.find(manifests.overlay(overlay), "ConfigMap", "redis-config")["data"]
    port = ports.pick(preferred=0)
    replaced = {
        # This Redis was built without TLS; test_redis_tls.py puts it in front.
        "include /etc/redis/tls.conf": f"port {port}\nbind 127.0.0.1",
        "dir /data": f"dir {folder}",
        "/etc/redis/": f"{folder}/",
    }
    for name, text in data.items():
        for theirs, ours in replaced.items():
            text = text.replace(theirs, ours)
        (folder / name).write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [local.find().program, folder / "redis.conf", "--requirepass", PASSWORD], stdout=log
        )
    client = redis.Redis(port=port, password=PASSWORD)
    try:
        _wait(client, process, folder / "log")
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait()


def _wait(client: redis.Redis, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Redis does not answer:\n{log.read_text()}")
            time.sleep(0.02)
        else:
            return


@pytest.mark.parametrize(("overlay", "megabytes"), [("production", 640), ("peak", 2560)])
def test_has_the_memory_of_its_overlay(overlay, megabytes, tmp_path):
    with running(overlay, tmp_path) as client:
        found = client.config_get("maxmemory*")
        kept = client.config_get("append*")

    assert int(found["maxmemory"]) == megabytes * MEGABYTE
    assert found["maxmemory-policy"] == "volatile-lru"
    assert (kept["appendonly"], kept["appendfsync"]) == ("yes", "everysec")
    limit = manifests.find(manifests.overlay(overlay), "StatefulSet", "redis")["spec"]["template"]
    memory = limit["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert megabytes < int(memory.removesuffix("Gi")) * 1024 * 0.65


def test_lets_go_of_the_cache_and_keeps_the_queue(tmp_path):
    with running("production", tmp_path) as client:
        for number in range(10):
            client.lpush("clinicx:celery:celery", f"task {number}")
        client.config_set("maxmemory", int(client.info()["used_memory"]) + MEGABYTE)

        for number in range(300):
            client.set(f"clinicx:1:1:{number}", b"x" * 10_000, ex=600)

        assert client.info()["evicted_keys"] > 0
        assert client.llen("clinicx:celery:celery") == 10


def test_empties_nothing_for_everybody(tmp_path):
    with running("production", tmp_path) as client:
        for command in ("FLUSHALL", "FLUSHDB"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(command)
