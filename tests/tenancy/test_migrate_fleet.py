"""Three hundred tenants are migrated as five are: with as many questions, and as little said."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenancy import context, provisioning, schemas
from tenancy.context import PLATFORM
from tenancy.ledger import EntryState, MigrationRun, MigrationRunEntry, RunState
from tenancy.models import Organization
from tenancy.rollout import plan
from tests.fixtures.migrations import Add

pytestmark = pytest.mark.slow

DDL = connections["ddl"]
SLUGS = [f"clinic-{number:03}" for number in range(298)]
SCHEMAS = [f"tenant_clinic_{number:03}" for number in range(298)]
UNLUCKY = SCHEMAS[123]
TABLE = """
operations = [migrations.RunSQL("CREATE TABLE added (id int)", "DROP TABLE added")]
"""


def typed(command: str, *arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def behind() -> list[str]:
    with context.override(PLATFORM):
        return list(plan.list_missing(DDL, SCHEMAS))


@pytest.fixture(scope="module")
def fleet(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """298 tenants besides Elm and Oak, as provisioning makes them."""

    def make(slugs: list[str]) -> None:
        for slug in slugs:
            provisioning.provision(slug=slug, name=slug)
        connections.close_all()

    with django_db_blocker.unblock(), ThreadPoolExecutor(2) as pool:
        list(pool.map(make, [SLUGS[::2], SLUGS[1::2]]))
        yield
        with context.override(PLATFORM):
            for schema in SCHEMAS:
                schemas.drop(DDL, schema)
            Organization.objects.using("ddl").filter(slug__in=SLUGS).delete()


@pytest.fixture
def added(fleet: None, committed: None, add_migration: Add) -> Iterator[Callable[..., None]]:
    """Scheduling has one migration more, which all of them lack."""
    yield lambda: add_migration("scheduling", TABLE)
    with context.override(PLATFORM), DDL.cursor() as cursor:
        for schema in ["public", "tenant_elm", "tenant_oak", *SCHEMAS]:
            cursor.execute(
                f"DELETE FROM {schema}.django_migrations WHERE name LIKE '%_added';"
                f"DROP TABLE IF EXISTS {schema}.added"
            )
        MigrationRun.objects.using("ddl").all().delete()


def test_nothing_to_do_takes_as_many_queries_as_for_five(fleet: None, committed: None) -> None:
    with CaptureQueriesContext(DDL) as captured:
        said = typed("migrate_schemas")

    assert "Nothing to do: none of 301 schemas lacks anything." in said
    assert len(captured) <= 12


def test_one_that_fails_stops_nobody_else(added: Callable[[], None]) -> None:
    added()
    with context.override(context.for_schema(UNLUCKY)), DDL.cursor() as cursor:
        cursor.execute("CREATE TABLE added (id int)")

    planned = typed("migrate_schemas", "--plan")
    with pytest.raises(CommandError, match=UNLUCKY):
        typed("migrate_schemas", verbosity=0)

    assert behind() == [UNLUCKY]
    with context.override(PLATFORM):
        entry = MigrationRunEntry.objects.get(state=EntryState.FAILED)
        assert MigrationRunEntry.objects.filter(state=EntryState.DONE).count() == 300
    assert (entry.schema_name, entry.error) == (
        UNLUCKY,
        'relation "added" already exists (42P07)',
    )
    for said in (planned, typed("show_migration_run")):
        assert len(said.splitlines()) < 30
        assert max(map(len, said.splitlines())) <= 80

    with context.override(context.for_schema(UNLUCKY)), DDL.cursor() as cursor:
        cursor.execute("DROP TABLE added")
    typed("migrate_schemas", "--resume", verbosity=0)

    assert behind() == []
    with context.override(PLATFORM):
        assert MigrationRun.objects.get().state == RunState.DONE
