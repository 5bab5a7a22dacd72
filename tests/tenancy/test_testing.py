"""A run's reference is copied as often as one likes, and each copy has roles of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from tenancy import testing
from tenancy.models import Organization
from tests.fixtures import servers
from tests.isolation.verdicts import INSUFFICIENT_PRIVILEGE, sqlstate_of


@pytest.fixture
def copies(elm: Organization) -> Iterator[list[str]]:
    """The names of two databases that were copied one after the other."""
    names = [servers.database_name(of=f"{servers.WORKER}{each}") for each in ("first", "second")]
    superuser_url = os.environ["DATABASE_SUPERUSER_URL"]
    for name in names:
        testing.clone_database(
            superuser_url=superuser_url,
            reference=servers.database_name(of="reference"),
            database=name,
            app_password=servers.PASSWORD,
            ddl_password=servers.PASSWORD,
        )
    yield names
    for name in names:
        testing.drop_database(superuser_url=superuser_url, database=name)


class TestCopy:
    def test_lets_its_own_roles_work(self, copies: list[str]) -> None:
        for name in copies:
            with psycopg.connect(servers.database_url(name, "app")) as app:
                app.execute(f'SET LOCAL ROLE "{name}_tenant_elm"')

                assert app.execute("SELECT count(*) FROM tenant_elm.auth_group").fetchone() != (0,)
                assert (
                    sqlstate_of(app.execute, "SELECT FROM tenant_oak.auth_group")
                    == INSUFFICIENT_PRIVILEGE
                )

    def test_knows_nobody_elses_roles(self, copies: list[str]) -> None:
        first, second = copies
        with psycopg.connect(servers.database_url(first, "app")) as app:
            code = sqlstate_of(app.execute, f'SET LOCAL ROLE "{second}_tenant_elm"')

        assert code == INSUFFICIENT_PRIVILEGE

    def test_has_an_owner_that_makes_tables_for_its_tenants(self, copies: list[str]) -> None:
        """
        What default privileges grant is handed over, too.
        """
        name = copies[1]
        with psycopg.connect(servers.database_url(name, "ddl_login")) as owner:
            owner.execute(f'SET ROLE "{name}_ddl"')
            owner.execute("CREATE TABLE tenant_elm.made_tomorrow (id int)")

        with psycopg.connect(servers.database_url(name, "app")) as app:
            app.execute(f'SET LOCAL ROLE "{name}_tenant_elm"')
            app.execute("INSERT INTO tenant_elm.made_tomorrow VALUES (1)")
