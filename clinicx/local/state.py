"""
Where does a stack keep its state, and what was written down there?

A stack is one folder: `var/dev` is what `make run` starts, `var/test` the servers of the
tests. `state.json` in it holds passwords, ports and processes and is for its owner only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clinicx.local.account import Account, name_of
from clinicx.local.errors import LocalStackError, UnableToStart
from clinicx.local.processes import Process

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"

# Where the database's files go when its account cannot enter the project, as when the
# project is below root's home. /var/tmp is kept over a restart, unlike /tmp.
ELSEWHERE = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  # see _make_private
SECRETS = ("superuser", "app", "ddl", "redis", "secret_key")


@dataclass
class State:
    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    # The folder of the database that was used last, and the folder around such folders.
    cluster: str = ""
    home: Path | None = None
    # Whether the web server shall live without the process that started it.
    is_background: bool = False

    def save(self) -> None:
        """Write everything down, in one step: a reader finds the old text or the new one."""
        text = json.dumps(
            {
                # Says whether the folder was copied from elsewhere: see `load`.
                "folder": str(self.folder),
                "home": str(self.home) if self.home else None,
                "cluster": self.cluster,
                "is_background": self.is_background,
                "ports": self.ports,
                "processes": {name: asdict(each) for name, each in self.processes.items()},
                "secrets": self.secrets,
            },
            indent=2,
        )
        draft = self.folder / f"state.json.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
        draft.replace(self.folder / "state.json")

    def forget(self, name: str) -> None:
        self.processes.pop(name, None)
        self.save()


def folder_of(name: str) -> Path:
    return VAR / name


def load(folder: Path) -> State:
    """Return what was written down in `folder`; an empty State if nothing was."""
    path = folder / "state.json"
    try:
        written = json.loads(path.read_text())
    except FileNotFoundError:
        return State(folder=folder)
    except PermissionError as error:
        raise LocalStackError(_not_ours(folder)) from error
    except ValueError as error:
        raise LocalStackError(
            f"{path} cannot be read ({error}). 'make reset' begins anew, without the data."
        ) from error
    state = State(
        folder=folder,
        secrets=written["secrets"],
        ports=written["ports"],
        cluster=written["cluster"],
    )
    # In a copy of a project the processes, and a home outside, are the original's.
    if written["folder"] == str(folder):
        state.home = Path(written["home"]) if written["home"] else None
        state.is_background = written["is_background"]
        state.processes = {
            name: Process(**process) for name, process in written["processes"].items()
        }
    return state


def prepare(folder: Path) -> State:
    """Make `folder` if need be, and return its State with every secret in it."""
    # The database's account goes through these; what is secret in them is closed itself.
    for each in (folder.parent, folder):
        if not each.exists():
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o755)
    if folder.stat().st_uid != os.geteuid():
        raise LocalStackError(_not_ours(folder))
    with lock(folder, "state", wait=True):
        state = load(folder)
        missing = [name for name in SECRETS if name not in state.secrets]
        state.secrets |= {name: secrets.token_urlsafe(36) for name in missing}
        if missing:
            state.save()
    return state


def settle(state: State, *, account: Account) -> Path:
    """Return the folder below which the database's account can keep its files."""
    if state.home is None or not state.home.exists():
        state.home = _find_home(state.folder, account)
        state.save()
    if not account.can_use(state.home):
        raise UnableToStart(
            f"{account.name}, as whom the database runs, can no longer enter {state.home}. "
            "Open the folders on the way to it, or delete the data with 'make reset'."
        )
    return state.home


def remove(state: State) -> None:
    """Delete everything of a stack. Its processes must have been stopped."""
    if state.home is not None and state.home != state.folder:
        shutil.rmtree(state.home, ignore_errors=True)
    shutil.rmtree(state.folder, ignore_errors=True)


@contextlib.contextmanager
def lock(folder: Path, name: str, *, wait: bool) -> Iterator[bool]:
    """
    Hold the lock `name` of `folder` inside the block; yield whether it was had.

    The kernel frees it when the process ends, however it ends.
    """
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def _find_home(folder: Path, account: Account) -> Path:
    if not account.identity:
        return folder
    inside = folder / "servers"
    inside.mkdir(exist_ok=True)
    inside.chmod(0o700)
    account.own(inside)
    if account.can_use(inside):
        return inside
    inside.rmdir()
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    for parent in ELSEWHERE:
        outside = parent / f"clinicx-{digest}"
        if _make_private(outside, account) and account.can_use(outside):
            return outside
    raise UnableToStart(
        f"{account.name}, as whom the database runs, can enter neither {folder} nor "
        f"{' nor '.join(map(str, ELSEWHERE))}. Move the project to where it can, /srv for example."
    )


def _make_private(folder: Path, account: Account) -> bool:
    """Make `folder`; refuse one that somebody else has put there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid not in (os.geteuid(), account.uid):
        return False
    account.own(folder)
    folder.chmod(0o700)
    return True


def _not_ours(folder: Path) -> str:
    owner = name_of(folder.stat().st_uid)
    return (
        f"{folder} belongs to {owner}, who typed 'make run' first. "
        f"Do the same as {owner}, or delete {folder}."
    )
