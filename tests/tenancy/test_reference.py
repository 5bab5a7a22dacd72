"""What a new schema is made of is what migrating makes of it, and is captured once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models.signals import post_migrate
from django.test.utils import CaptureQueriesContext
from django_tenants.signals import schema_migrated

from tenancy import catalogue, checks, context
from tenancy.context import PLATFORM
from tenancy.references import ReferenceSchema
from tenancy.rollout import executor, reference, revision, rows, scratch

RANDOM = """
operations = [migrations.RunSQL(
    "INSERT INTO auth_group (name) VALUES (gen_random_uuid()::text)"
)]
"""
TIMES = """
operations = [
    migrations.RunSQL("CREATE TABLE times (id int PRIMARY KEY, made timestamptz, day date, "
        "local timestamp, earlier timestamptz, note text)"),
    migrations.RunSQL("INSERT INTO times VALUES (1, clock_timestamp(), current_date, "
        "localtimestamp, '2020-02-02 02:02+00', 'it''s 100% \\\\\\\\ \\"so\\"')"),
]
"""
TRIGGER = """
operations = [
    migrations.RunSQL("CREATE TABLE seen (id int GENERATED ALWAYS AS IDENTITY, note text, "
        "twice text GENERATED ALWAYS AS (note || note) STORED, "
        "since bigint DEFAULT 1 REFERENCES django_migrations DEFERRABLE INITIALLY DEFERRED)"),
    migrations.RunSQL("CREATE FUNCTION notice() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$"),
    migrations.RunSQL("CREATE TRIGGER notice BEFORE INSERT ON seen "
        "FOR EACH ROW EXECUTE FUNCTION notice()"),
    migrations.RunSQL("INSERT INTO seen (note) VALUES ('a'), ('b')"),
]
"""

ALWAYS = """
operations = [migrations.RunSQL("ALTER TABLE seen ENABLE ALWAYS TRIGGER notice")]
"""


@pytest.fixture
def capture(committed: None) -> Any:
    """A function that captures what the code makes now, under a key of the test's."""
    return lambda: reference.capture("test")


@pytest.fixture
def listen() -> Iterator[Any]:
    """A function that connects a receiver of `schema_migrated` for the test."""
    connected: list[Any] = []

    def connect(receiver: Any) -> None:
        schema_migrated.connect(receiver, weak=False)
        connected.append(receiver)

    yield connect
    for receiver in connected:
        schema_migrated.disconnect(receiver)


def run(script: str, *questions: str) -> list[Any]:
    """Run `script` in an empty schema, and return the answers there."""
    with scratch.schema(), connections["ddl"].cursor() as cursor:
        cursor.execute(script)
        answers = []
        for question in questions:
            cursor.execute(question)
            answers.append(cursor.fetchone())
    return answers


