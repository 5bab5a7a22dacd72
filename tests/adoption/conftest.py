"""A project on stock django-tenants, and the same one after the page was followed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adoption.howto import Shop

ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %s || '_') ORDER BY 1"


@pytest.fixture(scope="package")
def stock_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two shops on stock django-tenants."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "shop")
    shop.make()
    yield shop
    shop.drop()


@pytest.fixture(scope="package")
def changed_shop(stock_shop: Shop) -> Shop:
    """The same database, and the project as the page changes it; its roles are not made yet."""
    folder: Path = stock_shop.folder.parent / "changed"
    shutil.copytree(stock_shop.folder, folder)
    shop = Shop(folder, database=stock_shop.database)
    shop.follow_page()
    return shop


@pytest.fixture(scope="package")
def adopted_shop(changed_shop: Shop) -> Shop:
    """The shops with their roles."""
    shop = changed_shop
    shop.said["check"] = shop.manage("check")
    shop.said["dry run"] = shop.manage("adopt_roles")
    shop.said["roles after it"] = " ".join(shop.query(ROLES, shop.database))
    shop.said["apply"] = shop.manage("adopt_roles", "--apply")
    return shop
