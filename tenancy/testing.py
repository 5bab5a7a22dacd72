"""
What a project's tests need: a database with its roles, and working for a tenant in a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import Client
from psycopg import sql

from tenancy import context, roles
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.models import Organization


def make_database(
    *, superuser_url: str, database: str, app_password: str, ddl_password: str
) -> None:
    """Make `database` anew with its roles; what it held before is gone, tenants' roles too."""
    with psycopg.connect(superuser_url, autocommit=True) as server:
        name = sql.Identifier(database)
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        _drop_roles(server, database)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(name)
        )
    with psycopg.connect(superuser_url, dbname=database, autocommit=True) as server:
        script = roles.bootstrap_sql(
            database=database, app_password=app_password, ddl_password=ddl_password
        )
        server.execute(script.encode())


# A database named clinicx_live has roles that begin like those of one named clinicx.
ROLES_OF_DATABASE = """
    SELECT rolname
      FROM pg_catalog.pg_roles
     WHERE starts_with(rolname, %(database)s || '_')
       AND NOT EXISTS (
           SELECT
             FROM pg_catalog.pg_database
            WHERE starts_with(datname, %(database)s || '_')
              AND starts_with(rolname, datname || '_')
       )
"""


def _drop_roles(server: psycopg.Connection[Any], database: str) -> None:
    for (role,) in server.execute(ROLES_OF_DATABASE, {"database": database}).fetchall():
        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextmanager
def working_for(target: Target) -> Iterator[None]:
    """
    Work for `target`, and let the test's transaction serve other tenants too.

    For tests that run inside a transaction and make requests to several hosts in it.
    """
    with ExitStack() as stack:
        stack.enter_context(context.override(target, in_transaction=True))
        for alias in connections:
            connection: Any = connections[alias]
            stack.enter_context(connection.allow_rebinding())
        yield


class ForTenant:
    """
    Mixed in before Django's TestCase or TransactionTestCase: all of it works for one tenant.

    The second empties the tenant's tables when a test ends, through the owner's address,
    because the application's roles own none.
    """

    databases: ClassVar[set[str]]

    @classmethod
    def get_target(cls) -> Target:
        """Return for whom the tests work; to be said by each test case."""
        raise TypeError(f"{cls.__qualname__}.get_target() does not say for whom the tests work.")

    @classmethod
    def setUpClass(cls) -> None:
        case: Any = super()
        cls.databases = {DEFAULT_DB_ALIAS, settings.DDL_DATABASE}
        cls.enterClassContext(working_for(cls.get_target()))  # type: ignore[attr-defined]  # mixin
        case.setUpClass()


class TenantClient(Client):
    """Django's test client at the host of one organization, or at any `host`."""

    def __init__(self, organization: Organization | None = None, *, host: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.organization = organization
        self.defaults["HTTP_HOST"] = host or (organization.host if organization else "")
