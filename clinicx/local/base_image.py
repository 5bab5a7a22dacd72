"""
What is an image built on where none can be pulled? Debian, made here from this machine's mirror.

It has Python and PostgreSQL's client, and no source of packages: where they came from is this
machine's affair. The stage that installs has a base of its own, with pip and all wheels: what
pip is told on this machine, an index or a certificate, need not be known in there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from clinicx.local import console
from clinicx.local.errors import UnableToBuild

# Its PostgreSQL client reads servers up to 17, and its Python is 3.13.
SUITE = "trixie"
PYTHON = "3.13"
PACKAGES = ("ca-certificates", "postgresql-client", "python3", "tzdata")
NAME = "localhost/clinicx-base:1"
BUILD_REPOSITORY = "localhost/clinicx-build-base"
# Of the distributions that this machine may install from, those that are whole ones.
APT_TARGETS = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
# What fills a tenth of it and is read by nobody in a container.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/log")
SAID_LINES = 15

# Of wheels, those that its C library runs, and what the index says of no library.
PLATFORMS = [
    *("manylinux1", "manylinux2010", "manylinux2014"),
    *(f"manylinux_2_{minor}" for minor in (5, 12, 17, 24, 26, 27, 28, 31, 34, 35, 39, 41)),
]
PIP_CONFIGURATION = """\
[global]
no-index = true
find-links = /wheels
"""


def ensure(buildah: list[str], *, requirements: Path) -> dict[str, str]:
    """Return the Dockerfile's BASE_IMAGE and BUILD_IMAGE, made unless they are there."""
    # New wheels for new pins; those of before are kept, as one goes back and forth.
    pins = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    build = f"{BUILD_REPOSITORY}:{pins}"
    if not exists(buildah, NAME):
        _make_base(buildah)
    if not exists(buildah, build):
        _make_build_base(buildah, build, requirements)
    return {"BASE_IMAGE": NAME, "BUILD_IMAGE": build}


def _make_base(buildah: list[str]) -> None:
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise UnableToBuild(
            "Without an engine that pulls images, root makes the base with debootstrap: on "
            "Debian and Ubuntu 'apt-get install debootstrap', and 'sudo make image'. Or name "
            "a base that is here: make image BASE_IMAGE=..."
        )
    # Device files are made in it, which a file system in memory may refuse.
    with tempfile.TemporaryDirectory(prefix="clinicx-base-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        with console.step(f"Debian {SUITE}, with Python and PostgreSQL's client"):
            packages = f"--include={','.join(PACKAGES)}"
            say(["debootstrap", "--variant=minbase", packages, SUITE, str(root), _mirror()])
            _forget_where_it_came_from(root)
        with console.step("Base image"):
            _commit(buildah, NAME, "scratch", root)


def _make_build_base(buildah: list[str], name: str, requirements: Path) -> None:
    pip = [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as folder, console.step("Base image with pip and wheels"):
        root = Path(folder)
        packages = root / "usr/lib/python3/dist-packages"
        say([*pip, "install", "--quiet", f"--target={packages}", "pip"])
        say([*pip, "download", *_options(), f"--dest={root / 'wheels'}", f"-r{requirements}"])
        (root / "etc").mkdir()
        (root / "etc/pip.conf").write_text(PIP_CONFIGURATION)
        _commit(buildah, name, NAME, root)


def _options() -> list[str]:
    """Return what pip has to be told to fetch wheels for another Python than its own."""
    platforms = [f"--platform={name}_{os.uname().machine}" for name in PLATFORMS]
    abis = [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    only = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    return [*only, "--implementation=cp", f"--python-version={PYTHON}", *abis, *platforms]


def exists(buildah: list[str], name: str) -> bool:
    return (
        subprocess.run([*buildah, "inspect", "--type=image", name], capture_output=True).returncode
        == 0
    )


def _mirror() -> str:
    targets = subprocess.run([*APT_TARGETS, "Created-By: Packages"], capture_output=True, text=True)
    for line in targets.stdout.splitlines():
        address, release, component = line.split()
        # "-security" and "-updates" are additions to one.
        if component == "main" and "-" not in release and "security" not in address:
            return address
    raise UnableToBuild("apt has no source with a component 'main' here; see /etc/apt.")


def _forget_where_it_came_from(root: Path) -> None:
    """Leave what is the same wherever it is made: no mirror, no cache, no logs."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    for folder in ("var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", *UNREAD):
        for path in (root / folder).iterdir():
            is_folder = path.is_dir() and not path.is_symlink()
            shutil.rmtree(path) if is_folder else path.unlink()
    # Of this machine: an engine gives a container its own.
    for name in ("resolv.conf", "hostname", "machine-id"):
        (root / "etc" / name).unlink(missing_ok=True)


def _commit(buildah: list[str], name: str, base: str, root: Path) -> None:
    """Make the image `name`: `base` with all that is in `root`."""
    container = say([*buildah, "from", "--pull-never", base]).strip()
    try:
        say([*buildah, "add", "--quiet", container, str(root), "/"])
        say([*buildah, "commit", "--quiet", container, name])
    finally:
        say([*buildah, "rm", container])


def say(command: list[str]) -> str:
    """Run a command and return what it said, or raise UnableToBuild with the end of that."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        said = "\n".join(done.stdout.splitlines()[-SAID_LINES:])
        raise UnableToBuild(f"{command[0]} ended with status {done.returncode}:\n{said}")
    return done.stdout
