"""A project on stock django-tenants, and the same one after the page was followed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adoption.howto import Shop
from tests.fixtures import servers

ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE starts_with(rolname, %s || '_') ORDER BY 1"


@pytest.fixture(scope="package")
def stock_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two shops on stock django-tenants."""
    shop = Shop(tmp_path_factory.mktemp("shop") / "shop")
    shop.make()
    yield shop
    shop.drop()


@pytest.fixture(scope="module")
def shop_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Shop]]:
    """A function that makes shops with more settings, and follows the page until the roles."""
    made: list[Shop] = []

    def make(name: str, more_settings: str) -> Shop:
        folder = tmp_path_factory.mktemp(name)
        stock = Shop(folder / "stock", database=f"{servers.database_name()}_{name}")
        made.append(stock)
        stock.make(more_settings)
        return _changed(stock)

    yield make
    for stock in made:
        stock.drop()


@pytest.fixture(scope="package")
def changed_shop(stock_shop: Shop) -> Shop:
    """The same database, and the project as the page changes it; its roles are not made yet."""
    return _changed(stock_shop)


@pytest.fixture(scope="package")
def adopted_shop(changed_shop: Shop) -> Shop:
    """The shops with their roles."""
    shop = changed_shop
    shop.said["check"] = shop.manage("check")
    shop.said["dry run"] = shop.manage("adopt_roles")
    shop.said["roles after it"] = " ".join(shop.query(ROLES, shop.database))
    shop.said["apply"] = shop.manage("adopt_roles", "--apply")
    return shop


def _changed(stock: Shop) -> Shop:
    folder: Path = stock.folder.parent / "changed"
    shutil.copytree(stock.folder, folder)
    shop = Shop(folder, database=stock.database)
    shop.follow_page()
    return shop
