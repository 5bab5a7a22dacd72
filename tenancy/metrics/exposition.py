"""
How are the numbers of all of a pod's processes read, at a port of their own?

Each process writes its numbers into files of one directory (prometheus_client's multiprocess
mode), and one of them serves the sum: gunicorn's arbiter, a worker's main process. Nothing
else is asked for a scrape, no database and no Redis, so that none hangs when those are away.

Django is not needed here, and not imported: an arbiter has none.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tenancy.metrics.instruments import DIRECTORY

PATH = "/metrics"
# The kinds of files whose numbers outlive their process; a gauge of one that is gone is none.
KEPT = ("counter", "histogram")
# What all who are gone have counted; no process has this number.
ARCHIVE = 0
FILE = re.compile(r"(?P<kind>counter|histogram|gauge_[a-z]+)_(?P<process>\d+)\.db")

# A scrape reads the files of processes that are gone, or finds them in the archive: not both.
# Nobody forks meanwhile either, as a child would have the lock and nobody to release it.
_lock = threading.Lock()


def prepare(directory: Path) -> None:
    """
    Let this process and those that it starts keep their numbers in a folder of `directory`.

    Before prometheus_client is imported, which looks where to keep them. What was left there
    by others that are gone is deleted, and by an earlier process of this number.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in directory.iterdir():
        if folder.name.isdigit() and not _is_alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    own = directory / str(os.getpid())
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700)
    os.environ[DIRECTORY] = str(own)


def serve(address: tuple[str, int], directory: Path) -> ThreadingHTTPServer:
    """
    Answer GET /metrics at `address` in a thread of this process; raise OSError if it is taken.

    The port 0 is any that is free. Processes that are forked later do not listen.
    """
    handler = type("Handler", (Handler,), {"directory": directory})
    server = Server(address, handler)
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=lambda: _leave_to_parent(server),
    )
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _leave_to_parent(server: ThreadingHTTPServer) -> None:
    _lock.release()
    server.socket.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Prometheus and whoever looks; more than these wait, or are refused by the kernel.
    request_queue_size = 8


class Handler(BaseHTTPRequestHandler):
    """Answers one path, and says nothing of itself."""

    directory: Path
    timeout = 10
    server_version = "metrics"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        from prometheus_client import CONTENT_TYPE_LATEST

        body = collect(self.directory)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is nothing to tell."""


def collect(directory: Path) -> bytes:
    """Return the numbers of all processes, as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    with _lock:
        _archive_gone(directory)
        files = [str(file) for file in _list_files(directory) if _is_written(file)]

        class Written(MultiProcessCollector):
            def collect(self) -> Any:
                return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]

        registry = CollectorRegistry()
        Written(registry, str(directory))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))


def forget(process: int, directory: Path) -> None:
    """
    Keep what a process that is gone has counted, without its files.

    Workers are replaced after so many requests: their files would fill the memory, and to
    delete them would let counters fall.
    """
    with _lock:
        _archive(directory, lambda owner: owner == process)


def _archive_gone(directory: Path) -> None:
    """A process that was killed has nobody who says so; whoever else asks finds out here."""
    _archive(directory, lambda owner: not _is_alive(owner))


def _archive(directory: Path, is_gone: Callable[[int], bool]) -> None:
    files = [file for file in _list_files(directory) if is_gone(_owner_of(file))]
    for file in files:
        kind = file.name.rpartition("_")[0]
        if kind in KEPT and _is_written(file):
            _add(file, directory / f"{kind}_{ARCHIVE}.db")
        file.unlink(missing_ok=True)


def _add(file: Path, archive: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    kept: Any = MmapedDict(str(archive))  # type: ignore[no-untyped-call]
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
            before, _ = kept.read_value(key)
            kept.write_value(key, before + value, 0.0)
    finally:
        kept.close()


def _list_files(directory: Path) -> list[Path]:
    return [file for file in directory.glob("*.db") if FILE.fullmatch(file.name)]


def _is_written(file: Path) -> bool:
    """Tell whether a file has what prometheus_client reads first; a new one is empty."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _owner_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _is_alive(process: int) -> bool:
    if process == ARCHIVE:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, who has the number now
        return True
    return True
