"""A pod's own gunicorn, asked by probes as Kubernetes asks: with production's settings."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

from tenancy.models import Organization
from tests.fixtures.pods import Pod


def get(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, bytes]:
    """Ask as a kubelet: plain HTTP, an address for a host, and nothing of any proxy."""
    connection.request(method, path, headers={"Host": "10.1.2.3:8080"})
    response = connection.getresponse()
    return response.status, response.read()


class TestPod:
    def test_is_ready_and_then_is_not(
        self, start: Callable[[dict[str, str]], Pod], elm: Organization
    ) -> None:
        pod = start({"WEB_WORKERS": "1", "DB_POOL_SIZE": "2"})
        # Until it was asked whether it is safe to serve, everybody gets 503.
        pod.wait_until(lambda: is_ready(pod))
        connection = http.client.HTTPConnection("127.0.0.1", pod.port, timeout=10)

        assert get(connection, "HEAD", "/health/live") == (200, b"")
        status, told = get(connection, "GET", "/health/ready")
        facts: dict[str, Any] = json.loads(told)
        assert (status, facts["state"]) == (200, "up")
        # A pod that serves pages has no address of the owner: it knows where it has been.
        assert 1 <= facts["checks"]["migrations"]["asked"] <= 1 + facts["schemas"]

        pod.process.terminate()
        # On a connection that is kept; new ones it does not take any more. The signal has to
        # come to the worker first.
        while (answer := get(connection, "GET", "/health/ready"))[0] == 200:
            time.sleep(0.02)
        assert (answer[0], json.loads(answer[1])["failed"]) == (503, ["draining"])
        assert pod.process.wait(timeout=30) == 0


def is_ready(pod: Pod) -> bool:
    try:
        return pod.ask("10.1.2.3:8080", path="/health/ready") == 200
    except OSError:
        return False
