"""
How do many clients run at once, in several processes, and who disturbs them from inside?

    python -m tests.isolation.chaos.herd PLAN

This process has one thread and no connection, so that it may fork: client processes that
stay to the end, and one after the other that is killed in the middle of its work.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from zlib import crc32

import django

if __name__ == "__main__":
    django.setup()

from tests.isolation.chaos.client import Client
from tests.isolation.chaos.history import Event, History
from tests.isolation.chaos.plan import WAYS, Plan

PAUSE_SECONDS = (0.2, 0.6)
DOOMED_SECONDS = (0.5, 1.5)


def main(plan: Plan) -> int:
    """Work as planned; return how many processes ended otherwise than they should."""
    WAYS[plan.way].prepare(plan.address)
    until = time.monotonic() + plan.seconds
    lasting = [
        _fork(plan, until, name=f"p{number}", threads=plan.threads)
        for number in range(plan.processes)
    ]
    killed = 0
    random = Random(0)  # for choosing, no secret
    while time.monotonic() < until:
        pid = _fork(plan, until + 60, name=f"k{killed}", threads=plan.doomed_threads)
        time.sleep(random.uniform(*DOOMED_SECONDS))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
    History(Path(plan.folder) / "herd.history").note(
        Event.COUNTED, {"dropped: processes killed": killed}
    )
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in lasting)


def _fork(plan: Plan, until: float, *, name: str, threads: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = _work(plan, until, name=name, threads=threads)
    finally:
        os._exit(status)


def _work(plan: Plan, until: float, *, name: str, threads: int) -> int:
    history = History(Path(plan.folder) / f"{name}.history")
    clients = [
        Client(
            name=f"{name}t{number}",
            number=crc32(f"{name}t{number}".encode()),
            way=WAYS[plan.way],
            clinics=plan.clinics,
            history=history,
        )
        for number in range(threads)
    ]
    running = [threading.Thread(target=client.work, args=[until]) for client in clients]
    for thread in running:
        thread.start()
    counts = _disturb(clients, until, Random(name))  # as above
    for thread in running:
        thread.join()
    for client in clients:
        counts.update(client.counts)
    history.note(Event.COUNTED, counts)
    return 0


def _disturb(clients: list[Client], until: float, random: Random) -> Counter[str]:
    """Cancel somebody's statement, or cut somebody's connection, every now and then."""
    counts: Counter[str] = Counter()
    while time.monotonic() < until:
        time.sleep(random.uniform(*PAUSE_SECONDS))
        client = random.choice(clients)
        driver = client.wrapper.connection if client.wrapper else None
        if driver is None:
            continue
        try:
            if random.random() < 0.5:
                driver.cancel_safe(timeout=1)
                counts["cancels by the client"] += 1
            else:
                _cut(driver.pgconn.socket)
                counts["dropped: sockets cut"] += 1
        except Exception as error:  # noqa: BLE001  # it left meanwhile: nothing to disturb
            counts[f"disturbing failed: {type(error).__name__}"] += 1
    return counts


def _cut(number: int) -> None:
    with socket.socket(fileno=os.dup(number)) as copy:
        copy.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    sys.exit(main(Plan.read(Path(sys.argv[1]))))
