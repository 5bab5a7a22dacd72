"""A project whose users and sessions are the public schema's is told so, and can be served."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.adoption.howto import Shop
from tests.adoption.test_howto import SAVE

pytestmark = pytest.mark.slow

# As the checks say: the two switches, and sessions that say whose they are.
SWITCHES = """
TENANCY_COMPAT = ["foreign_keys", "shared_tables"]
SESSION_ENGINE = "tenancy.sessions.db"
"""
ALONE = """
TENANT_APPS = ["orders"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
"""


@pytest.fixture(scope="module")
def shop(shop_with: Callable[[str, str], Shop]) -> Shop:
    """Followed to the end of the settings, without a switch and without roles."""
    return shop_with("all", ALONE)


@pytest.fixture(scope="module")
def switched_shop(shop: Shop) -> Shop:
    """With both switches, and with its roles."""
    shop.said["check"] = shop.manage("check", fails=True)
    shop.add_to_settings(SWITCHES)
    shop.manage("adopt_roles", "--apply")
    return shop


class TestSharedTables:
    def test_are_found_by_the_checks(self, switched_shop: Shop) -> None:
        said = switched_shop.said["check"]

        assert "tenancy.E006) orders.Order.taken_by" in said
        assert said.count("tenancy.E044") == 2
        assert "TENANCY_COMPAT = ['shared_tables']" in said
        assert "TENANCY_COMPAT = ['foreign_keys']" in said

    def test_are_a_warning_with_the_switches(self, switched_shop: Shop) -> None:
        said = switched_shop.manage("check", "--database=default", "--database=ddl")

        assert said.count("tenancy.W010") == 2
        assert "tenancy.E" not in said

    def test_are_written_at_a_tenants_request(self, switched_shop: Shop) -> None:
        answers = switched_shop.ask("north.localhost/visits/", "north.localhost/orders/")

        assert answers["north.localhost/visits/"] == (200, {"visits": 1})
        assert answers["north.localhost/orders/"][1]["orders"] == ["Order of north"]

    def test_are_written_after_a_migration_too(self, switched_shop: Shop) -> None:
        switched_shop.manage("migrate_schemas", "--shared", "customers")

        assert switched_shop.ask("north.localhost/visits/")["north.localhost/visits/"][0] == 200

    def test_do_not_let_a_tenant_change_the_tenants(self, switched_shop: Shop) -> None:
        role = f"{switched_shop.database}_north"
        (may_write,) = switched_shop.query(
            "SELECT has_table_privilege(%s, 'customers_client', 'INSERT, UPDATE, DELETE')", role
        )

        assert may_write is False

    def test_are_pointed_at_by_a_new_tenants_tables(self, switched_shop: Shop) -> None:
        """
        And of its own it has those of its own applications alone.
        """
        switched_shop.manage("shell", "--platform", "-c", SAVE.format(schema="west"))

        assert switched_shop.query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'west' ORDER BY 1"
        ) == ["django_migrations", "orders_order"]
        assert switched_shop.query(
            "SELECT confrelid::regclass::text FROM pg_constraint "
            "WHERE conrelid = 'west.orders_order'::regclass AND contype = 'f'"
        ) == ["auth_user"]
