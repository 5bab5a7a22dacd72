"""What somebody changed by hand is found, named, and brought back where nothing is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.test.utils import CaptureQueriesContext

from tenancy import catalogue, context, drift, schemas
from tenancy.audit import AuditEvent
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.drift import comparing, repairing
from tenancy.drift.comparing import Reference
from tenancy.models import Organization
from tenancy.references import WarmSchema
from tests.tenancy.zoo import ZOO

ZOOS = ActiveTenant(id=None, schema="tenant_zoo", slug="zoo", name="Zoo")
OTHER = ActiveTenant(id=None, schema="tenant_other", slug="other", name="Other zoo")

# By hand in one schema: what is done, what is found, and whether it is repaired.
CHANGES = [
    # What is missing
    ("DROP TABLE notes", "missing table notes", True),
    ('DROP TABLE "Animal" CASCADE', "missing table Animal", True),
    ("ALTER TABLE keeper DROP COLUMN ticket", "missing column keeper.ticket", True),
    ('ALTER TABLE "Animal" DROP COLUMN twice', "missing column Animal.twice", True),
    ('ALTER TABLE "Animal" DROP COLUMN old_id CASCADE', "missing column Animal.old_id", True),
    (
        'ALTER TABLE "Animal" DROP CONSTRAINT animal_keeper',
        "missing constraint Animal.animal_keeper",
        True,
    ),
    (
        'ALTER TABLE "Animal" DROP CONSTRAINT animal_twice',
        "missing constraint Animal.animal_twice",
        True,
    ),
    ("DROP INDEX notes_lower", "missing index notes.notes_lower", True),
    ("DROP SEQUENCE tickets CASCADE", "missing sequence tickets", True),
    ("DROP VIEW cats CASCADE", "missing view cats", True),
    ("DROP MATERIALIZED VIEW counted", "missing materialized view counted", True),
    ("DROP INDEX counted_kind", "missing index counted.counted_kind", True),
    ("DROP RULE no_delete ON notes", "missing rule notes.no_delete", True),
    (
        "DROP FUNCTION cats_of",
        "missing function cats_of(keeper bigint, OUT number bigint)",
        True,
    ),
    ("DROP FUNCTION stamp CASCADE", "missing function stamp()", True),
    ("DROP PROCEDURE tidy", "missing procedure tidy(INOUT number integer)", True),
    ("DROP TRIGGER stamp ON notes", "missing trigger notes.stamp", True),
    ("DROP POLICY own_notes ON notes", "missing policy notes.own_notes", True),
    ("DROP STATISTICS animal_both", "missing statistics Animal.animal_both", True),
    ("DROP TYPE span CASCADE", "missing type span", True),
    ("DROP DOMAIN weight CASCADE", "missing domain weight", True),
    ("COMMENT ON TABLE notes IS NULL", "missing comment TABLE notes", True),
    (
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "missing setting notes.row level security",
        True,
    ),
    (
        'ALTER TABLE "Animal" ALTER kind SET STORAGE EXTENDED',
        "missing column setting Animal.kind storage",
        True,
    ),
    (
        "REVOKE ALL ON notes FROM {role}",
        "missing grant TABLE notes TO (own role)",
        True,
    ),
    ("REVOKE ALL ON SCHEMA {schema} FROM {role}", "missing grant SCHEMA TO (own role)", True),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} REVOKE ALL ON TABLES FROM {role}",
        "missing default grant TABLES OF (owner) TO (own role)",
        True,
    ),
    # What was changed
    ("ALTER TABLE notes SET LOGGED", "changed table notes", True),
    ('ALTER TABLE "Animal" SET (fillfactor = 90)', "changed table Animal", True),
    (
        "ALTER TABLE \"Animal\" ALTER COLUMN mood SET DEFAULT 'wild'",
        "changed column Animal.mood",
        True,
    ),
    ("ALTER TABLE keeper ALTER COLUMN name DROP NOT NULL", "changed column keeper.name", True),
    (
        "ALTER TABLE keeper ALTER COLUMN boss_id SET NOT NULL",
        "changed column keeper.boss_id",
        True,
    ),
    (
        "ALTER TABLE keeper ALTER COLUMN name TYPE varchar(20)",
        "changed column keeper.name",
        True,
    ),
    (
        "ALTER TABLE keeper ALTER COLUMN name TYPE varchar(99)",
        "changed column keeper.name",
        False,
    ),
    (
        "ALTER TABLE keeper ALTER COLUMN id DROP IDENTITY",
        "changed column keeper.id",
        False,
    ),
    (
        "ALTER TABLE keeper ALTER CONSTRAINT keeper_boss_id_fkey NOT DEFERRABLE",
        "changed constraint keeper.keeper_boss_id_fkey",
        True,
    ),
    (
        'ALTER TABLE "Animal" DROP CONSTRAINT animal_keeper, ADD CONSTRAINT animal_keeper '
        "FOREIGN KEY (keeper_id) REFERENCES keeper ON DELETE CASCADE ON UPDATE SET NULL NOT VALID",
        "changed constraint Animal.animal_keeper",
        True,
    ),
    (
        "DROP INDEX notes_lower; CREATE INDEX notes_lower ON notes (upper(body))",
        "changed index notes.notes_lower",
        True,
    ),
    ("ALTER SEQUENCE tickets INCREMENT 7 NO CYCLE", "changed sequence tickets", True),
    (
        "CREATE OR REPLACE VIEW tame_cats AS SELECT * FROM cats",
        "changed view tame_cats",
        True,
    ),
    (
        "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'",
        "changed function stamp()",
        True,
    ),
    ("ALTER TABLE notes DISABLE TRIGGER stamp", "changed trigger notes.stamp", True),
    ("ALTER TABLE notes ENABLE TRIGGER sleeping", "changed trigger notes.sleeping", True),
    (
        "DROP TRIGGER stamp ON notes; CREATE TRIGGER stamp AFTER DELETE ON notes "
        "FOR EACH ROW EXECUTE FUNCTION stamp()",
        "changed trigger notes.stamp",
        True,
    ),
    ("ALTER POLICY own_notes ON notes USING (true)", "changed policy notes.own_notes", True),
    ("ALTER POLICY own_notes ON notes TO PUBLIC", "changed policy notes.own_notes", True),
    (
        "ALTER STATISTICS animal_both SET STATISTICS 5",
        "changed statistics Animal.animal_both",
        True,
    ),
    ("ALTER TYPE mood ADD VALUE 'sad'", "changed type mood", False),
    ("ALTER DOMAIN weight DROP NOT NULL", "changed domain weight", False),
    ("COMMENT ON TABLE notes IS 'other'", "changed comment TABLE notes", True),
    (
        'ALTER TABLE "Animal" ALTER kind SET STATISTICS 9',
        "changed column setting Animal.kind statistics",
        True,
    ),
    (
        "GRANT DELETE ON notes TO {role}; REVOKE SELECT ON notes FROM {role}",
        "changed grant TABLE notes TO (own role)",
        True,
    ),
    # What is there beside it
    ("CREATE TABLE by_hand (id int PRIMARY KEY)", "extra table by_hand", False),
    ("ALTER TABLE keeper ADD COLUMN by_hand text", "extra column keeper.by_hand", False),
    (
        "ALTER TABLE keeper ADD CONSTRAINT by_hand CHECK (id > 0)",
        "extra constraint keeper.by_hand",
        False,
    ),
    ("CREATE INDEX by_hand ON keeper (name)", "extra index keeper.by_hand", False),
    ("CREATE VIEW by_hand AS SELECT 1 AS one", "extra view by_hand", False),
    ("CREATE SEQUENCE by_hand", "extra sequence by_hand", False),
    (
        "CREATE FUNCTION by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "extra function by_hand()",
        False,
    ),
    (
        "CREATE TRIGGER by_hand AFTER INSERT ON keeper EXECUTE FUNCTION stamp()",
        "extra trigger keeper.by_hand",
        False,
    ),
    ("CREATE POLICY by_hand ON keeper USING (true)", "extra policy keeper.by_hand", False),
    ("CREATE TYPE by_hand AS ENUM ('a')", "extra type by_hand", False),
    ("COMMENT ON TABLE keeper IS 'by hand'", "extra comment TABLE keeper", False),
    (
        "ALTER TABLE keeper ENABLE ROW LEVEL SECURITY",
        "extra setting keeper.row level security",
        False,
    ),
    (
        "ALTER TABLE keeper ALTER name SET STATISTICS 9",
        "extra column setting keeper.name statistics",
        False,
    ),
    ("GRANT SELECT ON keeper TO PUBLIC", "extra grant TABLE keeper TO PUBLIC", False),
    (
        "GRANT SELECT ON keeper TO {platform}",
        "extra grant TABLE keeper TO {platform}",
        False,
    ),
]


def ddl() -> Any:
    return connections["ddl"]


@contextmanager
def rolled_back() -> Iterator[None]:
    with context.override(PLATFORM), transaction.atomic(using="ddl"):
        yield
        transaction.set_rollback(True, using="ddl")


def in_terms_of(target: ActiveTenant, text: str) -> str:
    prefix = schemas.role_prefix(ddl())
    named = {
        "{schema}": target.schema,
        "{role}": schemas.role_for(ddl(), target.schema),
        "%(role)s": schemas.role_for(ddl(), target.schema),
        "{ddl}": f"{prefix}_ddl",
        "{platform}": f"{prefix}_platform",
        "{tenants}": f"{prefix}_tenants",
    }
    for placeholder, name in named.items():
        text = text.replace(placeholder, name)
    return text


def run(target: ActiveTenant, statements: str) -> None:
    with context.override(target, in_transaction=True), ddl().cursor() as cursor:
        cursor.execute(in_terms_of(target, statements))


def read(target: ActiveTenant) -> list[catalogue.Item]:
    return catalogue.read(ddl(), [target.schema])[target.schema]


@pytest.fixture(scope="module")
def zoo(django_db_setup: None, django_db_blocker: Any) -> Reference:
    """What every zoo should be."""
    with django_db_blocker.unblock(), rolled_back():
        schemas.create(ddl(), ZOOS.schema)
        run(ZOOS, ZOO)
        return Reference(
            fingerprint=catalogue.fingerprints(ddl(), [ZOOS.schema])[ZOOS.schema],
            source=catalogue.open_source(ddl(), ZOOS.schema),
            owner=schemas.owner_of(ddl()),
        )


class TestCompare:
    @pytest.mark.parametrize(("by_hand", "found", "is_repaired"), CHANGES)
    def test_finds_and_repairs(
        self, zoo: Reference, committed: None, by_hand: str, found: str, is_repaired: bool
    ) -> None:
        with rolled_back():
            schemas.create(ddl(), OTHER.schema)
            run(OTHER, ZOO)
            assert comparing.compare(zoo, read(OTHER)) == []
            run(OTHER, by_hand)

            differences = comparing.compare(zoo, read(OTHER))
            named = {f"{each.what} {each.thing}": each for each in differences}
            found = in_terms_of(OTHER, found)
            assert found in named, named.keys()
            assert named[found].is_repaired == is_repaired
            before = catalogue.fingerprints(ddl(), [OTHER.schema])[OTHER.schema]
            assert before != zoo.fingerprint

            with context.override(OTHER, in_transaction=True):
                _, refusals = repairing.work(OTHER, zoo)

            assert refusals == {}
            after = catalogue.fingerprints(ddl(), [OTHER.schema])[OTHER.schema]
            if all(each.is_repaired for each in differences):
                assert after == zoo.fingerprint
            if not any(each.is_repaired for each in differences):
                assert after == before

    @pytest.mark.parametrize(
        "by_hand", [by_hand for by_hand, found, _ in CHANGES if found.startswith("extra")]
    )
    def test_says_what_to_type_to_be_rid_of_it(
        self, zoo: Reference, committed: None, by_hand: str
    ) -> None:
        with rolled_back():
            schemas.create(ddl(), OTHER.schema)
            run(OTHER, ZOO)
            run(OTHER, by_hand)

            for difference in comparing.compare(zoo, read(OTHER)):
                assert difference.why
                run(OTHER, "; ".join(difference.statements))

            assert comparing.compare(zoo, read(OTHER)) == []


def check_schemas(*arguments: str) -> str:
    out = io.StringIO()
    call_command("check_schemas", *arguments, stdout=out)
    return out.getvalue()


def failing(*arguments: str) -> tuple[str, str]:
    """Return what `check_schemas` printed, and the error with which it ended."""
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("check_schemas", *arguments, stdout=out)
    if "--json" not in arguments:
        assert max(map(len, out.getvalue().splitlines())) <= 80
    return out.getvalue(), str(caught.value)


def by_hand(organization: Organization, statements: str) -> None:
    with context.override(organization.as_active()), ddl().cursor() as cursor:
        cursor.execute(statements)


def fingerprint(organization: Organization) -> str:
    with context.override(PLATFORM):
        schema = organization.schema_name
        return catalogue.fingerprints(ddl(), [schema])[schema]


class TestCheckSchemas:
    def test_finds_nothing_where_nothing_is(self, elm: Any, oak: Any, committed: None) -> None:
        assert "2 of 2 schemas are as the code makes them" in check_schemas("elm", "oak")

    def test_tells_the_same_of_two_schemas_once(self, elm: Any, scratch: Any) -> None:
        birch, cedar = scratch("birch"), scratch("cedar")
        for organization in (birch, cedar):
            by_hand(organization, "DROP INDEX patient_telecom_tail")

        out, error = failing("elm", "birch", "cedar")

        assert "1 of 3 schemas are as the code makes them, 2 differ" in out
        assert "2 schemas: tenant_birch, tenant_cedar" in out
        assert out.count("patients_patienttelecom.patient_telecom_tail is missing") == 1
        assert "CREATE INDEX patient_telecom_tail" in out
        assert error == "2 schemas differ."

    def test_repairs_what_loses_nothing(self, elm: Any, scratch: Any) -> None:
        """The extra table stays, with the statement to type."""
        birch = scratch("birch")
        by_hand(
            birch,
            "DROP INDEX patient_telecom_tail; ALTER TABLE accounts_user DROP COLUMN email; "
            "DROP TABLE django_session; CREATE TABLE kept (id int);"
            "DELETE FROM auth_group_permissions;"
            "DELETE FROM auth_permission WHERE codename = 'view_patient';"
            "DELETE FROM auth_permission USING django_content_type AS type "
            "WHERE content_type_id = type.id AND model = 'session';"
            "DELETE FROM django_content_type WHERE model = 'session'",
        )

        out, error = failing("birch", "--repair")

        assert "Repaired in tenant_birch: index patients_patienttelecom.patient_telecom_tail" in out
        assert "- table kept should not be there" in out
        assert 'DROP TABLE "kept";' in out
        assert error == "1 schema differs."
        by_hand(birch, "DROP TABLE kept")
        assert fingerprint(birch) == fingerprint(elm)
        assert "1 of 1" in check_schemas("birch")
        with context.override(birch.as_active()):
            permission = Permission.objects.get(codename="view_patient")
            assert permission.name == "Can view patient"

    def test_says_what_postgresql_refused(self, scratch: Any) -> None:
        """And repairs the rest of that schema; the value stays out of what is said."""
        birch = scratch("birch")
        by_hand(
            birch,
            "ALTER TABLE auth_group DROP CONSTRAINT auth_group_name_key;"
            "INSERT INTO auth_group (name) VALUES ('doctor');"
            "DROP INDEX patient_telecom_tail",
        )

        out, _ = failing("birch", "--repair")

        assert "Repaired in tenant_birch: index" in out
        assert "PostgreSQL refused: could not create unique index" in out
        assert "'doctor'" not in out
        assert "(doctor)" not in out

    def test_a_schema_that_is_behind_is_not_compared(self, scratch: Any) -> None:
        birch = scratch("birch")
        by_hand(birch, "DELETE FROM django_migrations WHERE app = 'sessions'")
        by_hand(birch, "DROP TABLE django_session")

        out, error = failing("birch")

        assert "Behind the code, and not compared: tenant_birch. Type: manage.py" in out
        assert "django_session" not in out
        assert error == "1 schema is behind."

    def test_writes_json(self, scratch: Any) -> None:
        birch = scratch("birch")
        by_hand(birch, "DROP INDEX patient_telecom_tail")

        report = json.loads(failing("birch", "--json")[0])

        (group,) = report["differing"]
        assert group["schemas"] == ["tenant_birch"]
        assert group["differences"][0]["is_repaired"]

    def test_refuses_a_name_that_is_nobodys(self, committed: None) -> None:
        with pytest.raises(CommandError, match="nowhere"):
            check_schemas("nowhere")

    def test_asks_as_much_of_two_schemas_as_of_one(
        self, elm: Any, oak: Any, committed: None
    ) -> None:
        check_schemas("elm")
        with CaptureQueriesContext(ddl()) as one:
            drift.check([elm.as_active()], with_strays=False)
        with CaptureQueriesContext(ddl()) as two:
            drift.check([elm.as_active(), oak.as_active()], with_strays=False)

        assert len(one) == len(two)

    def test_is_recorded(self, scratch: Any) -> None:
        birch = scratch("birch")
        by_hand(birch, "DROP INDEX patient_telecom_tail")

        check_schemas("birch", "--repair")

        with context.override(PLATFORM):
            (event,) = AuditEvent.objects.filter(
                action="organization.schema_repaired", tenant=str(birch.pk)
            )
        assert "patient_telecom_tail" in str(event.details)


class TestWhatASuperuserDid:
    """Found and told; the owner's role can undo none of it."""

    @contextmanager
    def done(self, url: str, statement: str, undone: str) -> Iterator[None]:
        with psycopg.connect(url, dbname=ddl().settings_dict["NAME"], autocommit=True) as server:
            server.execute(statement.encode())
            try:
                yield
            finally:
                server.execute(undone.encode())

    def test_another_owner(self, scratch: Any, tenancy_superuser_url: str) -> None:
        birch = scratch("birch")
        table = f"ALTER TABLE {birch.schema_name}.django_session OWNER TO"
        owner = schemas.owner_of(ddl())

        with self.done(tenancy_superuser_url, f"{table} CURRENT_USER", f"{table} {owner}"):
            out, _ = failing("birch", "--repair")

        assert "owner TABLE django_session should not be there" in out
        assert f'ALTER TABLE django_session OWNER TO "{owner}";' in out

    def test_foreign_keys_that_are_not_checked(
        self, scratch: Any, tenancy_superuser_url: str
    ) -> None:
        birch = scratch("birch")
        table = f"ALTER TABLE {birch.schema_name}.accounts_user_groups"

        with self.done(
            tenancy_superuser_url, f"{table} DISABLE TRIGGER ALL", f"{table} ENABLE TRIGGER ALL"
        ):
            out, _ = failing("birch")

        assert "trigger accounts_user_groups.of the constraint" in out
        assert "should not be there" in out
        assert "ENABLE TRIGGER ALL" in out

    def test_an_index_that_was_not_finished(self, scratch: Any) -> None:
        birch = scratch("birch")
        with (
            context.override(birch.as_active()),
            ddl().outside_transaction(),
            ddl().cursor() as cursor,
            pytest.raises(IntegrityError),
        ):
            cursor.execute(
                "CREATE UNIQUE INDEX CONCURRENTLY half ON auth_permission (content_type_id)"
            )

        with context.override(PLATFORM):
            items = catalogue.read(ddl(), [birch.schema_name])[birch.schema_name]
            (half,) = (item for item in items if item.name == "half")

        assert half.definition.endswith("-- INVALID")
        assert 'DROP INDEX "half";' in failing("birch")[0]


