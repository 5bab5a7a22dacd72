"""A task that a worker of production's can be told to import, and takes as long as it is told."""

from __future__ import annotations

import os
import time

from clinicx.celery import app


@app.task(name="tests.wait")
def wait(seconds: float) -> None:
    print(f"pid={os.getpid()}", flush=True)  # noqa: T201  # a sign that it was begun
    time.sleep(seconds)
