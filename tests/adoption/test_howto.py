"""The page "From django-tenants" is true: it is followed on a project, and the project works."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.adoption.howto import FORMER, Shop
from tests.fixtures.pgbouncer import PgBouncer, running

SHOPS = ("north.localhost/orders/", "south.localhost/orders/")
SAVE = """
from customers.models import Client, Domain
from django_tenants.utils import tenant_context
from orders.models import Order

client = Client(schema_name="{schema}", name="{schema}", paid_until="2030-01-01")
client.save()
Domain.objects.create(domain="{schema}.localhost", tenant=client)
with tenant_context(client):
    Order.objects.create(title="The first")
"""

TEMPLATED = """
from shop.settings import *

TENANT_CREATION_FAKES_MIGRATIONS = True
TENANT_BASE_SCHEMA = "north"
"""


@pytest.fixture
def pooled_shop(adopted_shop: Shop) -> Iterator[Shop]:
    with running(database=adopted_shop.database) as pooler:
        yield _at(adopted_shop, pooler)


def _at(shop: Shop, pooler: PgBouncer) -> Shop:
    return Shop(shop.folder, database=shop.database, port=str(pooler.port))


@pytest.mark.slow
class TestAdoptRoles:
    def test_finds_nothing_wrong_with_the_settings(self, adopted_shop: Shop) -> None:
        assert "no issues" in adopted_shop.said["check"]

    def test_shows_what_it_would_do_and_does_nothing(self, adopted_shop: Shop) -> None:
        said = adopted_shop.said["dry run"]

        assert "South-2  make its role; hand over 10 tables; grant" in said
        assert "Tenants: 2, done: 0." in said
        assert "Nothing was changed" in said
        assert adopted_shop.said["roles after it"] == f"{adopted_shop.database}_{FORMER}"

    def test_ends_with_a_trial_and_the_next_step(self, adopted_shop: Shop) -> None:
        said = adopted_shop.said["apply"]

        assert "each tenant's role reads its own schema and not its neighbour's" in said
        assert f"{adopted_shop.database}_app" in said
        assert f"{adopted_shop.database}_{FORMER} still has all rights" in said

    def test_finds_nothing_left_to_do(self, adopted_shop: Shop) -> None:
        found = re.search(r"Tenants: (\d+), done: (\d+)", adopted_shop.manage("adopt_roles"))

        assert found is not None
        assert found[1] == found[2]
        assert "reads its own" in adopted_shop.manage("adopt_roles", "--apply")

    def test_satisfies_the_checks_of_the_server(self, adopted_shop: Shop) -> None:
        """
        But for what PostgreSQL 15 itself leaves open.
        """
        said = adopted_shop.manage("check", "--database=default", "--database=ddl")

        assert set(re.findall(r"tenancy\.[EW]\d{3}", said)) <= {"tenancy.W068"}
        assert re.search(r"(no|1) issue", said)

    def test_leaves_nothing_to_the_former_owner_alone(self, adopted_shop: Shop) -> None:
        owners = adopted_shop.query(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname IN ('public', 'north', 'South-2')"
        )

        assert owners == [f"{adopted_shop.database}_ddl"]


@pytest.mark.slow
class TestTheProject:
    def test_serves_both_shops(self, adopted_shop: Shop) -> None:
        answers = adopted_shop.ask(*SHOPS, "localhost/", "nobody.localhost/orders/")

        assert answers["north.localhost/orders/"] == (
            200,
            {
                "shop": "North",
                "schema": "north",
                "tenant": "North",
                "paid_until": "2030-01-01",
                "orders": ["Order of north"],
            },
        )
        assert answers["south.localhost/orders/"][1]["orders"] == ["Order of South-2"]
        assert {"North", "South-2"} <= set(answers["localhost/"][1]["clients"])
        assert answers["nobody.localhost/orders/"][0] == 404

    def test_writes_at_a_request(self, adopted_shop: Shop) -> None:
        assert adopted_shop.ask("north.localhost/visits/") == {
            "north.localhost/visits/": (200, {"visits": 1})
        }

    def test_serves_through_a_pooler(self, pooled_shop: Shop) -> None:
        answers = pooled_shop.ask(*SHOPS, *SHOPS, "north.localhost/visits/")

        assert [answers[shop][1]["orders"] for shop in SHOPS] == [
            ["Order of north"],
            ["Order of South-2"],
        ]

    def test_still_works_with_the_settings_of_before(
        self, adopted_shop: Shop, stock_shop: Shop
    ) -> None:
        answers = stock_shop.ask(*SHOPS, "north.localhost/visits/")

        assert {status for status, _ in answers.values()} == {200}
        assert "North: 1" in stock_shop.manage("count_orders")

    def test_migrates(self, adopted_shop: Shop) -> None:
        assert "Nothing to do" in adopted_shop.manage("migrate_schemas", "orders")

    def test_runs_its_command_on_the_platform(self, adopted_shop: Shop) -> None:
        said = adopted_shop.manage("count_orders", fails=True)
        assert "tenant_command --platform count_orders" in said
        assert "Traceback" not in said

        assert "South-2: 1" in adopted_shop.manage("tenant_command", "--platform", "count_orders")

    def test_passes_its_own_tests(self, adopted_shop: Shop) -> None:
        said = adopted_shop.manage("test", "orders", settings="shop.test_settings")

        assert "Ran 4 tests" in said


@pytest.mark.slow
class TestNewTenants:
    def test_are_saved_as_before(self, adopted_shop: Shop) -> None:
        """
        With a role: it reads its own schema, and the others' roles do not.
        """
        adopted_shop.manage("shell", "--platform", "-c", SAVE.format(schema="west"))

        answers = adopted_shop.ask("west.localhost/orders/")
        assert answers["west.localhost/orders/"][1]["orders"] == ["The first"]
        assert _readers(adopted_shop, "west") == [f"{adopted_shop.database}_west"]

    def test_leave_nothing_when_they_go(self, adopted_shop: Shop) -> None:
        adopted_shop.manage("shell", "--platform", "-c", SAVE.format(schema="east"))

        adopted_shop.manage("delete_tenant", "--schema=east", "--noinput")

        role = f"{adopted_shop.database}_east"
        assert adopted_shop.query("SELECT 1 FROM pg_roles WHERE rolname = %s", role) == []
        assert adopted_shop.query("SELECT 1 FROM pg_namespace WHERE nspname = 'east'") == []
        assert adopted_shop.query("SELECT 1 FROM customers_client WHERE name = 'east'") == []

    def test_are_refused_where_a_schema_is_left(self, adopted_shop: Shop) -> None:
        with adopted_shop.superuser() as server:
            server.execute("CREATE SCHEMA leftover")

        said = adopted_shop.manage(
            "shell", "--platform", "-c", SAVE.format(schema="leftover"), fails=True
        )

        assert "it may hold data of a deleted one" in said
        assert adopted_shop.query("SELECT 1 FROM customers_client WHERE name = 'leftover'") == []

    @pytest.mark.parametrize("schema", ["app", "ddl", "s" * 60])
    def test_are_refused_a_role_that_cannot_be(self, adopted_shop: Shop, schema: str) -> None:
        said = adopted_shop.manage(
            "shell", "--platform", "-c", SAVE.format(schema=schema), fails=True
        )

        assert "another name" in said or "shorter name" in said
        assert adopted_shop.query("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema) == []

    def test_are_cloned_for_themselves(self, adopted_shop: Shop) -> None:
        """
        The function that clones copies grants, and would let the source's role in.
        """
        adopted_shop.manage(
            *("clone_tenant", "--clone_from=north", "--clone_tenant_fields=yes"),
            *("--schema_name=twin", "--domain-domain=twin.localhost"),
            *("--domain-is_primary=True", "--domain-tenant_id=0"),
        )

        assert _readers(adopted_shop, "twin") == [f"{adopted_shop.database}_twin"]
        answers = adopted_shop.ask("twin.localhost/orders/")
        assert answers["twin.localhost/orders/"][1]["orders"] == ["Order of north"]

    def test_are_made_from_a_template(self, adopted_shop: Shop) -> None:
        """
        TENANT_CREATION_FAKES_MIGRATIONS clones, and the template's role is not let in.
        """
        (adopted_shop.folder / "shop" / "templated.py").write_text(TEMPLATED)
        adopted_shop.manage(
            *("shell", "--platform", "-c", SAVE.format(schema="copy")), settings="shop.templated"
        )

        assert _readers(adopted_shop, "copy") == [f"{adopted_shop.database}_copy"]
        assert adopted_shop.query('SELECT title FROM "copy".orders_order ORDER BY 1') == [
            "Order of north",
            "The first",
        ]

    def test_keep_their_role_when_they_are_renamed(self, adopted_shop: Shop) -> None:
        adopted_shop.manage("shell", "--platform", "-c", SAVE.format(schema="before"))

        adopted_shop.manage("rename_schema", "--rename_from=before", "--rename_to=after")

        assert _readers(adopted_shop, "after") == [f"{adopted_shop.database}_after"]
        answers = adopted_shop.ask("before.localhost/orders/")
        assert answers["before.localhost/orders/"][1]["orders"] == ["The first"]


def _readers(shop: Shop, schema: str) -> list[str]:
    """Return which of the tenants' roles, and the platform's, may read or will in a schema."""
    return shop.query(
        """
        SELECT DISTINCT rolname
          FROM pg_roles
          JOIN pg_class ON relnamespace = to_regnamespace(quote_ident(%s)) AND relkind = 'r'
         WHERE starts_with(rolname, %s || '_')
           AND rolname NOT LIKE '%%\\_ddl'
           AND rolname NOT LIKE '%%\\_former'
           AND (has_table_privilege(pg_roles.oid, pg_class.oid, 'SELECT')
                OR EXISTS (
                   SELECT
                     FROM pg_default_acl, aclexplode(defaclacl)
                    WHERE defaclnamespace = relnamespace
                      AND grantee = pg_roles.oid))
         ORDER BY rolname
        """,
        schema,
        shop.database,
    )
