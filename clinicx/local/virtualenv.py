"""
Which Python do we live in, and is everything in it that requirements.txt names?

Run by make with whatever Python it finds, before anything is installed: so it needs the
standard library only, and is written for a Python older than ours, to be able to say so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
REQUIREMENTS = os.path.join(ROOT, "requirements.txt")
# While this file is there, an installation is under way, or was when somebody ended it.
UNFINISHED = os.path.join(VENV, "unfinished")
FINISHED = os.path.join(VENV, "installed")

OLDEST = (3, 11)
# The first that is there. For newer ones, some packages must be compiled: they come last.
NAMES = ("python3.12", "python3.11", "python3", "python3.13", "python3.14")
ASK_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
ASK_PARTS = "import ensurepip, venv"


class NoPython(Exception):
    """There is no Python here that could be used; the text says what to install."""


def main() -> int:
    """Make or mend the virtual environment; return the exit status."""
    with open(REQUIREMENTS) as requirements:
        # Two makes at once in a fresh clone: the second waits, then finds everything there.
        fcntl.flock(requirements, fcntl.LOCK_EX)
        if is_current():
            return 0
        try:
            return install(requirements.read())
        except NoPython as error:
            print(f"\n{error}", file=sys.stderr)
            return 1


def is_current() -> bool:
    try:
        return os.path.getmtime(FINISHED) >= os.path.getmtime(REQUIREMENTS)
    except OSError:
        return False


def install(requirements: str) -> int:
    program = os.path.join(VENV, "bin", "python")
    if not runs(program) or os.path.exists(UNFINISHED):
        python = find_python(sys.version_info[:2])
        print(f"Making .venv with {python} ...", flush=True)
        # What an interrupted installation left may look whole without being it.
        if subprocess.call([python, "-m", "venv", "--clear", VENV]) != 0:
            return 1
    open(UNFINISHED, "w").close()
    print("Installing what requirements.txt names (a minute or two, once) ...", flush=True)
    hashes = ["--require-hashes"] if "--hash=" in requirements else []
    status = subprocess.call(
        [
            *(program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *hashes,
            *("-r", REQUIREMENTS),
        ]
    )
    if status == 0:
        open(FINISHED, "w").close()
        os.remove(UNFINISHED)
    return status


def find_python(ours: tuple[int, int]) -> str:
    """Return the name of a Python that is new enough and can make environments."""
    incomplete = None
    for name in NAMES:
        if not is_new_enough(name):
            continue
        if runs(name, "-c", ASK_PARTS):
            return name
        incomplete = incomplete or name
    if incomplete:
        raise NoPython(
            f"{incomplete} is here, but without the part that makes virtual environments. "
            "On Debian and Ubuntu: apt install python3-venv"
        )
    raise NoPython(
        f"ClinicX needs Python {_dotted(OLDEST)} or newer, and this machine has {_dotted(ours)}. "
        "On Debian and Ubuntu: apt install python3.11 python3.11-venv; "
        "on macOS: brew install python@3.12"
    )


def is_new_enough(name: str) -> bool:
    if shutil.which(name) is None:
        return False
    asked = subprocess.run([name, "-c", ASK_VERSION], capture_output=True)
    version = asked.stdout.decode().strip().split(".")
    return asked.returncode == 0 and tuple(int(part) for part in version) >= OLDEST


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def runs(program: str, *arguments: str) -> bool:
    command = [program, *(arguments or ("--version",))]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
