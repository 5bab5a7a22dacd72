"""
How is ClinicX's image built, with the engine of this machine or with none?

Docker and Podman pull the base that the Dockerfile names. Where neither runs, buildah builds
in a chroot, which needs root and no engine, on a base that is made here (base_image.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clinicx.local import base_image, console
from clinicx.local.errors import UnableToBuild
from clinicx.local.state import ROOT, VAR

REPOSITORY = "clinicx/backend"
FOLDER = VAR / "image"
# Under a name of the files that it was built of, so that nothing is built twice of the same.
OF_FILES = "localhost/clinicx-of"
# Everything of buildah's in our folder, and as plain folders: vfs works in any file system.
BUILDAH = ["buildah", f"--root={FOLDER / 'storage'}", f"--runroot={FOLDER / 'run'}",
           "--storage-driver=vfs"]  # fmt: skip


@dataclass(frozen=True)
class Built:
    name: str
    engine: str
    megabytes: int


def build(*, base: str | None = None, engine: str | None = None) -> Built:
    """
    Build the image of this tree, named after its version; return it.

    On `base`, or else on the Dockerfile's own; the base that is made here takes two minutes
    the first time. What pip is told on this machine is in no layer.
    """
    engine = engine or _find_engine()
    name = f"{REPOSITORY}:{_version()}"
    if engine == "buildah":
        return Built(name, engine, _build_in_chroot(name, base))
    arguments = _labels() | ({"BASE_IMAGE": base} if base else {})
    with console.step(f"Image {name}, by {engine}"):
        _build([engine, "build", *_pip_secret()], arguments, tags=[name])
    asked = [engine, "image", "inspect", "--format={{.Size}}", name]
    return Built(name, engine, int(base_image.say(asked)) // 1_000_000)


def _build_in_chroot(name: str, base: str | None) -> int:
    """Build by buildah, unless that was done of the same files; return the megabytes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    arguments = _labels()
    if base:
        arguments |= {"BASE_IMAGE": base}
    else:
        pins = ROOT / "requirements-production.txt"
        arguments |= base_image.ensure(BUILDAH, requirements=pins)
    of_these = f"{OF_FILES}:{_digest(arguments)}"
    if base_image.exists(BUILDAH, of_these):
        base_image.say([*BUILDAH, "tag", of_these, name])
    else:
        # Docker's format has HEALTHCHECK, and the other has not.
        command = [*BUILDAH, "build", "--isolation=chroot", "--format=docker"]
        command += [f"--timestamp={_committed_at()}", *(_pip_secret() if base else ())]
        with console.step(f"Image {name}, by buildah"):
            _build(command, arguments, tags=[name, of_these])
        _remove_others(of_these)
    listed = json.loads(base_image.say([*BUILDAH, "images", "--json", name]))
    return _as_megabytes(str(listed[0]["size"]))


def _remove_others(kept: str) -> None:
    """Remove what was built of other files: each is whole, and nobody asks for it any more."""
    for listed in json.loads(base_image.say([*BUILDAH, "images", "--json"])):
        for name in listed["names"] or ():
            if name.startswith(f"{OF_FILES}:") and name != kept:
                # One that a container is made of stays until the next time.
                subprocess.run([*BUILDAH, "rmi", name], capture_output=True)
    # Those that lost their name to a newer one.
    subprocess.run([*BUILDAH, "rmi", "--prune"], capture_output=True)


def _build(command: list[str], arguments: Mapping[str, str], *, tags: list[str]) -> None:
    said = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    base_image.say([*command, *said, *(f"--tag={tag}" for tag in tags), str(ROOT)])


def _digest(arguments: Mapping[str, str]) -> str:
    """Return what is the same as long as nothing is that goes into the image."""
    digest = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path in _list_inputs():
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_mode:o}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _list_inputs() -> list[Path]:
    """Return the files that .dockerignore lets in; more of them would only be built for nothing."""
    ignore = ROOT / ".dockerignore"
    let_in = [line[1:] for line in ignore.read_text().splitlines() if line.startswith("!")]
    found = [ROOT / "Dockerfile", ignore]
    for name in let_in:
        path = ROOT / name
        found += path.rglob("*") if path.is_dir() else [path]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def _find_engine() -> str:
    for name in ("docker", "podman"):
        # The program alone builds nothing: docker's asks a daemon.
        if shutil.which(name) and _succeeds([name, "info"]):
            return name
    if shutil.which("buildah") and os.geteuid() == 0:
        return "buildah"
    raise UnableToBuild(
        "Nothing here builds images: start Docker or Podman, or as root use buildah (on Debian "
        "and Ubuntu: apt-get install buildah debootstrap)."
    )


def _version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def _labels() -> dict[str, str]:
    created = datetime.fromtimestamp(int(_committed_at()), UTC)
    return {
        "VERSION": _version(),
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        "CREATED": created.isoformat(),
        "SOURCE_DATE_EPOCH": _committed_at(),
    }


def _committed_at() -> str:
    """Return the time of the commit, which is that of all files: building again changes nothing."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or "0"


def _git(*arguments: str) -> str:
    if not shutil.which("git"):
        return ""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def _pip_secret() -> list[str]:
    """Return the option that shows the build this machine's pip.conf, if there is one."""
    candidates = [os.environ.get("PIP_CONFIG_FILE"), "~/.config/pip/pip.conf", "/etc/pip.conf"]
    for path in (Path(name).expanduser() for name in candidates if name):
        if path.is_file():
            return [f"--secret=id=pip,src={path}"]
    return []


def _as_megabytes(text: str) -> int:
    number, unit = text.split()
    return round(float(number) * {"KB": 0.001, "MB": 1, "GB": 1000}[unit])


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
