"""
Is the process that was written down still the one we started, and how is it ended?

A process id alone proves nothing: after a restart of the machine, or a few hours, it
belongs to somebody else. What we keep is the id with the moment the process began,
counted from the machine's start: the wall clock is set now and then, on laptops often.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from clinicx.local.errors import UnableToStop

# The two readings below are a moment apart, and one of them is in whole seconds.
TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Process:
    pid: int
    seconds_after_boot: float


def identify(pid: int) -> Process:
    """Return what has to be kept to know this process again."""
    return Process(pid=pid, seconds_after_boot=_seconds_after_boot(psutil.Process(pid)))


def is_alive(process: Process | None) -> bool:
    return _find(process) is not None


def signal(process: Process | None, number: int) -> None:
    """Send the signal if the process is still the same one; else do nothing."""
    found = _find(process)
    if found is not None:
        found.send_signal(number)


def stop(process: Process | None, *, name: str, patience: float) -> None:
    """
    End the process if it is still the same one: ask, wait `patience` seconds, insist.

    What it had started and left behind goes, too. Raise UnableToStop if it stays.
    """
    found = _find(process)
    if found is None:
        return
    children = _children(found)
    with contextlib.suppress(psutil.Error):
        found.terminate()
    if not wait(process, patience=patience):
        _kill(found)
    for child in children:
        _kill(child)
    if not wait(process, patience=5):
        raise UnableToStop(f"{name} (process {found.pid}) does not end; stop it by hand.")


def wait(process: Process | None, *, patience: float) -> bool:
    """Return whether the process ended within `patience` seconds."""
    deadline = time.monotonic() + patience
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process, an empty list if there is none or it is not ours."""
    try:
        arguments: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
    return arguments


def works_in(pid: int, folder: Path) -> bool:
    """Whether there is such a process, it is ours, and its working folder is `folder`."""
    try:
        return Path(psutil.Process(pid).cwd()).samefile(folder)
    except (psutil.Error, OSError):
        return False


def memory_of(process: Process | None) -> int:
    """
    Return the bytes of a process and its children, shared pages counted once where known.
    """
    found = _find(process)
    return sum(_memory(each) for each in [found, *_children(found)]) if found else 0


def _find(process: Process | None) -> psutil.Process | None:
    if process is None:
        return None
    try:
        found = psutil.Process(process.pid)
        # One that ended but was not fetched by its parent has an id still; it does nothing.
        apart = abs(_seconds_after_boot(found) - process.seconds_after_boot)
        same = apart < TOLERANCE_SECONDS
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _seconds_after_boot(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return children


def _kill(process: psutil.Process) -> None:
    # psutil refuses where the id has meanwhile gone to somebody else.
    with contextlib.suppress(psutil.Error):
        process.kill()


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.Error:
        return 0
