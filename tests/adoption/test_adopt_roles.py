"""`adopt_roles` is continued where it was killed, and refuses what it does not understand."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.adoption.howto import FORMER, Shop
from tests.adoption.test_howto import SAVE

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 30

# As stock django-tenants leaves it: everything is the application's own login's.
OLD_TENANT = """
    CREATE SCHEMA {schema} AUTHORIZATION {former};
    CREATE TABLE {schema}.django_migrations (id int);
    ALTER TABLE {schema}.django_migrations OWNER TO {former};
    INSERT INTO customers_client (schema_name, name, paid_until, type, on_trial, created_on)
    VALUES ({literal}, {literal}, '2030-01-01', 'shop', false, '2020-01-01')
"""


@contextmanager
def old_tenants(shop: Shop, *schemas: str) -> Iterator[None]:
    """Tenants that the settings of before made; afterwards they are gone, roles too."""
    with shop.superuser() as server:
        for schema in schemas:
            server.execute(_compose(OLD_TENANT, shop, schema))
    try:
        yield
    finally:
        with shop.superuser() as server:
            for schema in schemas:
                server.execute(_compose("DROP SCHEMA {schema} CASCADE", shop, schema))
                server.execute(
                    _compose("DELETE FROM customers_client WHERE name = {literal}", shop, schema)
                )
                if schema != "app":
                    server.execute(_compose("DROP ROLE IF EXISTS {role}", shop, schema))


def _compose(statement: str, shop: Shop, schema: str) -> sql.Composed:
    return sql.SQL(statement).format(  # type: ignore[arg-type]  # the tests' own
        schema=sql.Identifier(schema),
        literal=sql.Literal(schema),
        former=sql.Identifier(f"{shop.database}_{FORMER}"),
        role=sql.Identifier(f"{shop.database}_{schema}"),
    )


class TestContinuing:
    def test_takes_in_who_was_made_with_the_settings_of_before(
        self, adopted_shop: Shop, stock_shop: Shop
    ) -> None:
        stock_shop.manage("shell", "-c", SAVE.format(schema="late"))
        try:
            assert "late " in adopted_shop.manage("adopt_roles")

            adopted_shop.manage("adopt_roles", "--apply")

            answers = adopted_shop.ask("late.localhost/orders/")
            assert answers["late.localhost/orders/"][1]["orders"] == ["The first"]
        finally:
            adopted_shop.manage("delete_tenant", "--schema=late", "--noinput")

    def test_after_kill_9(self, adopted_shop: Shop) -> None:
        """
        A schema has its role with all rights, or it has none and is its former owner's.
        """
        schemas = [f"k{number}" for number in range(40)]
        with old_tenants(adopted_shop, *schemas):
            _kill_when(adopted_shop, lambda: len(_roles_of(adopted_shop, schemas)) >= 3)

            done = _roles_of(adopted_shop, schemas)
            assert 3 <= len(done) < 40
            owners = adopted_shop.query(
                "SELECT nspname FROM pg_namespace "
                "WHERE nspname = ANY(%s) AND pg_get_userbyid(nspowner) = %s ORDER BY nspname",
                schemas,
                f"{adopted_shop.database}_ddl",
            )
            assert owners == done

            said = adopted_shop.manage("adopt_roles", "--apply")
            assert "reads its own schema and not its neighbour's" in said
            assert _roles_of(adopted_shop, schemas) == sorted(schemas)

    def test_says_which_schema_somebody_holds(self, adopted_shop: Shop) -> None:
        """
        And waits no longer, as whoever asks for the table next waits behind it.
        """
        with old_tenants(adopted_shop, "held"), adopted_shop.superuser() as somebody:
            with somebody.transaction():
                somebody.execute("LOCK TABLE held.django_migrations")
                said = adopted_shop.manage("adopt_roles", "--apply", fails=True)

            assert "Schema 'held': canceling statement due to lock timeout" in said
            assert "run the same command again" in said
            assert _roles_of(adopted_shop, ["held"]) == []

            adopted_shop.manage("adopt_roles", "--apply")
            assert _roles_of(adopted_shop, ["held"]) == ["held"]


class TestRefusing:
    @pytest.fixture(autouse=True)
    def old_tenant(self, adopted_shop: Shop) -> Iterator[None]:
        with old_tenants(adopted_shop, "elder"):
            yield

    def _refuse(self, shop: Shop, *words: str) -> None:
        said = shop.manage("adopt_roles", "--apply", fails=True)

        for word in (*words, "nothing was changed"):
            assert word in said
        assert _roles_of(shop, ["elder"]) == []

    def test_a_strangers_table(self, adopted_shop: Shop) -> None:
        stranger = f"{adopted_shop.database}_zz"
        with adopted_shop.superuser() as server:
            server.execute(f"CREATE ROLE {stranger}")
            server.execute("CREATE TABLE elder.theirs ()")
            server.execute(f"ALTER TABLE elder.theirs OWNER TO {stranger}")
        try:
            former = f"{adopted_shop.database}_{FORMER}"
            self._refuse(
                adopted_shop, f'ALTER TABLE elder.theirs OWNER TO "{former}"', repr(stranger)
            )
        finally:
            with adopted_shop.superuser() as server:
                server.execute("DROP TABLE elder.theirs")
                server.execute(f"DROP ROLE {stranger}")

    def test_what_it_does_not_know(self, adopted_shop: Shop) -> None:
        with adopted_shop.superuser() as server:
            server.execute("CREATE COLLATION elder.odd (locale = 'C')")

        self._refuse(adopted_shop, "'elder' has the collation odd")

    def test_a_role_that_is_no_tenants(self, adopted_shop: Shop) -> None:
        with old_tenants(adopted_shop, "app"):
            self._refuse(adopted_shop, "'app'", "rename_schema")

    def test_a_name_that_would_be_cut(self, adopted_shop: Shop) -> None:
        with old_tenants(adopted_shop, "x" * 60):
            self._refuse(adopted_shop, "PostgreSQL keeps 63", "rename_schema")

    def test_logins_of_before(self, stock_shop: Shop, adopted_shop: Shop) -> None:
        settings = adopted_shop.folder / "shop" / "forgetful.py"
        settings.write_text(
            "from shop.settings import *\nDATABASES['default']['USER'] = 'somebody'\n"
        )

        said = adopted_shop.manage("adopt_roles", fails=True, settings="shop.forgetful")

        assert f"Set its 'USER' to '{adopted_shop.database}_app'" in said

    def test_whoever_is_no_superuser(self, adopted_shop: Shop) -> None:
        former = adopted_shop.superuser_url(user=f"{adopted_shop.database}_{FORMER}")

        said = adopted_shop.manage("adopt_roles", "--superuser-url", former, fails=True)

        assert "is no superuser" in said


class TestTrial:
    def test_finds_a_role_that_reads_its_neighbours(self, adopted_shop: Shop) -> None:
        role = f"{adopted_shop.database}_north"
        # Whichever of them is tried as its neighbour, and whatever other tests left there.
        others = adopted_shop.query(
            "SELECT nspname FROM pg_catalog.pg_namespace JOIN customers_client "
            "ON schema_name = nspname WHERE nspname NOT IN ('public', 'north')"
        )
        grants = [
            f'GRANT USAGE ON SCHEMA "{other}" TO {role}; '
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{other}" TO {role}'
            for other in others
        ]
        with adopted_shop.superuser() as server:
            for grant in grants:
                server.execute(grant)
        try:
            said = adopted_shop.manage("adopt_roles", "--apply", fails=True)
        finally:
            with adopted_shop.superuser() as server:
                for grant in grants:
                    server.execute(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))

        assert f"'{role}' can read the schema '" in said


class TestRelease:
    def test_takes_what_the_former_owner_kept(self, adopted_shop: Shop) -> None:
        former = f"{adopted_shop.database}_{FORMER}"
        try:
            said = adopted_shop.manage("adopt_roles", "--release")

            assert f"{former} may do nothing here any more" in said
            with pytest.raises(psycopg.Error, match="permission denied"):
                psycopg.connect(adopted_shop.superuser_url(user=former)).execute(
                    "SELECT FROM north.orders_order"
                )
            assert adopted_shop.ask("north.localhost/orders/")["north.localhost/orders/"][0] == 200
        finally:
            with adopted_shop.superuser() as server:
                server.execute(f"GRANT {adopted_shop.database}_ddl TO {former}")


def _roles_of(shop: Shop, schemas: list[str]) -> list[str]:
    """Return those of `schemas` that have a role."""
    return shop.query(
        "SELECT schema FROM unnest(%s::text[]) AS schema JOIN pg_roles ON rolname = %s || schema "
        "ORDER BY schema",
        schemas,
        f"{shop.database}_",
    )


def _kill_when(shop: Shop, is_time: Callable[[], bool]) -> None:
    """Run `adopt_roles --apply` and kill it with signal 9 as soon as it is time."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "adopt_roles", "--apply"],
        cwd=shop.folder,
        env=shop.environment() | {"DJANGO_SETTINGS_MODULE": "shop.settings"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while not is_time():
            assert process.poll() is None, "it was over too early"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
