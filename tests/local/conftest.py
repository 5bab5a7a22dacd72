"""Stacks in folders of their own, so that `make run` beside the tests is left alone."""

from __future__ import annotations

import contextlib
import os
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


PREFIX = "clinicx local "
IN_USE = "in-use"


@contextlib.contextmanager
def make_project() -> Iterator[Path]:
    """A folder that everybody can enter, unlike pytest's own; its name has a space."""
    for abandoned in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{IN_USE}.lock"):
        # Tests that run beside these may be at the same one.
        with contextlib.suppress(FileNotFoundError):
            _remove_if_abandoned(abandoned.parent)
    draft = Path(tempfile.mkdtemp())
    draft.chmod(0o755)
    with state.lock(draft, IN_USE, wait=True):
        # Nobody sees it by its name before it is locked.
        folder = draft.rename(draft.with_name(PREFIX + draft.name))
        yield folder
    shutil.rmtree(folder)


def _remove_if_abandoned(folder: Path) -> None:
    """Stop and delete what killed tests left in `folder`: nobody holds its lock."""
    if folder.stat().st_uid != os.geteuid():
        return
    with state.lock(folder, IN_USE, wait=False) as is_abandoned:
        if is_abandoned:
            for each in folder.rglob("state.json"):
                stack.reset(each.parent)
            shutil.rmtree(folder)


@pytest.fixture
def project() -> Iterator[Path]:
    """A project's folder."""
    with make_project() as folder:
        yield folder


@pytest.fixture
def made(project: Path) -> Iterator[State]:
    """A stack that was never started; whatever a test starts in it is stopped."""
    made = state.prepare(project / "var" / "dev")
    yield made
    stack.reset(made.folder)


@pytest.fixture(scope="session")
def shared() -> Iterator[State]:
    """One stack for all tests that stop and kill its servers: it must survive them all."""
    with make_project() as project:
        shared = state.prepare(project / "dev")
        yield shared
        stack.reset(shared.folder)


@pytest.fixture
def started(shared: State) -> State:
    """A stack whose servers run, whatever the test before did to them."""
    servers.ensure(shared, settings=postgres.THROW_AWAY, keep_last=True)
    return shared
