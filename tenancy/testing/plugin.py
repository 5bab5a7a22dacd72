"""
Fixtures for the tests of a project on tenancy: two tenants, Elm and Oak, in a real database.

    # conftest.py
    pytest_plugins = ["tenancy.testing.plugin"]

With `-n`, each process has a database, roles and Redis databases of its own. Each fixture
can be overridden; docs/reference/testing.md names them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.core.cache import cache, caches
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Q
from django.test.utils import override_settings
from django_tenants.utils import get_tenant_model

from tenancy import context, lifecycle, provisioning, roles, tenants
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.models import Organization
from tenancy.rollout import executor
from tenancy.testing import databases
from tenancy.testing.cases import TenantClient, working_for

REDIS_SCHEMES = ("redis", "rediss")
REDIS_DATABASES = 16
# All processes of one run of pytest-xdist have this in common.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


# The database, to be overridden as a project likes


@pytest.fixture(scope="session")
def tenancy_superuser_url() -> str:
    """The address of a superuser, who makes the databases of the tests and their roles."""
    try:
        return os.environ["DATABASE_SUPERUSER_URL"]
    except KeyError:
        pytest.exit(
            "Tests make databases and roles of their own. Set DATABASE_SUPERUSER_URL to the "
            "address of a superuser, for example postgres://postgres:secret@localhost/postgres, "
            "or override the fixture tenancy_superuser_url.",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


@pytest.fixture(scope="session")
def tenancy_reference() -> str:
    """The name of the database that is migrated, once in a run, and copied by each process."""
    return f"reference_{_name_of_tests()}"


@pytest.fixture(scope="session")
def tenancy_database() -> str:
    """The name of this process' database; no other's name and `_` may begin it."""
    return f"{WORKER}_{_name_of_tests()}".lstrip("_")


@pytest.fixture(scope="session")
def tenancy_tenants() -> Mapping[str, str]:
    """The tenants that are there in every test, slug by name."""
    return {"elm": "Elm", "oak": "Oak"}


@pytest.fixture(scope="session")
def tenancy_caches() -> None:
    """Give each process of pytest-xdist Redis databases of its own."""
    number = int(WORKER.removeprefix("gw") or 0)
    for alias, entry in caches.settings.items():
        entry["LOCATION"] = _shift(entry.get("LOCATION", ""), number)
        if hasattr(caches._connections, alias):  # type: ignore[attr-defined]  # no other way
            del caches[alias]


@pytest.fixture(scope="session")
def django_db_setup(
    tenancy_superuser_url: str,
    tenancy_reference: str,
    tenancy_database: str,
    tenancy_tenants: Mapping[str, str],
    tenancy_caches: None,
    django_db_keepdb: bool,
    django_db_blocker: Any,
) -> Iterator[None]:
    """
    Lead both addresses to this process' database, made anew from a reference that is migrated.

    It takes the place of pytest-django's own, whose login would have to be a superuser's.
    With --reuse-db the reference of the last run will do.
    """
    passwords = {
        "app_password": connections.settings[DEFAULT_DB_ALIAS]["PASSWORD"],
        "ddl_password": connections.settings[settings.DDL_DATABASE]["PASSWORD"],
        "superuser_url": tenancy_superuser_url,
    }
    with override_settings(TENANCY_ROLE_PREFIX=None), django_db_blocker.unblock():
        with databases.building(
            superuser_url=tenancy_superuser_url,
            reference=tenancy_reference,
            run=RUN,
            keep=django_db_keepdb,
        ) as is_missing:
            if is_missing:
                databases.make_database(database=tenancy_reference, **passwords)
                _lead_to(tenancy_reference)
                _migrate(tenancy_tenants)
                connections.close_all()
            databases.clone_database(
                reference=tenancy_reference, database=tenancy_database, **passwords
            )
        _lead_to(tenancy_database)
    with override_settings(TENANCY_ROLE_PREFIX=None):
        yield


def _name_of_tests() -> str:
    database = connections.settings[DEFAULT_DB_ALIAS]
    return str(database["TEST"].get("NAME") or f"test_{database['NAME']}")


def _migrate(tenants: Mapping[str, str]) -> None:
    executor.migrate(context.PLATFORM)
    for slug, name in tenants.items():
        provisioning.provision(slug=slug, name=name)


def _lead_to(database: str) -> None:
    """Lead the application's address and the owner's to `database`, in this and new threads."""
    logins = {DEFAULT_DB_ALIAS: "app", settings.DDL_DATABASE: "ddl_login"}
    for alias, login in logins.items():
        connections[alias].close()
        close_pool: Callable[[], None] = getattr(connections[alias], "close_pool", lambda: None)
        close_pool()
        connections.settings[alias] |= {"NAME": database, "USER": roles.name(database, login)}
        # The wrapper remembers the names of the roles.
        del connections[alias]


def _shift(location: Any, number: int) -> Any:
    """Return the address of the Redis database that many numbers on."""
    if isinstance(location, list | tuple):
        return [_shift(each, number) for each in location]
    parts = urlsplit(str(location))
    if parts.scheme not in REDIS_SCHEMES:
        return location
    database = (int(parts.path.strip("/") or 0) + number) % REDIS_DATABASES
    return urlunsplit(parts._replace(path=f"/{database}"))


# Working for somebody


@pytest.fixture(scope="session")
def elm(django_db_setup: None, django_db_blocker: Any) -> Organization:
    """Elm, a tenant."""
    with django_db_blocker.unblock():
        return provisioning.get_by_slug("elm")


@pytest.fixture(scope="session")
def oak(django_db_setup: None, django_db_blocker: Any) -> Organization:
    """Oak, another tenant, which must see nothing of Elm's."""
    with django_db_blocker.unblock():
        return provisioning.get_by_slug("oak")


