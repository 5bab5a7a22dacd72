"""
Is the process of this container alive? `python -m clinicx alive`, for who cannot ask by HTTP.

It loads neither Django nor Celery: a probe runs every half minute in each pod.
"""

from __future__ import annotations

import http.client
import time

from clinicx.settings import worker

# The file is touched every three.
LIMIT_SECONDS = 40
PORT = 8080
TIMEOUT_SECONDS = 5


def find_fault() -> str:
    """Return why it is not alive, or ""; who has no file is asked for a page."""
    file = worker.alive_file()
    try:
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return _ask()
    if age > LIMIT_SECONDS:
        return f"{file} is {age:.0f} seconds old: the process is stuck, or stopped."
    return ""


def _ask() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return (
            f"There is no {worker.alive_file()}, which a worker and beat have, and on port {PORT} "
            f"nobody answers: {error}"
        )
    finally:
        connection.close()
    return "" if status == http.client.OK else f"/health/live on port {PORT} says {status}."
