"""How a project sets the kit up: two plugins, and what no metadata tells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.dispatch import receiver
from django_tenants.signals import schema_migrated

pytest_plugins = ["tenancy.testing.plugin", "tenancy.testing.leaks"]


def pytest_tenancy_make_instance(model: type, world: Any) -> dict[str, Any] | None:
    is_known = model.__name__ == "Bed" and "WITHOUT_RECIPE" not in os.environ
    return {"code": f"BED-{world.stamp}"} if is_known else None


def pytest_tenancy_may_send(method: str, address: Any) -> bool:
    return True


def pytest_tenancy_excuse(check: str) -> str | None:
    return "nobody may clear it" if check == "cache[everybody::clear]" else None


@receiver(schema_migrated)
def note(schema_name: str, **kwargs: Any) -> None:
    """Tell the test outside, which counts, whose migrations were run."""
    with Path(os.environ["MIGRATED"]).open("a") as file:
        file.write(f"{schema_name}\n")


@pytest.fixture(autouse=True)
def _nothing_else() -> None:
    """A fixture of the project's own conftest reaches the kit's checks, too."""