def _rolled_back(target: Target, django_db_blocker: Any) -> Iterator[None]:
    """Work for `target` in a transaction that ends with the test; other tenants may join in."""
    with django_db_blocker.unblock(), working_for(target), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def in_elm(elm: Organization, django_db_blocker: Any) -> Iterator[Organization]:
    """Elm is active, in a transaction that is rolled back. Do not mark the test with django_db."""
    for _ in _rolled_back(tenants.as_active(elm), django_db_blocker):
        yield elm


@pytest.fixture
def in_oak(oak: Organization, django_db_blocker: Any) -> Iterator[Organization]:
    """Oak is active, in a transaction that is rolled back."""
    for _ in _rolled_back(tenants.as_active(oak), django_db_blocker):
        yield oak


@pytest.fixture
def on_platform(elm: Organization, oak: Organization, django_db_blocker: Any) -> Iterator[None]:
    """The platform is active, in a transaction that is rolled back."""
    yield from _rolled_back(context.PLATFORM, django_db_blocker)


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """
    Allow the database with real commits, on both addresses.

    For what cannot be tried inside one transaction: threads, provisioning, poolers. The
    test puts back what it changed.
    """
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def scratch(committed: None) -> Iterator[Any]:
    """A function that makes a tenant with real commits; the test leaves nothing of it."""
    slugs: set[str] = set()
    made: set[Any] = set()

    def provision(slug: str, **options: Any) -> Organization:
        slugs.add(slug)
        organization = provisioning.provision(slug=slug, **{"name": slug.title(), **options})
        made.add(organization.pk)
        return organization

    provision.slugs = slugs  # type: ignore[attr-defined]  # of tenants that come otherwise
    yield provision
    with context.override(context.PLATFORM):
        rows = get_tenant_model()._default_manager
        left = list(rows.filter(Q(slug__in=slugs) | Q(pk__in=made)))
    for organization in left:
        _remove(organization)


def _remove(organization: Organization) -> None:
    lifecycle.release(organization)
    lifecycle.delete(organization)
    lifecycle.purge(organization)


@pytest.fixture
def elm_client(elm: Organization) -> TenantClient:
    """A browser at Elm's host."""
    return TenantClient(elm)


@pytest.fixture
def oak_client(oak: Organization) -> TenantClient:
    """A browser at Oak's host."""
    return TenantClient(oak)


@pytest.fixture
def platform_client() -> TenantClient:
    """A browser at the base domain."""
    return TenantClient(host=settings.BASE_DOMAIN)


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test finds what another one cached."""
    yield
    if "django_db_setup" in request.fixturenames:
        tenants.forget_all()
        with context.override(context.PLATFORM):
            # Another backend than ours empties everybody's by `clear()`.
            getattr(cache, "clear_all", cache.clear)()
