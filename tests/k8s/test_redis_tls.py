"""The address that pods have for Redis: cache and queue speak TLS there, and check the name."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from django.core.cache import cache
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from clinicx.settings.databases import caches
from tenancy import context
from tests.k8s import pooler
from tests.k8s.manifests import BASE, load

CHUNK = 65536


@dataclass
class Door:
    """TLS in front of the tests' Redis, which was built without; `certificate` is its own."""

    port: int
    certificate: Path

    def url(self, *, host: str = "127.0.0.1") -> str:
        """Return the manifests' own address, led to this door."""
        worker = load(BASE / "worker" / "deployment.yaml")["spec"]["template"]["spec"]
        (url,) = [
            each["value"] for each in worker["containers"][0]["env"] if each["name"] == "REDIS_URL"
        ]
        theirs = urlsplit(os.environ["REDIS_URL"])
        replaced = {
            "$(REDIS_PASSWORD)": theirs.password or "",
            "redis.clinicx.svc.cluster.local:6379/0": f"{host}:{self.port}{theirs.path}",
            "/etc/clinicx/authority.crt": str(self.certificate),
        }
        for ours, here in replaced.items():
            assert ours in url
            url = url.replace(ours, here)
        return url


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    pooler._make_certificate(tmp_path)
    wrapped = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wrapped.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        Thread(target=_serve, args=(listener, wrapped), daemon=True).start()
        yield Door(listener.getsockname()[1], tmp_path / "tls.crt")
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, wrapped: ssl.SSLContext) -> None:
    redis = urlsplit(os.environ["REDIS_URL"])
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            client = wrapped.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):  # who does not like the certificate goes
            plain.close()
            continue
        server = socket.create_connection((redis.hostname, redis.port))
        for source, target in ((client, server), (server, client)):
            Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with closing(source), closing(target):
        try:
            while chunk := source.recv(CHUNK):
                target.sendall(chunk)
        except OSError:
            return


@pytest.fixture
def use(settings):
    """A function that has the cache at an address; it tells what fails."""

    def use(url: str) -> None:
        found = caches(redis_url=url)
        found["default"]["OPTIONS"]["IGNORE_EXCEPTIONS"] = False
        settings.CACHES = found

    yield use
    cache.close()


class TestAddress:
    def test_is_the_same_of_every_container(self):
        found = set()
        for path in BASE.rglob("*.yaml"):
            found |= set(re.findall(r"rediss?://\S+", path.read_text()))

        assert len(found) == 1
        assert found.pop().startswith("rediss://")

    def test_is_one_that_the_cache_takes(self, door, use):
        use(door.url())

        with context.override(context.PLATFORM):
            cache.set("k8s:door", "open", 10)

            assert cache.get("k8s:door") == "open"

    def test_is_one_that_the_queue_takes(self, door):
        options = {"global_keyprefix": "k8s:"}
        with (
            Connection(door.url(), transport_options=options) as connection,
            closing(connection.SimpleQueue("door")) as queue,
        ):
            queue.put({"open": True})

            assert queue.get(timeout=5).payload == {"open": True}
            queue.clear()


class TestAnotherName:
    """A server with a certificate of the same authority, and not of the name that was asked."""

    def test_is_refused_by_the_cache(self, door, use):
        use(door.url(host="localhost"))

        with (
            context.override(context.PLATFORM),
            pytest.raises(RedisConnectionError, match="certificate"),
        ):
            cache.get("k8s:door")

    def test_is_refused_by_the_queue(self, door):
        with (
            Connection(door.url(host="localhost")) as connection,
            pytest.raises(OperationalError, match="certificate"),
        ):
            connection.ensure_connection(max_retries=1, timeout=2)