class TestStrays:
    """What has lost its other half; PostgreSQL's part of it is put back by each test."""

    @contextmanager
    def made(self, statement: str, undone: str) -> Iterator[None]:
        with context.override(PLATFORM), ddl().cursor() as cursor:
            cursor.execute(in_terms_of(ZOOS, statement))
        try:
            yield
        finally:
            with context.override(PLATFORM), ddl().cursor() as cursor:
                cursor.execute(in_terms_of(ZOOS, undone))

    def test_a_schema_without_an_organization(self, elm: Any, oak: Any, committed: None) -> None:
        with self.made("CREATE SCHEMA tenant_left", "DROP SCHEMA tenant_left"):
            out, error = failing()

        assert "tenant_left: a schema that belongs to no organization." in out
        assert 'DROP SCHEMA "tenant_left" CASCADE;' in out
        assert error == "1 thing lacks its other half."

    def test_one_with_migrations_whatever_it_is_called(self, elm: Any, committed: None) -> None:
        make = "CREATE SCHEMA other; CREATE TABLE other.django_migrations (id int)"
        with self.made(make, "DROP SCHEMA other CASCADE"):
            assert "other: a schema that belongs to no organization" in failing()[0]

    def test_none_is_one_that_waits_for_a_sign_up(self, elm: Any, committed: None) -> None:
        make = "CREATE SCHEMA other; CREATE TABLE other.django_migrations (id int)"
        row = WarmSchema(schema_name="other", reference="none")
        with self.made(make, "DROP SCHEMA other CASCADE"):
            with context.override(PLATFORM):
                row.save(using="ddl")
            try:
                assert "other" not in check_schemas()
            finally:
                with context.override(PLATFORM):
                    row.delete(using="ddl")

    def test_a_role_without_a_schema(self, elm: Any, committed: None) -> None:
        make = "CREATE ROLE {role}; GRANT {ddl}_s TO {role}".replace("{ddl}_s", "{tenants}")
        with self.made(make, "DROP ROLE {role}"):
            out, _ = failing()

        assert in_terms_of(ZOOS, "{role}: a role whose schema is not there.") in out
        assert in_terms_of(ZOOS, 'DROP ROLE "{role}";') in out

    def test_an_organization_without_a_schema(self, scratch: Any) -> None:
        birch = scratch("birch")
        with context.override(PLATFORM):
            schemas.drop(ddl(), birch.schema_name)

        out, error = failing()

        assert "birch: an organization whose schema tenant_birch is not there." in out
        assert "manage.py delete_tenant birch" in out
        assert error == "1 schema is not there, 1 thing lacks its other half."

    def test_a_schema_without_its_role(self, scratch: Any) -> None:
        birch = scratch("birch")
        renamed = 'ALTER ROLE "{0}" RENAME TO "{1}"'
        names = schemas.role_for(ddl(), birch.schema_name), f"{schemas.role_prefix(ddl())}_gone"

        with self.made(renamed.format(*names), renamed.format(*reversed(names))):
            assert "tenant_birch: a schema without its role" in failing()[0]
