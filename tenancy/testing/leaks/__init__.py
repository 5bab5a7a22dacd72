"""
The leak kit: nothing of one tenant is found at another, tried on a project's own code.

    # conftest.py
    pytest_plugins = ["tenancy.testing.plugin", "tenancy.testing.leaks"]

`pytest --leak-kit` then runs the kit instead of the tests, and says what it covered. Nothing
here imports a model: options are read before the app registry is ready.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tenancy.testing.leaks import hooks
from tenancy.testing.leaks.report import Report

ROOT = "leaks"
FIXTURES = "tenancy.testing.plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tenancy")
    group.addoption(
        "--leak-kit",
        action="store_true",
        help="Instead of the tests, try to get at one tenant's rows, files, sessions and "
        "cache entries from another: every model, URL, cache, storage and task there is.",
    )
    group.addoption(
        "--leak-kit-strict",
        action="store_true",
        help="Fail also for what could not be covered.",
    )
    group.addoption(
        "--leak-report", metavar="FILE", type=Path, help="Write what was found to FILE, as JSON."
    )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.leak_kit:
        config.pluginmanager.register(Report(config), "tenancy.testing.leaks.report")


class Checks(pytest.Module):
    """The suite as a node of its own, so that its ids say what is checked and not where."""

    def _getobj(self) -> ModuleType:
        from tenancy.testing.leaks import suite

        return suite

    def funcnamefilter(self, name: str) -> bool:
        return name in {kind.__name__ for kind in self.obj.KINDS}

    def classnamefilter(self, name: str) -> bool:
        return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> object:
    """Collect the kit instead of the tests; not in the process that leads those of xdist."""
    config = session.config
    if not config.option.leak_kit or config.pluginmanager.hasplugin("dsession"):
        return None
    if not config.pluginmanager.hasplugin(FIXTURES):
        raise pytest.UsageError(
            "The leak kit needs the fixtures of tenancy.testing.plugin. In conftest.py: "
            f'pytest_plugins = ["{FIXTURES}", "{__name__}"]'
        )
    path = Path(__file__).with_name("suite.py")
    checks = Checks.from_parent(_folder_of_conftest(session), path=path, nodeid=ROOT)
    session.items = list(session.genitems(checks))
    config.hook.pytest_collection_modifyitems(session=session, config=config, items=session.items)
    config.hook.pytest_collection_finish(session=session)
    session.testscollected = len(session.items)
    return True


def _folder_of_conftest(session: pytest.Session) -> Any:
    """Return the node below which the fixtures of the project's conftest are found."""
    root = session.config.rootpath
    first = Path(session.config.args[0].partition("::")[0]) if session.config.args else root
    folder = (session.config.invocation_params.dir / first).resolve()
    if folder.is_file():
        folder = folder.parent
    node: Any = pytest.Dir.from_parent(session, path=root)
    if folder.is_relative_to(root):
        for part in folder.relative_to(root).parts:
            node = pytest.Dir.from_parent(node, path=node.path / part)
    return node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Say of what could not be covered that it was not, rather than that it failed."""
    if not item.nodeid.startswith(f"{ROOT}::"):
        return (yield)
    from tenancy.testing.leaks.stage import NotCovered

    try:
        return (yield)
    except NotCovered as error:
        reason = f"not covered: {error}"
    if item.config.option.leak_kit_strict:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
