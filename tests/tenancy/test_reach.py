"""Every way to reach the database works for whoever is active, directly and through a pooler."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import (
    DatabaseError,
    NotSupportedError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from django.test import TestCase, TransactionTestCase

from apps.patients.models import Patient
from tenancy import context
from tenancy.context import ActiveTenant
from tenancy.errors import TenantChangedInTransaction
from tenancy.models import Organization
from tenancy.rollout import executor
from tenancy.testing import ForTenant
from tests.fixtures.pgbouncer import PgBouncer
from tests.tenancy.reach import LATER, NEW, READS, TABLE, WRITES, list_keys

ROOT = Path(__file__).parents[2]

MIGRATIONS = {
    "__init__": "",
    "0001_initial": """
from importlib import import_module
Migration = import_module("django.contrib.sessions.migrations.0001_initial").Migration
""",
    "0002_reach": """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("sessions", "0001_initial")]
    operations = [
        AddIndexConcurrently("session", models.Index("session_data", name="reach")),
    ]
""",
}


@pytest.fixture
def clinics(address: str, elm: Organization, oak: Organization) -> Iterator[list[Organization]]:
    """Elm and Oak, with one committed session each, whose key is the clinic's name."""
    clinics = [elm, oak]
    for clinic in clinics:
        with context.override(clinic.as_active()):
            Session.objects.create(pk=clinic.slug, expire_date=LATER)
    yield clinics
    for clinic in clinics:
        with context.override(clinic.as_active()):
            Session.objects.all().delete()


@pytest.fixture
def at_elm(address: str, elm: Organization) -> Iterator[Organization]:
    """Elm is active with real commits."""
    with context.override(elm.as_active()):
        yield elm


class TestReading:
    @pytest.mark.parametrize("way", READS)
    def test_sees_the_rows_of_whoever_is_active(self, way: str, clinics: list[Organization]):
        for clinic in clinics * 2:
            with context.override(clinic.as_active()):
                assert READS[way]() == [clinic.slug]


class TestWriting:
    @pytest.mark.parametrize("way", WRITES)
    def test_changes_the_rows_of_whoever_is_active(self, way: str, clinics: list[Organization]):
        elm, oak = clinics
        with context.override(elm.as_active()):
            WRITES[way]()

        with context.override(elm.as_active()):
            assert set(list_keys()) == {elm.slug, NEW}
        with context.override(oak.as_active()):
            assert list_keys() == [oak.slug]


