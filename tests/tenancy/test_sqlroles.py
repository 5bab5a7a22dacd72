"""`manage.py sqlroles` prints what a superuser runs before the first migration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from psycopg import sql

from tenancy import roles
from tests.fixtures import servers

LOGINS = {"default": "app", "ddl": "ddl_login"}
# A quote in it would end the string that it stands in.
PASSWORD = "it's theirs"


@pytest.fixture
def fresh(django_db_setup: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty database that both addresses lead to, with logins to be made."""
    name = f"new_{servers.database_name()}"
    server = os.environ["DATABASE_SUPERUSER_URL"]
    with psycopg.connect(server, autocommit=True) as superuser:
        database = sql.Identifier(name)
        superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(database))
        superuser.execute(sql.SQL("CREATE DATABASE {}").format(database))
        for alias, suffix in LOGINS.items():
            address = connections[alias].settings_dict
            for key, value in {
                "NAME": name, "USER": roles.name(name, suffix), "PASSWORD": PASSWORD
            }.items():  # fmt: skip
                monkeypatch.setitem(address, key, value)
        yield name
        superuser.execute(sql.SQL("DROP DATABASE {}").format(database))
        for suffix in roles.FIXED:
            role = sql.Identifier(roles.name(name, suffix))
            superuser.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def printed() -> str:
        call_command("sqlroles")
        return capsys.readouterr().out

    return printed


class TestSqlroles:
    def test_makes_the_logins_of_both_addresses(self, fresh: str, printed: Callable[[], str]):
        server = os.environ["DATABASE_SUPERUSER_URL"]

        with psycopg.connect(server, dbname=fresh, autocommit=True) as superuser:
            superuser.execute(printed().encode())

        for suffix in LOGINS.values():
            login = roles.name(fresh, suffix)
            with psycopg.connect(server, dbname=fresh, user=login, password=PASSWORD) as entered:
                assert entered.execute("SELECT current_user").fetchone() == (login,)

    def test_leads_to_the_direct_database_where_a_pooler_has_another_name(
        self, fresh: str, printed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(connections["default"].settings_dict, "NAME", "pooled")

        assert f'ALTER DATABASE "{fresh}" OWNER TO "{fresh}_ddl"' in printed()

    @pytest.mark.parametrize(
        ("key", "value", "told"),
        [("USER", "postgres", "logs in as 'postgres'"), ("PASSWORD", "", "has no password")],
    )
    @pytest.mark.parametrize("alias", LOGINS)
    def test_refuses_an_address_without_its_login(
        self, fresh: str, alias: str, key: str, value: str, told: str,
        monkeypatch: pytest.MonkeyPatch,
    ):  # fmt: skip
        monkeypatch.setitem(connections[alias].settings_dict, key, value)

        with pytest.raises(CommandError, match=rf"DATABASES\['{alias}'\] {told}"):
            call_command("sqlroles")

    def test_refuses_where_the_owner_has_no_address(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delitem(connections.settings, "ddl")

        with pytest.raises(CommandError, match=r"DATABASES\['ddl'\] is missing"):
            call_command("sqlroles")
