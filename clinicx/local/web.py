"""
How is the application itself served on a laptop?
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from clinicx.local import logs, ports, processes
from clinicx.local.errors import UnableToStart
from clinicx.local.state import ROOT

APPLICATION = "clinicx.wsgi:application"
WORKERS = 2
THREADS = 4


def start(*, port: int, log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start gunicorn; it may take a second or two until it answers: see `wait`."""
    logs.limit(log)
    log.touch(mode=0o600)
    arguments = [
        APPLICATION,
        f"--bind={ports.HOST}:{port}",
        f"--workers={WORKERS}",
        "--worker-class=gthread",
        f"--threads={THREADS}",
        "--graceful-timeout=5",
        # It would be in the home folder, one for all projects of this user.
        "--no-control-socket",
        f"--chdir={ROOT}",
    ]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal is for whoever started us, who stops us in turn.
            start_new_session=True,
        )


def wait(server: subprocess.Popen[bytes], *, port: int, log: Path, patience: float = 60) -> int:
    """
    Return the status of the first answer.

    Raise UnableToStart with what was said if the server ends or stays silent.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UnableToStart(f"The web server did not start:\n{logs.tail(log, lines=30)}")
        status = _ask(port)
        if status is not None:
            return status
        time.sleep(0.05)
    raise UnableToStart(
        f"The web server did not answer in {patience:.0f} seconds:\n{logs.tail(log, lines=30)}"
    )


def stop(process: processes.Process | None) -> None:
    """Let requests that are being answered end, then end."""
    processes.stop(process, name="The web server", patience=8)


def _ask(port: int) -> int | None:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
