"""
Which account do the database's processes run as?

PostgreSQL refuses to run as root, because whoever breaks into it would own the machine.
So root borrows an account that owns nothing else; everybody else runs it as themselves.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from clinicx.local.errors import UnableToStart

NAME = "clinicx-db"
# Where an account cannot be made, one that is there for the purpose, then the one for nothing.
OTHERS = ("postgres", "nobody")
MAKE = {
    "useradd": ["--system", "--no-create-home", "--home-dir", "/nonexistent",
                "--shell", "/usr/sbin/nologin", "--user-group", NAME],
    # BusyBox, as on Alpine
    "adduser": ["-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", NAME],
}  # fmt: skip


class Identity(TypedDict, total=False):
    """The arguments with which `subprocess` starts a program as somebody else."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def identity(self) -> Identity:
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_use(self, folder: Path) -> bool:
        """Whether the account can enter `folder` and write there. Asked by trying."""
        probe = ["/bin/sh", "-c", 'cd "$1" && test -r . -a -w .', "sh", str(folder)]
        return _runs(probe, self)

    def can_run(self, program: Path) -> bool:
        """Whether the account can start `program`, which must know --version."""
        return _runs([str(program), "--version"], self)

    def own(self, path: Path) -> None:
        """Give the file or folder to the account."""
        if self.identity:
            os.chown(path, self.uid, self.gid)


def choose() -> Account:
    """Return our own account, or where that is root's, one that PostgreSQL accepts."""
    if os.geteuid() != 0:
        return Account(name=name_of(os.geteuid()), uid=os.geteuid(), gid=os.getegid())
    found = _get(NAME) or _make() or next(filter(None, map(_get, OTHERS)), None)
    if found is None:
        raise UnableToStart(
            "PostgreSQL does not run as root, and there is no other account to run it as. "
            f"Make one with 'useradd --system {NAME}', or type 'make run' as a normal user."
        )
    if not _runs(["/bin/sh", "-c", "true"], found):
        raise UnableToStart(
            f"PostgreSQL does not run as root, and root may not become {found.name} here. "
            "Type 'make run' as a normal user, or set DATABASE_URL, DATABASE_DDL_URL and REDIS_URL."
        )
    return found


def owner_of(path: Path) -> Account:
    """Return the account that `path` belongs to."""
    found = path.stat()
    return Account(name=name_of(found.st_uid), uid=found.st_uid, gid=found.st_gid)


def name_of(uid: int) -> str:
    """Return what the user is called; in a container, a number may be all there is."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _get(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def _make() -> Account | None:
    for program, arguments in MAKE.items():
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path and subprocess.run([path, *arguments], capture_output=True).returncode == 0:
            return _get(NAME)
    return None


def _runs(command: list[str], account: Account) -> bool:
    try:
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, **account.identity
        )
    except OSError:
        return False
    return done.returncode == 0
