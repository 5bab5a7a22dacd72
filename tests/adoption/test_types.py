"""A project whose tenants are of several types, each with applications and URLs of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.adoption.howto import Shop

pytestmark = pytest.mark.slow

TYPES = """
HAS_MULTI_TYPE_TENANTS = True
MULTI_TYPE_DATABASE_FIELD = "type"
TENANT_TYPES = {
    "public": {"APPS": SHARED_APPS, "URLCONF": "shop.public_urls"},
    "shop": {"APPS": TENANT_APPS, "URLCONF": "shop.urls"},
    "empty": {"APPS": TENANT_APPS[:-1], "URLCONF": "shop.public_urls"},
}
del TENANT_APPS
"""
SAVE = """
from customers.models import Client, Domain

for kind in ("shop", "empty"):
    client = Client(schema_name=f"new_{kind}", name=kind, paid_until="2030-01-01", type=kind)
    client.save()
    Domain.objects.create(domain=f"{kind}.localhost", tenant=client)
"""
WITH_ORDERS = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'orders_order' ORDER BY 1"


@pytest.fixture(scope="module")
def shop(shop_with: Callable[[str, str], Shop]) -> Shop:
    shop = shop_with("types", TYPES)
    shop.manage("adopt_roles", "--apply")
    return shop


class TestTypes:
    def test_have_nothing_wrong(self, shop: Shop) -> None:
        """
        But for what PostgreSQL 15 itself leaves open.
        """
        said = shop.manage("check", "--database=default", "--database=ddl")

        assert set(re.findall(r"tenancy\.[EW]\d{3}", said)) <= {"tenancy.W068"}
        assert re.search(r"(no|1) issue", said)

    def test_have_tables_and_urls_of_their_own(self, shop: Shop) -> None:
        shop.manage("shell", "--platform", "-c", SAVE)
        shop.manage("migrate_schemas")

        assert shop.query(WITH_ORDERS) == ["South-2", "new_shop", "north"]
        answers = shop.ask(
            *(f"{name}.localhost/orders/" for name in ("north", "shop", "empty")), "localhost/"
        )
        assert [status for status, _ in answers.values()] == [200, 200, 404, 200]
