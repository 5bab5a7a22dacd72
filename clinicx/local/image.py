"""
How is ClinicX's image built, with the engine of this machine or with none?

Docker and Podman pull the base that the Dockerfile names. Where neither runs, buildah builds
in a chroot, which needs root and no engine, on a base that is made here (base_image.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clinicx.local import base_image, console
from clinicx.local.errors import UnableToBuild
from clinicx.local.state import ROOT, VAR

REPOSITORY = "clinicx/backend"
FOLDER = VAR / "image"
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
    command = [engine, "build", *_pip_secret()]
    arguments = _labels()
    if base:
        arguments |= {"BASE_IMAGE": base}
    if engine == "buildah":
        FOLDER.mkdir(parents=True, exist_ok=True)
        # Docker's format has HEALTHCHECK, and the other has not.
        command = [*BUILDAH, "build", "--isolation=chroot", "--format=docker"]
        command += [f"--timestamp={_committed_at()}", *(_pip_secret() if base else ())]
        if not base:
            arguments |= base_image.ensure(
                BUILDAH, requirements=ROOT / "requirements-production.txt"
            )
    flags = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    with console.step(f"Image {name}, by {engine}"):
        base_image.say([*command, *flags, f"--tag={name}", str(ROOT)])
    return Built(name, engine, _megabytes(engine, name))


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


def _megabytes(engine: str, name: str) -> int:
    if engine == "buildah":
        listed = subprocess.run(
            [*BUILDAH, "images", "--json", name], capture_output=True, text=True, check=True
        )
        return _as_megabytes(str(json.loads(listed.stdout)[0]["size"]))
    asked = [engine, "image", "inspect", "--format={{.Size}}", name]
    return (
        int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) // 1_000_000
    )


def _as_megabytes(text: str) -> int:
    number, unit = text.split()
    return round(float(number) * {"KB": 0.001, "MB": 1, "GB": 1000}[unit])


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
