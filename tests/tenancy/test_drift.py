"""What somebody changed by hand is found, named, and brought back where nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections, transaction

from tenancy import catalogue, context, schemas
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.drift import comparing, repairing
from tenancy.drift.comparing import Reference
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
        "missing default grant TABLES OF {ddl} TO (own role)",
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