class TestCapture:
    def test_makes_what_migrating_makes(self, capture: Any) -> None:
        found = capture()

        with scratch.schema() as target:
            executor.migrate_unused(target)
            fingerprint = catalogue.fingerprints(connections["ddl"], [target.schema])
            migrated = rows.read(connections["ddl"], target.schema)
        with scratch.schema() as target:
            with connections["ddl"].cursor() as cursor:
                cursor.execute(found.script)
            made = rows.read(connections["ddl"], target.schema)
        assert found.fault == ""
        assert [found.fingerprint] == list(fingerprint.values())
        assert made == migrated
        assert {"django_migrations", "auth_permission"} <= {table.name for table in made.tables}

    def test_leaves_nothing(self, capture: Any) -> None:
        capture()

        with context.override(PLATFORM), connections["ddl"].cursor() as cursor:
            cursor.execute("SELECT FROM pg_catalog.pg_namespace WHERE nspname ~ '^scratch_'")
            assert cursor.fetchone() is None

    def test_leaves_the_next_key_free(self, capture: Any) -> None:
        (after,) = run(
            capture().script,
            "INSERT INTO auth_group (name) VALUES ('more') RETURNING id > (SELECT max(id) "
            "FROM auth_group)",
        )

        assert after == (True,)

    def test_writes_the_time_of_then_and_what_was_said(
        self, capture: Any, add_migration: Any
    ) -> None:
        add_migration("patients", TIMES)

        (found,) = run(
            capture().script,
            "SELECT made = now(), day = current_date, local = localtimestamp, "
            "earlier = '2020-02-02 02:02+00', note FROM times",
        )

        assert found == (True, True, True, True, """it's 100% \\\\ "so\"""")

    def test_takes_no_day_for_todays(self, capture: Any, add_migration: Any) -> None:
        add_migration("patients", TIMES)

        assert "'1', now(), current_date, now()" in capture().script

    def test_says_of_migrations_that_they_were_applied_then(self, capture: Any) -> None:
        (found,) = run(capture().script, "SELECT bool_and(applied = now()) FROM django_migrations")

        assert found == (True,)

    def test_fires_no_trigger_twice(self, capture: Any, add_migration: Any) -> None:
        add_migration("patients", TRIGGER)

        found = capture()
        (notes, later) = run(
            found.script,
            "SELECT array_agg(note ORDER BY note) FROM seen",
            "INSERT INTO seen (note) VALUES ('c') RETURNING id, note",
        )

        assert (found.fault, notes, later) == ("", (["a!", "b!"],), (3, "c!"))

    def test_has_no_script_that_makes_something_else(
        self, capture: Any, add_migration: Any
    ) -> None:
        """A trigger that fires always does not after its table's triggers were off and on."""
        add_migration("patients", TRIGGER)
        add_migration("patients", ALWAYS)

        found = capture()

        assert (found.script, found.fault) == (
            "",
            "The script makes another schema than migrating.",
        )

    def test_has_no_script_for_what_differs_each_time(
        self, capture: Any, add_migration: Any
    ) -> None:
        add_migration("accounts", RANDOM)

        found = capture()

        assert found.script == ""
        assert found.fault == "Column name of table auth_group has another value each time."

    def test_has_none_for_what_depends_on_the_tenants_name(self, capture: Any, listen: Any) -> None:
        def greet(sender: Any, *, schema_name: str, **kwargs: Any) -> None:
            with connections["ddl"].cursor() as cursor:
                cursor.execute("INSERT INTO auth_group (name) VALUES (%s)", [schema_name])

        listen(greet)

        assert "auth_group" in capture().fault

    def test_has_none_for_rows_that_are_not_always_there(self, capture: Any, listen: Any) -> None:
        names = iter(["first"])

        def greet(sender: Any, **kwargs: Any) -> None:
            with connections["ddl"].cursor() as cursor:
                for name in names:
                    cursor.execute("INSERT INTO auth_group (name) VALUES (%s)", [name])

        listen(greet)

        assert capture().fault == "The sequences are not always equally far."

    def test_has_none_for_what_a_script_cannot_make(self, capture: Any, add_migration: Any) -> None:
        """A function that names its schema would be Elm's function in every other schema."""
        add_migration(
            "patients",
            """
operations = [migrations.RunPython(lambda apps, editor: editor.execute(
    "CREATE VIEW whose AS SELECT '" + editor.connection.schema_name + "'::text AS name"
))]
""",
        )

        assert capture().fault


