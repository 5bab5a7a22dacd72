"""A tenant whose statements may take less, or more, than the others' is alone in that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction

from tenancy import context
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.models import Organization
from tests.isolation.wire import tapped

SLEEP = "SELECT pg_sleep(1.5)"


def run(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


@pytest.fixture(autouse=True)
def _limited(settings: Any, address: str, elm: Organization, oak: Organization) -> Iterator[None]:
    settings.TENANCY_TENANT_STATEMENT_TIMEOUTS = {"elm": timedelta(milliseconds=100)}
    connection._bindings = {}  # what this connection knew before the setting changed
    yield
    connection.close()
    connection._bindings = {}


class TestTimeout:
    def test_ends_the_tenants_statements(self, elms: ActiveTenant) -> None:
        with context.override(elms), pytest.raises(OperationalError, match="statement timeout"):
            run(SLEEP)

    def test_ends_them_in_a_transaction(self, elms: ActiveTenant) -> None:
        with (
            context.override(elms),
            pytest.raises(OperationalError, match="statement timeout"),
            transaction.atomic(),
        ):
            run("SELECT 1")
            run(SLEEP)

    def test_is_nobody_elses(self, elms: ActiveTenant, oaks: ActiveTenant) -> None:
        """
        Also where Elm's statements came over the same connection to the server before.
        """
        with context.override(elms):
            assert run("SHOW statement_timeout") == "100ms"
        for target in (oaks, PLATFORM):
            with context.override(target):
                assert run("SHOW statement_timeout") == "30s"

    def test_is_known_of_a_tenant_of_whom_only_the_schema_is(self, elms: ActiveTenant) -> None:
        with context.override(context.for_schema(elms.schema)):
            assert run("SHOW statement_timeout") == "100ms"

    def test_leaves_the_tenant_its_connection(self, elms: ActiveTenant) -> None:
        with context.override(elms):
            with pytest.raises(OperationalError):
                run(SLEEP)

            assert run("SELECT current_schema()") == elms.schema

    def test_travels_with_the_statement(self, elms: ActiveTenant, oaks: ActiveTenant) -> None:
        with context.override(elms):
            run("SELECT 1")
            with tapped() as tap:
                run("SELECT 1")
        (message,) = tap.statements
        assert "SET LOCAL statement_timeout = 100; SET LOCAL search_path" in message
        assert "SELECT 1" in message

        with context.override(oaks):
            run("SELECT 1")
            with tapped() as tap:
                run("SELECT 1")
        assert "statement_timeout" not in str(tap.sent)

    def test_that_would_be_none_is_refused(self, settings: Any, elms: ActiveTenant) -> None:
        settings.TENANCY_TENANT_STATEMENT_TIMEOUTS = {"elm": timedelta(0)}
        with context.override(elms), pytest.raises(ImproperlyConfigured, match="no limit"):
            run("SELECT 1")
