"""Out of service for good: all of it goes, whenever it is killed, and never under a hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connections, transaction
from django_redis import get_redis_connection

from apps.accounts.models import User
from tenancy import context, lifecycle, schemas, steps, tenants
from tenancy.context import PLATFORM
from tenancy.errors import InvalidTransition, TenantGone, UnableToProvision
from tenancy.lifecycle import deletion
from tenancy.models import Domain, Organization, RetiredSlug, State
from tests.fixtures import kills

DDL = connections["ddl"]
CANARY = "canary-7c1f"


def ask(question: str, *parameters: object) -> list[tuple[Any, ...]]:
    with context.override(PLATFORM), DDL.cursor() as cursor:
        cursor.execute(question, parameters or None)
        return list(cursor.fetchall())


def run(statement: str) -> None:
    with context.override(PLATFORM), DDL.cursor() as cursor:
        cursor.execute(statement)


def remains_of(organization: Organization) -> tuple[bool, bool, bool]:
    """Tell whether there are a schema, a role and a domain."""
    with context.override(PLATFORM):
        return (
            schemas.exists(DDL, organization.schema_name),
            schemas.role_exists(DDL, organization.schema_name),
            Domain.objects.filter(tenant_id=organization.pk).exists(),
        )


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Any) -> Any:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def birch(scratch: Any) -> Organization:
    """A clinic with a canary in each place where something of it is kept."""
    organization: Organization = scratch("birch", domain="birch.example")
    with context.override(organization.as_active()):
        User.objects.create(username=CANARY)
        cache.set("note", CANARY)
        storages["default"].save("letters/note.txt", ContentFile(CANARY.encode()))
    return organization


class TestDelete:
    def test_leaves_its_name_alone(self, birch: Organization) -> None:
        lifecycle.delete(birch)

        assert remains_of(birch) == (False, False, False)
        with context.override(PLATFORM):
            row = Organization.objects.get(pk=birch.pk)
        assert (row.state, row.slug, row.schema_name, row.name) == (
            State.DELETED,
            "birch",
            "tenant_birch",
            "birch",
        )

    def test_leaves_no_canary(self, birch: Organization, files: Any, elm: Organization) -> None:
        assert _find_canary(files) == {"database", "files", "cache"}

        lifecycle.delete(birch)

        assert _find_canary(files) == set()

    def test_may_be_asked_for_again(self, birch: Organization) -> None:
        lifecycle.delete(birch)
        lifecycle.delete(birch)

        assert remains_of(birch) == (False, False, False)

    def test_is_no_error_when_nothing_is_left(self, birch: Organization) -> None:
        lifecycle.delete(birch)
        lifecycle.purge(birch)

        lifecycle.delete(birch)

    def test_leaves_others_alone(self, birch: Organization, elm: Organization, files: Any) -> None:
        with context.override(elm.as_active()):
            cache.set("note", "Elm's")
            storages["default"].save("letters/note.txt", ContentFile(b"Elm's"))

        lifecycle.delete(birch)

        with context.override(elm.as_active()):
            assert cache.get("note") == "Elm's"
            assert storages["default"].exists("letters/note.txt")

    def test_shuts_out_who_remembers_it(self, birch: Organization) -> None:
        """A process that found it a moment ago gets nothing half-deleted."""
        seen: list[str] = []

        def look(step: str) -> None:
            if step == "delete: closed":
                with (
                    context.override(birch.as_active()),
                    pytest.raises(Exception, match="permission denied to set role"),
                ):
                    User.objects.count()
                seen.append(step)

        with steps.observed_by(look):
            lifecycle.delete(birch)

        assert seen

    def test_says_that_it_is_gone(self, birch: Organization) -> None:
        tenants.find(birch.pk)

        lifecycle.delete(birch)

        with pytest.raises(TenantGone):
            tenants.find(birch.pk)

    def test_takes_what_else_is_in_its_schema(self, birch: Organization) -> None:
        for statement in (
            "CREATE TYPE tenant_birch.mood AS ENUM ('calm', 'cross')",
            "CREATE DOMAIN tenant_birch.short AS text CHECK (length(value) < 9)",
            "CREATE TABLE tenant_birch.a (id int PRIMARY KEY, mood tenant_birch.mood)",
            "CREATE TABLE tenant_birch.b (id int PRIMARY KEY, a int REFERENCES tenant_birch.a)",
            "ALTER TABLE tenant_birch.a ADD b int REFERENCES tenant_birch.b",
            "CREATE VIEW tenant_birch.v AS SELECT * FROM tenant_birch.a",
            "CREATE VIEW tenant_birch.a_view_of_v AS SELECT * FROM tenant_birch.v",
            "CREATE MATERIALIZED VIEW tenant_birch.m AS SELECT * FROM tenant_birch.v",
            "CREATE SEQUENCE tenant_birch.number",
            'CREATE TABLE tenant_birch."Odd ""name" (n int PARTITION BY) '.replace(
                "(n int PARTITION BY)", "(n int) PARTITION BY RANGE (n)"
            ),
            'CREATE TABLE tenant_birch.part PARTITION OF tenant_birch."Odd ""name" DEFAULT',
            "CREATE FUNCTION tenant_birch.f(tenant_birch.a) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION tenant_birch.t() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER t BEFORE INSERT ON tenant_birch.a EXECUTE FUNCTION tenant_birch.t()",
            "CREATE AGGREGATE tenant_birch.total(int) (SFUNC = int4pl, STYPE = int)",
            "CREATE STATISTICS tenant_birch.s ON id, b FROM tenant_birch.a",
            "CREATE TEXT SEARCH CONFIGURATION tenant_birch.words (COPY = simple)",
        ):
            run(statement)

        lifecycle.delete(birch)

        assert remains_of(birch) == (False, False, False)

    def test_takes_what_its_role_may_do_elsewhere(self, birch: Organization) -> None:
        role = schemas.role_for(DDL, birch.schema_name)
        run("CREATE SCHEMA shared")
        run("CREATE FUNCTION shared.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        for privilege in (
            "SELECT (name) ON public.django_migrations",
            "USAGE ON SEQUENCE public.django_migrations_id_seq",
            "USAGE ON SCHEMA shared",
            "EXECUTE ON FUNCTION shared.f",
        ):
            run(f'GRANT {privilege} TO "{role}"')

        lifecycle.delete(birch)
        run("DROP SCHEMA shared CASCADE")

        assert remains_of(birch) == (False, False, False)

    def test_begins_only_where_there_is_a_way(self, birch: Organization) -> None:
        lifecycle.hold(birch, reason="A lawsuit.")

        with pytest.raises(InvalidTransition, match="release_tenant birch"):
            lifecycle.delete(birch)

        assert remains_of(birch) == (True, True, True)
        assert _find_canary(None) == {"database", "cache"}
        lifecycle.release(birch)

    def test_says_what_to_type_when_postgresql_refuses(self, birch: Organization) -> None:
        run("CREATE TABLE tenant_birch.held (n int)")
        with (
            _locked("tenant_birch.held"),
            pytest.raises(
                UnableToProvision, match=r"not deleted in full: .*lock.*reconcile_tenants birch"
            ),
        ):
            _delete_impatiently(birch)

        lifecycle.delete(birch)
        assert remains_of(birch) == (False, False, False)


class TestLocks:
    @pytest.mark.parametrize("tables", [3, 60])
    def test_are_few_however_many_tables_there_are(self, birch: Organization, tables: int) -> None:
        """All at once, DROP SCHEMA CASCADE takes some twenty for each table."""
        for number in range(tables):
            run(
                f"CREATE TABLE tenant_birch.t{number} (id bigserial PRIMARY KEY, name text UNIQUE,"
                f" other bigint REFERENCES tenant_birch.t{max(0, number - 1)})"
            )
        most = 0

        def count(execute: Any, *arguments: Any) -> Any:
            nonlocal most
            result = execute(*arguments)
            with connections["ddl"].cursor() as cursor:
                cursor.cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")
                most = max(most, cursor.cursor.fetchone()[0])
            return result

        with context.override(PLATFORM), connections["ddl"].execute_wrapper(count):
            lifecycle.delete(birch)

        assert remains_of(birch) == (False, False, False)
        assert 0 < most < 400


class TestHold:
    @pytest.mark.parametrize("step", ["delete: state changed", "delete: batch dropped"])
    def test_stops_what_has_begun(self, birch: Organization, step: str) -> None:
        def hold(reached: str) -> None:
            if reached == step and not birch.is_on_hold:
                lifecycle.hold(birch, reason="A lawsuit.")

        with steps.observed_by(hold), pytest.raises(InvalidTransition, match="on hold"):
            lifecycle.delete(birch)
        assert remains_of(birch)[:2] == (True, True)

        with pytest.raises(InvalidTransition, match="on hold"):
            lifecycle.delete(birch)

        lifecycle.release(birch)
        lifecycle.delete(birch)
        assert remains_of(birch) == (False, False, False)


class TestKilled:
    @pytest.mark.parametrize("step", deletion.STEPS)
    def test_goes_on_where_it_was(self, birch: Organization, files: Any, step: str) -> None:
        kills.killed_at(step, lambda: lifecycle.delete(birch))

        lifecycle.delete(birch)

        assert remains_of(birch) == (False, False, False)
        assert _find_canary(files) == set()
        with context.override(PLATFORM):
            assert Organization.objects.get(pk=birch.pk).state == State.DELETED


class TestAtOnce:
    def test_two_come_to_the_same_end(self, birch: Organization) -> None:
        errors: list[Exception] = []

        def delete() -> None:
            try:
                lifecycle.delete(birch)
            except Exception as error:  # noqa: BLE001  # told below
                errors.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=delete) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert errors == []
        assert remains_of(birch) == (False, False, False)


class TestPurge:
    def test_frees_the_name(self, birch: Organization, scratch: Any) -> None:
        with context.override(PLATFORM):
            RetiredSlug.objects.create(slug="old-birch", organization=str(birch.pk))
        lifecycle.delete(birch)

        lifecycle.purge(birch)

        with context.override(PLATFORM):
            assert not Organization.objects.filter(pk=birch.pk).exists()
            assert not RetiredSlug.objects.filter(slug="old-birch").exists()

    def test_takes_none_that_is_not_deleted(self, birch: Organization) -> None:
        with pytest.raises(InvalidTransition, match="not deleted"):
            lifecycle.purge(birch)

        assert remains_of(birch) == (True, True, True)


def _find_canary(files: Any) -> set[str]:
    """Return where it still is: in any table, any file, any key."""
    found = set()
    for schema, table in ask(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'audit')"
    ):
        if ask(f'SELECT 1 FROM "{schema}"."{table}" AS row WHERE row::text LIKE %s', f"%{CANARY}%"):
            found.add("database")
    with context.override(PLATFORM), connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM audit.event WHERE event::text LIKE %s", [f"%{CANARY}%"])
        found |= {"audit log"} if cursor.fetchone() else set()
    if files is not None and any(
        CANARY in path.read_text() for path in files.rglob("*") if path.is_file()
    ):
        found.add("files")
    redis = get_redis_connection("default")
    if any(CANARY.encode() in (redis.dump(key) or b"") for key in redis.scan_iter()):
        found.add("cache")
    return found


@contextmanager
def _locked(table: str) -> Iterator[None]:
    """Somebody else reads the table, and goes on reading."""
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        with context.override(PLATFORM), _transaction() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            begun.set()
            ended.wait(30)
        connections.close_all()

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _transaction() -> Iterator[Any]:
    with transaction.atomic(using="ddl"), connections["ddl"].cursor() as cursor:
        yield cursor


def _delete_impatiently(birch: Organization) -> None:
    def impatient(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("DROP TABLE"):
            sql = f"SET LOCAL lock_timeout = '100ms'; {sql}"
        return execute(sql, *arguments)

    with connections["ddl"].execute_wrapper(impatient):
        lifecycle.delete(birch)
