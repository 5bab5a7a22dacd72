"""What is said of the audit log at start, by id; and that the script repairs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.checks import CheckMessage
from django.db import connections

from tenancy import checks, roles
from tenancy.checks import audit
from tests.fixtures import servers


@pytest.fixture
def database(committed: None) -> str:
    return servers.database_name()


@pytest.fixture
def superuser(database: str) -> Iterator[psycopg.Connection[Any]]:
    address = os.environ["DATABASE_SUPERUSER_URL"]
    with psycopg.connect(address, dbname=database, autocommit=True) as server:
        yield server


@pytest.fixture
def repair(superuser: psycopg.Connection[Any], database: str) -> Callable[[], None]:
    """A function that runs the script of the roles again."""
    passwords = dict.fromkeys(("app_password", "ddl_password"), servers.PASSWORD)
    script = roles.bootstrap_sql(database=database, **passwords)
    return lambda: superuser.execute(script.encode()) and None  # type: ignore[func-returns-value]


def ask() -> list[CheckMessage]:
    """What is said of the log, but for what is said of every PostgreSQL 15."""
    found = checks.check_servers(None, databases=["default", "ddl"])
    return [each for each in found if each.id != "tenancy.W068"]


@contextmanager
def done(server: psycopg.Connection[Any], do: str, undo: str) -> Iterator[None]:
    server.execute(do.encode())
    try:
        yield
    finally:
        server.execute(undo.encode())


class TestAuditLog:
    def test_is_well_as_it_is_made(self, committed: None):
        assert ask() == []

    def test_e065_is_missing(self, superuser: Any):
        with done(superuser, *(f"ALTER SCHEMA {a} RENAME TO {b}" for a, b in AWAY)):
            (message,) = ask()

        assert message.id == "tenancy.E065"
        assert "bootstrap_sql" in str(message.hint)

    def test_e066_has_few_months_left(self, superuser: Any, monkeypatch: pytest.MonkeyPatch):
        ((left,),) = superuser.execute(audit.MONTHS_LEFT).fetchall()
        assert left >= 24
        monkeypatch.setattr(audit, "FEW_MONTHS", left + 1)

        (message,) = ask()

        assert message.id == "tenancy.E066"
        assert f"for {left} of" in message.msg

    @pytest.mark.parametrize(
        ("do", "stranger"),
        [
            ("GRANT INSERT ON audit.event TO {platform}", "platform"),
            ("GRANT UPDATE ON audit.{partition} TO {tenants}", "tenants"),
            ("GRANT DELETE ON audit.event TO PUBLIC", "PUBLIC"),
            ("GRANT USAGE ON SEQUENCE audit.event_seq_seq TO {platform}", "platform"),
            ("GRANT CREATE ON SCHEMA audit TO {ddl}", "ddl"),
            ("GRANT {audit} TO {ddl_login}", "ddl_login"),
            ("ALTER TABLE audit.event OWNER TO {ddl}", "ddl"),
            ("ALTER TABLE audit.{partition} OWNER TO {ddl}", "ddl"),
            ("ALTER FUNCTION audit.record OWNER TO {ddl}", "ddl"),
            ("ALTER SCHEMA audit OWNER TO {ddl}", "ddl"),
        ],
    )
    def test_e067_can_be_changed(
        self, do: str, stranger: str, superuser: Any, repair: Callable[[], None], database: str
    ):
        """
        And no longer once the script has run again.
        """
        names = {suffix: f'"{roles.name(database, suffix)}"' for suffix in roles.FIXED}
        ((partition,),) = superuser.execute(PARTITION).fetchall()
        superuser.execute(do.format(**names, partition=partition))
        try:
            (message,) = ask()

            assert message.id == "tenancy.E067"
            assert stranger in message.msg
        finally:
            if "SCHEMA audit OWNER" in do:
                superuser.execute(f"ALTER SCHEMA audit OWNER TO {names['audit']}")
            repair()
        assert ask() == []

    def test_w068_can_be_changed_by_the_owners_login_on_postgresql_15(self, committed: None):
        found = checks.check_servers(None, databases=["ddl"])

        is_old = connections["ddl"].get_database_version() < (16,)
        assert ("tenancy.W068" in {each.id for each in found}) is is_old


AWAY = (("audit", "away"), ("away", "audit"))
PARTITION = "SELECT to_char(now() AT TIME ZONE 'UTC', '\"event_\"YYYY_MM')"
