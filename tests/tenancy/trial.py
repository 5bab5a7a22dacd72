"""An application `trial`, of each clinic, whose migrations are made in the test that runs them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import migrations
from django.test.utils import override_settings

from tenancy import ownership
from tenancy.context import ActiveTenant
from tenancy.rollout import plan

MIGRATION = """\
from tests.tenancy import trial

Migration = trial.MADE[{name!r}]
"""
MADE: dict[str, type[migrations.Migration]] = {}


class Trial:
    """The application, and what its migrations are so far."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "trial" / "migrations"
        self._folder.mkdir(parents=True)
        (root / "trial" / "__init__.py").touch()
        (root / "trial" / "models.py").touch()
        (self._folder / "__init__.py").touch()
        self._names: list[str] = []

    def add(self, *operations: Any, **attributes: Any) -> str:
        """Add a migration after the last one, and return its name."""
        name = f"{len(self._names) + 1:04}_made"
        after = [("trial", self._names[-1])] if self._names else [("contenttypes", "0001_initial")]
        attributes = {"dependencies": after, "operations": list(operations), **attributes}
        MADE[name] = type("Migration", (migrations.Migration,), attributes)
        (self._folder / f"{name}.py").write_text(MIGRATION.format(name=name))
        self._names.append(name)
        return name

    def remove_last(self) -> None:
        """Take back the migration that was added last."""
        name = self._names.pop()
        (self._folder / f"{name}.py").unlink()
        sys.modules.pop(f"trial.migrations.{name}", None)
        del MADE[name]


def installed(root: Path) -> Iterator[Trial]:
    """Install the application in the block, for all clinics."""
    trial = Trial(root)
    sys.path.insert(0, str(root))
    try:
        with override_settings(
            INSTALLED_APPS=[*settings.INSTALLED_APPS, "trial"],
            TENANT_APPS=[*settings.TENANT_APPS, "trial"],
        ):
            ownership.is_tenants.cache_clear()
            yield trial
    finally:
        sys.path.remove(str(root))
        MADE.clear()
        for module in [name for name in sys.modules if name.split(".")[0] == "trial"]:
            del sys.modules[module]
        ownership.is_tenants.cache_clear()
        assert not apps.is_installed("trial")


def groups(connection: Any, targets: Sequence[ActiveTenant], goal: Any = None) -> list[plan.Group]:
    """Return what is to be done for each, of this application alone unless `goal` says else."""
    return plan.make(connection, targets, goal=goal or ("trial", None))
