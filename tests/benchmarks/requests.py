"""
How many requests a second, and how long does one take, when they are for all tenants?

Gunicorn serves each system; wrk asks one after the other, round after round. At 1 ms a
proxy stands before the database, for 0 ms there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.benchmarks import children, proxy, stage, systems
from tests.benchmarks.errors import UnableToMeasure, WrongRows
from tests.benchmarks.names import PATIENT, REHEARSAL, THREADS, WORKERS
from tests.benchmarks.proxy import Delay
from tests.benchmarks.samples import Samples
from tests.benchmarks.systems import System

HOST = "127.0.0.1"
# For each worker: twice as many as it has threads.
CONNECTIONS = 8

ENDPOINTS = {"list": "/patients/", "detail": f"/patients/{PATIENT}/"}
# There and back.
DELAYS = {"0ms": 0.0, "1ms": 0.001}
PATIENCE_SECONDS = 120

Progress = Callable[[], None]


@dataclass(frozen=True)
class Site:
    """One system, served for `size` tenants, with a port for each of its workers."""

    system: System
    size: int
    ports: Sequence[int]
    delay: Delay | None


def require_wrk() -> str:
    """Return the program's path, or raise UnableToMeasure saying what to type."""
    program = shutil.which("wrk")
    if program is None:
        raise UnableToMeasure(
            "wrk, which makes the requests, is not installed; on Debian: apt-get install wrk"
        )
    return program


def count_steps(sizes: Sequence[int], rounds: int, delays: Sequence[str]) -> int:
    return len(delays) * len(sizes) * (1 + len(ENDPOINTS) * rounds)


def measure(
    sizes: Sequence[int], *, rounds: int, seconds: int, delays: Sequence[str], progress: Progress
) -> Iterator[Samples]:
    """Yield what was measured, `seconds` long for each system in each round."""
    for delay in delays:
        with _served(sizes, DELAYS[delay], progress) as sites:
            for endpoint, path in ENDPOINTS.items():
                yield from _measure(
                    sites,
                    path=path,
                    name=f"{endpoint}_{delay}",
                    rounds=rounds,
                    seconds=seconds,
                    progress=progress,
                )


def _measure(
    sites: Sequence[Site],
    *,
    path: str,
    name: str,
    rounds: int,
    seconds: int,
    progress: Progress,
) -> Iterator[Samples]:
    sizes = sorted({site.size for site in sites})
    found = {
        (kind, size): Samples(f"{kind}_{name}", size, unit)
        for kind, unit in (("rps", "requests/s"), ("p50", "ms"), ("p99", "ms"))
        for size in sizes
    }
    for round_ in range(rounds):
        for size in sizes:
            alike = [site for site in sites if site.size == size]
            turn = round_ % len(alike)
            for site in [*alike[turn:], *alike[:turn]]:
                with _counting(site, found["rps", size]):
                    for kind, value in _ask(site, path, seconds).items():
                        found[kind, size].add(site.system.key, value)
            progress()
    yield from found.values()


@contextmanager
def _counting(site: Site, samples: Samples) -> Iterator[None]:
    """Note what share of a core the proxy took meanwhile."""
    if site.delay is None:
        yield
        return
    before, began = site.delay.cpu_seconds, time.monotonic()
    yield
    share = (site.delay.cpu_seconds - before) / (time.monotonic() - began)
    samples.proxy_load[site.system.key] = max(share, samples.proxy_load.get(site.system.key, 0))


def _ask(site: Site, path: str, seconds: int) -> dict[str, float]:
    """Let wrk ask for `path` at all tenants of the site."""
    said = subprocess.run(
        [
            require_wrk(),
            # A thread of its own for each worker; the script leads it there.
            f"--threads={WORKERS}",
            f"--connections={WORKERS * CONNECTIONS}",
            f"--duration={seconds}s",
            "--script=tests/benchmarks/hosts.lua",
            f"http://{HOST}:{site.ports[0]}",
            "--",
            path,
            str(site.size),
        ],
        cwd=children.ROOT,
        env=os.environ | {"BENCH_PORTS": " ".join(map(str, site.ports))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    answer = json.loads(said.rpartition("JSON ")[2])
    if answer["errors"] or not answer["requests"]:
        raise UnableToMeasure(f"{site.system.title} answered {path} with errors:\n{said}")
    return {
        "rps": answer["requests"] / answer["seconds"],
        "p50": answer["p50"],
        "p99": answer["p99"],
    }


@contextmanager
def _served(sizes: Sequence[int], latency: float, progress: Progress) -> Iterator[list[Site]]:
    """Serve every system for every size: one that has seen 500 tenants is not one for 2."""
    with ExitStack() as stack:
        port = stage.database_port()
        delay = None
        if latency:
            delay = stack.enter_context(proxy.delaying(port=port, seconds=latency / 2))
            port = delay.port
        sites = [
            Site(system, size, stack.enter_context(_gunicorn(system, port)), delay)
            for size in sizes
            for system in systems.WITH_DJANGO
        ]
        for size in sizes:
            for site in sites:
                if site.size == size:
                    _rehearse(site)
            progress()
        yield sites


@contextmanager
def _gunicorn(system: System, database_port: int) -> Iterator[Sequence[int]]:
    """Serve `system` until the block ends; yield each worker's port."""
    with ExitStack() as stack:
        # It inherits the sockets: no port can be taken by somebody else meanwhile.
        listeners = [
            stack.enter_context(socket.create_server((HOST, 0), backlog=100))
            for _ in range(WORKERS)
        ]
        descriptors = [listener.fileno() for listener in listeners]
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "tests.benchmarks.project.wsgi:application"),
                "--config=python:tests.benchmarks.project.server",
                *(f"--bind=fd://{descriptor}" for descriptor in descriptors),
            ],
            cwd=children.ROOT,
            env=os.environ | system.environment(port=database_port),
            pass_fds=descriptors,
            start_new_session=True,
        )
        try:
            yield [listener.getsockname()[1] for listener in listeners]
        finally:
            server.terminate()
            server.wait()


def _rehearse(site: Site) -> None:
    """
    Have every thread of every worker serve every tenant once, and look at the answers.

    Raise WrongRows if an answer was not of the tenant that was asked.
    """
    threads: set[str] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    ports = list(site.ports) * THREADS
    with ThreadPoolExecutor(len(ports)) as pool:
        while len(threads) < WORKERS * THREADS:
            if time.monotonic() > deadline:
                raise UnableToMeasure(f"{site.system.title}: a thread never got a request.")
            for answer in pool.map(partial(_ask_to_rehearse, site), ports):
                if answer["wrong"]:
                    raise WrongRows("\n".join([site.system.title, *answer["wrong"][:10]]))
                threads.add(answer["thread"])


def _ask_to_rehearse(site: Site, port: int) -> dict[str, Any]:
    owners = "first" if site.system == systems.PLAIN else "own"
    address = f"http://{HOST}:{port}{REHEARSAL}?size={site.size}&owners={owners}"
    with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:
        answer: dict[str, Any] = json.load(response)
    return answer
