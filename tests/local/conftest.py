"""Stacks in folders of their own, so that `make run` beside the tests is left alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinicx.local import postgres, servers, stack, state
from clinicx.local.state import State


@pytest.fixture(autouse=True)
def _no_servers_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own servers are in the environment, which means: start none."""
    for name in (*stack.ADDRESSES, "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)


def make_project() -> Path:
    """Make a folder that everybody can enter, unlike pytest's own; its name has a space."""
    folder = Path(tempfile.mkdtemp(prefix="clinicx local "))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def project() -> Iterator[Path]:
    """A project's folder."""
    folder = make_project()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def made(project: Path) -> Iterator[State]:
    """A stack that was never started; whatever a test starts in it is stopped."""
    made = state.prepare(project / "var" / "dev")
    yield made
    stack.reset(made.folder)


@pytest.fixture(scope="session")
def shared() -> Iterator[State]:
    """One stack for all tests that stop and kill its servers: it must survive them all."""
    project = make_project()
    shared = state.prepare(project / "dev")
    yield shared
    stack.reset(shared.folder)
    shutil.rmtree(project)


@pytest.fixture
def started(shared: State) -> State:
    """A stack whose servers run, whatever the test before did to them."""
    servers.ensure(shared, settings=postgres.THROW_AWAY, keep_last=True)
    return shared