@pytest.mark.direct
class TestOutsideTransaction:
    """VACUUM and its kin bind the session, which is nobody else's at the owner's address alone."""

    STATEMENTS = (
        f"VACUUM {TABLE}",
        f"CREATE INDEX CONCURRENTLY reach ON {TABLE} (session_data)",
        f"REINDEX TABLE CONCURRENTLY {TABLE}",
        "DROP INDEX CONCURRENTLY reach",
    )
    SESSION = "SELECT current_user::text, current_setting('search_path')"

    @pytest.fixture
    def at_elm(self, elm: Organization, committed: None) -> Iterator[Organization]:
        with context.override(elm.as_active()):
            yield elm

    def _execute(self, statement: str) -> object:
        with connections["ddl"].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None

    def _describe_session(self) -> tuple[str, ...]:
        driver = connections["ddl"].connection
        driver.binder = None
        try:
            return tuple(driver.execute(self.SESSION).fetchone())
        finally:
            driver.binder = connections["ddl"].binding_for

    def _is_unbound(self) -> bool:
        login = connections["ddl"].settings_dict["USER"]
        return self._describe_session() == (login, '"$user", public')

    def test_runs_what_no_transaction_takes(self, at_elm: Organization):
        with connections["ddl"].outside_transaction():
            for statement in self.STATEMENTS:
                self._execute(statement)

        assert self._is_unbound()

    def test_is_needed_for_it(self, at_elm: Organization):
        with pytest.raises(DatabaseError, match="cannot run inside a transaction block"):
            self._execute(self.STATEMENTS[0])

    def test_works_for_whoever_is_active(self, at_elm: Organization):
        with connections["ddl"].outside_transaction():
            found = self._execute(self.SESSION)
            with transaction.atomic(using="ddl"):
                in_transaction = self._execute(self.SESSION)

        owner = f"{connections['ddl'].settings_dict['NAME']}_ddl"
        assert found == in_transaction == (owner, at_elm.schema_name)

    def test_refuses_another_within(self, at_elm: Organization, oak: Organization):
        with (
            pytest.raises(TenantChangedInTransaction),
            connections["ddl"].outside_transaction(),
            context.override(oak.as_active()),
        ):
            self._execute("SELECT 1")

        assert self._is_unbound()

    def test_ends_with_the_session_unbound_after_an_error(self, at_elm: Organization):
        with pytest.raises(DatabaseError), connections["ddl"].outside_transaction():
            self._execute("SELECT 1 / 0")

        assert self._is_unbound()

    def test_is_refused_at_the_applications_address(self, at_elm: Organization):
        with pytest.raises(NotSupportedError, match="pooler"), connection.outside_transaction():
            pass

    def test_is_refused_in_a_transaction(self, at_elm: Organization):
        with (
            transaction.atomic(using="ddl"),
            pytest.raises(TransactionManagementError),
            connections["ddl"].outside_transaction(),
        ):
            pass

    @pytest.fixture
    def _not_atomic(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        """Sessions have a second migration, which PostgreSQL takes in no transaction."""
        package = tmp_path / "reach_migrations"
        package.mkdir()
        for name, source in MIGRATIONS.items():
            (package / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        settings.MIGRATION_MODULES = {"sessions": package.name}

    @pytest.mark.usefixtures("_not_atomic")
    def test_is_what_a_migration_that_is_not_atomic_runs_in(
        self, at_elm: Organization, oak: Organization
    ):
        executor.migrate(at_elm.as_active(), "sessions")
        try:
            found = self._list_schemas_with_the_index()
        finally:
            executor.migrate(at_elm.as_active(), "sessions", "0001")

        assert found == [at_elm.schema_name]
        assert self._list_schemas_with_the_index() == []
        assert self._is_unbound()

    def _list_schemas_with_the_index(self) -> list[str]:
        question = "SELECT schemaname::text FROM pg_catalog.pg_indexes WHERE indexname = 'reach'"
        with connections["ddl"].cursor() as cursor:
            cursor.execute(question)
            return [schema for (schema,) in cursor.fetchall()]


class TestIntrospection:
    def test_finds_the_clinics_tables(self, at_elm: Organization):
        tables = connection.introspection.table_names()

        assert {Patient._meta.db_table, TABLE} <= set(tables)
        assert len(tables) == len(set(tables))

    def test_describes_a_table(self, at_elm: Organization):
        with connection.cursor() as cursor:
            description = connection.introspection.get_table_description(
                cursor, Patient._meta.db_table
            )
            constraints = connection.introspection.get_constraints(cursor, Patient._meta.db_table)

        assert [column.name for column in description] == [
            field.column for field in Patient._meta.concrete_fields
        ]
        assert any(each["primary_key"] for each in constraints.values())

    def test_shows_no_clinics_table_to_the_platform(self, address: str, elm: Organization):
        with context.override(context.PLATFORM), connection.cursor() as cursor:
            with pytest.raises(ProgrammingError, match="does not exist"):
                connection.introspection.get_table_description(cursor, Patient._meta.db_table)
            assert "tenancy_organization" in connection.introspection.table_names()

    def test_is_what_inspectdb_writes_models_from(self, at_elm: Organization):
        out = io.StringIO()

        call_command("inspectdb", Patient._meta.db_table, stdout=out)

        assert "class PatientsPatient(models.Model)" in out.getvalue()
        assert "Unable to inspect" not in out.getvalue()


class TestShell:
    QUESTION = "print('keys', *Session.objects.values_list('pk', flat=True))"
    OVERRIDE = (
        "from tenancy import context, provisioning\n"
        "with context.override(provisioning.get_by_slug('oak').as_active()):\n    "
    )

    def _run(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", code],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "clinicx.settings.test", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_works_for_the_clinic_that_is_overridden(
        self, clinics: list[Organization], address: str, pgbouncer: PgBouncer
    ):
        environment = {"DATABASE_URL": pgbouncer.url("app")} if address == "pooled" else {}

        told = self._run(self.OVERRIDE + self.QUESTION, **environment)

        assert told.stdout.split()[-2:] == ["keys", "oak"], told.stderr

    @pytest.mark.parametrize("address", ["direct"], indirect=True)
    def test_is_told_how_to_say_for_whom(self, clinics: list[Organization], address: str):
        told = self._run(self.QUESTION)

        assert told.returncode == 1
        assert told.stderr.startswith("Nobody is active")
        assert "manage.py shell --tenant SLUG" in told.stderr
        assert "keys" not in told.stdout


class TestDjangosTestCases:
    """Of a project's own."""

    def _run(self, case: type[unittest.TestCase]) -> unittest.TestResult:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
        return unittest.TextTestRunner(stream=io.StringIO()).run(suite)

    def test_a_test_case_rolls_back(self, clinics: list[Organization], elm: Organization):
        class Case(ForTenant, TestCase):
            @classmethod
            def get_target(cls) -> ActiveTenant:
                return elm.as_active()

            def test_writes(self) -> None:
                Session.objects.create(pk=NEW, expire_date=LATER)
                assert set(list_keys()) == {"elm", NEW}

            def test_does_not_find_what_the_other_wrote(self) -> None:
                self.test_writes()

        result = self._run(Case)

        assert (result.testsRun, result.errors, result.failures) == (2, [], [])
        assert context.get_current() is None
        with context.override(elm.as_active()):
            assert list_keys() == ["elm"]

    def test_a_transaction_test_case_commits_and_empties(
        self, scratch: Callable[..., Organization], elm: Organization, clinics: list[Organization]
    ):
        """
        The tables of its own tenant, and nobody else's.
        """
        ash = scratch("ash")

        class Case(ForTenant, TransactionTestCase):
            @classmethod
            def get_target(cls) -> ActiveTenant:
                return ash.as_active()

            def test_writes(self) -> None:
                done = []
                with transaction.atomic():
                    Session.objects.create(pk=NEW, expire_date=LATER)
                    transaction.on_commit(lambda: done.extend(list_keys()))
                assert done == [NEW]

            def test_does_not_find_what_the_other_wrote(self) -> None:
                self.test_writes()

        result = self._run(Case)

        assert (result.testsRun, result.errors, result.failures) == (2, [], [])
        with context.override(ash.as_active()):
            assert list_keys() == []
        with context.override(elm.as_active()):
            assert list_keys() == ["elm"]

    def test_one_that_names_no_tenant_says_so(self):
        class Case(ForTenant, TestCase):
            def test_nothing(self) -> None:
                pass

        ((_, error),) = self._run(Case).errors

        assert "get_target() does not say for whom" in error
