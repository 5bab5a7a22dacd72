"""
Pitfalls 34 to 36: what a pooler, a function and a foreign key look up under somebody's path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from psycopg import sql

from apps.accounts.models import User
from tenancy import context
from tenancy.models import Organization
from tenancy.testing.leaks.catalogue import HIJACKABLE_FUNCTIONS, Server
from tests.fixtures import pgbouncer as fixture
from tests.fixtures.pgbouncer import PgBouncer

ROOT = Path(__file__).parents[3]


class Test34AuthQuery:
    """CVE-2025-12819: until PgBouncer 1.25.1 it ran under a path that anybody could send."""

    def test_is_asked_by_no_pooler_of_ours(self):
        manifests = [path.read_text() for path in (ROOT / "k8s").rglob("*") if path.is_file()]

        configurations = [*manifests, fixture.CONFIGURATION]

        assert len(configurations) > 1
        for setting in ("auth_query", "auth_user"):
            given = re.compile(rf"^\s*{setting}\s*=", re.MULTILINE)
            assert [each for each in configurations if given.search(each)] == []

    @pytest.mark.parametrize("parameter", ["search_path", "role"])
    def test_would_find_no_path_that_a_client_sent(
        self, parameter: str, pgbouncer: PgBouncer, oak: Organization
    ):
        options = f"-c {parameter}={oak.schema_name}"

        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(pgbouncer.url("app"), options=options)


class Test35SecurityDefiner:
    def test_is_no_function_that_uses_its_callers_path(
        self, elm: Organization, oak: Organization, superuser: Server
    ):
        assert superuser.execute(HIJACKABLE_FUNCTIONS).fetchall() == []

    def test_would_be_found(self, elm: Organization, superuser: Server):
        function = sql.SQL(
            "CREATE FUNCTION {}.planted() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
        )
        with superuser.transaction(force_rollback=True):
            superuser.execute(function.format(sql.Identifier(elm.schema_name)))

            found = superuser.execute(HIJACKABLE_FUNCTIONS).fetchall()

        assert found == [(f"{elm.schema_name}.planted()",)]


class Test36ForeignKey:
    def test_finds_no_row_of_the_other_clinic(
        self, address: str, elm: Organization, oak: Organization
    ):
        """
        Its trigger names the table in full, whatever path is in force when it fires.
        """
        with pytest.raises(IntegrityError, match="user_id"), transaction.atomic():
            with context.override(oak.as_active()):
                oaks = User.objects.create(username="oaks", pk=900_000_000)
            with context.override(elm.as_active(), in_transaction=True):
                group = Group.objects.first()
                User.groups.through.objects.create(user_id=oaks.pk, group_id=group.pk)

        with context.override(elm.as_active()):
            assert not User.groups.through.objects.filter(user_id=oaks.pk).exists()


class Test36Trigger:
    @pytest.fixture
    def watched(self, elm: Organization, oak: Organization, committed: None) -> Iterator[None]:
        """Elm's and Oak's sessions have a trigger that empties `django_session`, unqualified."""
        make = """
            CREATE FUNCTION {schema}.empty() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN DELETE FROM django_session WHERE session_key <> NEW.session_key;
                 RETURN NULL; END';
            CREATE TRIGGER empty AFTER INSERT ON {schema}.django_session
                FOR EACH ROW EXECUTE FUNCTION {schema}.empty();
        """
        for clinic in (elm, oak):
            self._at_the_owner(clinic, make)
        yield
        for clinic in (elm, oak):
            self._at_the_owner(clinic, "DROP FUNCTION {schema}.empty() CASCADE")

    def _at_the_owner(self, clinic: Organization, statement: str) -> None:
        with context.override(clinic.as_active()), connections["ddl"].cursor() as cursor:
            cursor.execute(statement.format(schema=clinic.schema_name))

    def test_with_a_plain_name_works_for_its_own_clinic(
        self, marks: None, watched: None, address: str, elm: Organization, oak: Organization
    ):
        """
        The path is the clinic's schema and then public, so the clinic's own table is meant.
        """
        with context.override(context.PLATFORM):
            Session.objects.create(session_key="public", expire_date=timezone.now())
        with context.override(elm.as_active()):
            Session.objects.create(session_key="elm2", expire_date=timezone.now())

        left = {}
        for target in (elm.as_active(), oak.as_active(), context.PLATFORM):
            with context.override(target):
                left[str(target)] = list(Session.objects.values_list("session_key", flat=True))
        with context.override(context.PLATFORM):
            Session.objects.all().delete()

        assert left == {"elm": ["elm2"], "oak": ["oak"], "the platform": ["public"]}
