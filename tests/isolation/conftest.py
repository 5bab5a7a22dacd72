"""What the isolation tests stand on: looks at the server that do not go through the product."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tenancy import context
from tenancy.models import Organization
from tests.fixtures import servers


@pytest.fixture(scope="session")
def database(django_db_setup: None) -> str:
    """The database's name, with which the names of its roles begin."""
    return servers.database_name()


@pytest.fixture(scope="session")
def superuser(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to which privileges do not apply, for asking the catalogue."""
    address = os.environ["DATABASE_SUPERUSER_URL"]
    with psycopg.connect(address, dbname=database, autocommit=True) as server:
        yield server


@pytest.fixture
def bare_login(database: str) -> Iterator[psycopg.Connection[Any]]:
    """The application's login as it is before anybody says for whom it works."""
    with psycopg.connect(servers.database_url(database, "app"), autocommit=True) as server:
        yield server


@pytest.fixture
def outside(in_elm: Organization, oak: Organization) -> Iterator[list[Organization]]:
    """Elm and Oak, in a transaction that is rolled back, while nobody is active in the test."""
    with context.override(None):
        yield [in_elm, oak]