class TestCurrent:
    @pytest.fixture(autouse=True)
    def _own(self, committed: None, add_migration: Any) -> Iterator[None]:
        """What is captured here is of a release of the test's own."""
        add_migration("patients", f"operations = []  # {uuid4()}")
        yield
        with context.override(PLATFORM):
            ReferenceSchema.objects.filter(key=revision.key(connections["ddl"])).delete()

    def test_is_captured_once(self, caplog: Any) -> None:
        first = reference.current()
        reference._known.clear()  # as another process

        with CaptureQueriesContext(connections["ddl"]) as captured:
            second = reference.current()

        assert (first.key, first.script) == (second.key, second.script)
        assert len(captured) == 1

    def test_asks_nothing_when_this_process_knows(self) -> None:
        first = reference.current()

        with CaptureQueriesContext(connections["ddl"]) as captured:
            assert reference.current() is first
        assert len(captured) == 0

    def test_is_captured_by_one_of_many_at_once(self) -> None:
        captures: list[str] = []

        def on_migrate(sender: Any, **kwargs: Any) -> None:
            captures.append("accounts")

        def ask() -> None:
            try:
                reference.current()
            finally:
                connections.close_all()

        schema_migrated.connect(on_migrate, dispatch_uid="test")
        threads = [threading.Thread(target=ask) for _ in range(4)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with context.override(PLATFORM):
                ReferenceSchema.objects.filter(key=revision.key(connections["ddl"])).delete()
        finally:
            schema_migrated.disconnect(dispatch_uid="test")

        assert len(captures) == 2


class TestCheck:
    """W055 is asked at the owner's address, once somebody captured the release."""

    def ask(self) -> list[Any]:
        messages = checks.check_servers(None, databases=["ddl"])
        return [message for message in messages if message.id == "tenancy.W055"]

    def test_is_silent_where_there_is_a_script(self, committed: None) -> None:
        reference.current()

        assert self.ask() == []

    def test_w055_names_what_differs(self, committed: None, add_migration: Any) -> None:
        add_migration("accounts", RANDOM)
        assert self.ask() == []
        key = reference.current().key
        try:
            (message,) = self.ask()
        finally:
            with context.override(PLATFORM):
                ReferenceSchema.objects.filter(key=key).delete()

        assert "Column name of table auth_group" in message.msg


class TestKey:
    @pytest.fixture
    def key(self, committed: None) -> Any:
        return lambda **options: revision.key(connections["ddl"], **options)

    def test_stays_the_same(self, key: Any) -> None:
        assert key() == key()

    def test_changes_with_a_migration(self, key: Any, add_migration: Any) -> None:
        before = key()
        add_migration("patients", "operations = []")

        assert key() != before

    def test_changes_with_the_text_of_a_migration(
        self, key: Any, add_migration: Any, settings: Any
    ) -> None:
        add_migration("patients", "operations = []")
        one = key()
        settings.MIGRATION_MODULES = {}
        add_migration("patients", "operations = [migrations.RunSQL('SELECT 1')]")

        assert key() != one

    def test_changes_with_who_listens(self, key: Any) -> None:
        before = key()
        post_migrate.connect(listener, dispatch_uid="test")
        try:
            assert key() != before
        finally:
            post_migrate.disconnect(dispatch_uid="test")

    def test_covers_the_roles(self, key: Any) -> None:
        assert "apps.accounts.roles" in set(revision._listening())

    def test_changes_with_the_kind_of_tenant(self, key: Any, settings: Any) -> None:
        settings.HAS_MULTI_TYPE_TENANTS = True
        settings.TENANT_TYPES = {
            "public": {"APPS": []},
            "clinic": {"APPS": ["apps.accounts"]},
            "lab": {"APPS": ["apps.accounts", "apps.patients"]},
        }

        assert key(type="clinic") != key(type="lab")

    def test_is_asked_for_each_kind_of_tenant(self, committed: None, settings: Any) -> None:
        assert revision.list_types() == [""]
        settings.HAS_MULTI_TYPE_TENANTS = True
        settings.TENANT_TYPES = {"public": {"APPS": []}, "lab": {"APPS": []}}

        assert revision.list_types() == ["lab"]

    def test_changes_with_a_switch(self, key: Any, settings: Any) -> None:
        before = key()
        settings.TENANCY_COMPAT = {"foreign_keys"}

        assert key() != before


def listener(sender: Any, **kwargs: Any) -> None:
    pass
