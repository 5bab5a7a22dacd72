"""What is in a schema, without its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from tenancy import catalogue, context, schemas
from tenancy.context import PLATFORM, ActiveTenant, Target

ELM, OAK = "tenant_elm", "tenant_oak"


def ddl() -> Any:
    """The wrapper that `atomic()` uses; the fixtures have replaced the one of the start."""
    return connections["ddl"]


@contextmanager
def rolled_back(target: Target) -> Iterator[None]:
    with context.override(target), transaction.atomic(using="ddl"):
        yield
        transaction.set_rollback(True, using="ddl")


def make(target: ActiveTenant, script: str) -> None:
    """Make the schema of `target` with what `script` makes, in the open transaction."""
    schemas.create(ddl(), target.schema)
    with context.override(target, in_transaction=True), ddl().cursor() as cursor:
        cursor.execute(script)


class TestFingerprints:
    def test_two_clinics_have_the_same(self, elm: Any, oak: Any, committed: None) -> None:
        with context.override(PLATFORM):
            found = catalogue.fingerprints(ddl(), [ELM, OAK, "tenant_nowhere"])

        assert found.keys() == {ELM, OAK}
        assert found[ELM] == found[OAK]

    def test_sees_what_its_transaction_changed(self, elm: Any, oak: Any, committed: None) -> None:
        with context.override(elm.as_active()), transaction.atomic(using="ddl"):
            with ddl().cursor() as cursor:
                cursor.execute("ALTER TABLE patients_patient ADD COLUMN by_hand text")
            found = catalogue.fingerprints(ddl(), [ELM, OAK])
            of_table = catalogue.fingerprints(ddl(), [ELM, OAK], tables=["patients_patient"])
            of_other = catalogue.fingerprints(ddl(), [ELM, OAK], tables=["accounts_user"])
            transaction.set_rollback(True, using="ddl")

        assert found[ELM] != found[OAK]
        assert of_table[ELM] != of_table[OAK]
        assert of_other[ELM] == of_other[OAK]

    def test_leaves_the_path_of_a_transaction(self, elm: Any, committed: None) -> None:
        with context.override(elm.as_active()), transaction.atomic(using="ddl"):
            catalogue.fingerprints(ddl(), [ELM])
            with ddl().cursor() as cursor:
                cursor.execute("SHOW search_path")
                assert cursor.fetchone() == (ELM,)


COPY = ActiveTenant(id=None, schema="tenant_copy", slug="copy", name="Copy")
ROWS = ("content type", "permission")


def objects(schema: str) -> list[catalogue.Item]:
    return [item for item in catalogue.read(ddl(), [schema])[schema] if item.kind not in ROWS]


class TestScript:
    def test_makes_a_clinics_schema_again(self, elm: Any, committed: None) -> None:
        with rolled_back(PLATFORM):
            script = catalogue.script(ddl(), ELM)
            make(COPY, script)

            assert objects(COPY.schema) == objects(ELM)

    def test_names_no_schema(self, elm: Any, committed: None) -> None:
        with context.override(PLATFORM):
            script = catalogue.script(ddl(), ELM)

        assert ELM not in script
        assert "public" not in script
