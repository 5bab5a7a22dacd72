"""What is in a schema, without its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections, transaction

from tenancy import catalogue, context, schemas
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.errors import UnableToCapture
from tenancy.models import Organization
from tests.tenancy.zoo import ZOO

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


ZOOS = ActiveTenant(id=None, schema="tenant_zoo", slug="zoo", name="Zoo")
COPY = ActiveTenant(id=None, schema="tenant_copy", slug="copy", name="Copy")


def zoo(schema: str) -> str:
    """Return what fills `schema` with an object of every kind."""
    return ZOO.replace("%(role)s", f'"{schemas.role_for(ddl(), schema)}"')


ROWS = ("content type", "permission")


def objects(schema: str) -> list[catalogue.Item]:
    return [item for item in catalogue.read(ddl(), [schema])[schema] if item.kind not in ROWS]


class TestNames:
    """A schema's own name is no part of what is in it; a text that holds it is a text."""

    @pytest.mark.parametrize("name", ["tenant_copy", "Tenant Zoo", "tenant_zoo_zoo"])
    def test_whatever_a_schema_is_called(self, committed: None, name: str) -> None:
        other = replace(COPY, schema=name)
        with rolled_back(PLATFORM):
            make(ZOOS, zoo(ZOOS.schema))
            make(other, zoo(other.schema))

            found = catalogue.fingerprints(ddl(), [ZOOS.schema, other.schema])
            assert found[ZOOS.schema] == found[other.schema]

    def test_the_same_text_is_equal(self, committed: None) -> None:
        with rolled_back(PLATFORM):
            for target in (ZOOS, COPY):
                make(target, "CREATE TABLE a (b text DEFAULT 'tenant_zoo.a is it')")

            assert objects(ZOOS.schema) == objects(COPY.schema)

    @pytest.mark.parametrize("text", ["CHECK (b <> '%s')", "DEFAULT '%s.a'", "DEFAULT '\"%s\"'"])
    def test_another_text_is_another(self, committed: None, text: str) -> None:
        """Each holds its own name, and so they differ."""
        with rolled_back(PLATFORM):
            for target in (ZOOS, COPY):
                make(target, f"CREATE TABLE a (b text {text % target.schema})")

            assert objects(ZOOS.schema) != objects(COPY.schema)
            with pytest.raises(UnableToCapture, match="names the schema itself"):
                catalogue.script(ddl(), ZOOS.schema)

    def test_a_name_of_postgresqls_own_is_told_apart(self, committed: None) -> None:
        """`lower` is the schema's in one of them and PostgreSQL's in the other."""
        own = "CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
        with rolled_back(PLATFORM):
            make(ZOOS, f"{own} CREATE TABLE a (b text CHECK (b = tenant_zoo.lower(b)))")
            make(COPY, f"{own} CREATE TABLE a (b text CHECK (b = pg_catalog.lower(b)))")
            assert objects(ZOOS.schema) != objects(COPY.schema)

            schemas.drop(ddl(), COPY.schema)
            make(COPY, catalogue.script(ddl(), ZOOS.schema))
            assert objects(ZOOS.schema) == objects(COPY.schema)


class TestScript:
    def test_makes_a_clinics_schema_again(self, elm: Any, committed: None) -> None:
        with rolled_back(PLATFORM):
            script = catalogue.script(ddl(), ELM)
            make(COPY, script)

            assert objects(COPY.schema) == objects(ELM)

    def test_makes_every_kind_of_object_again(self, committed: None) -> None:
        with rolled_back(PLATFORM):
            make(ZOOS, zoo(ZOOS.schema))
            make(COPY, catalogue.script(ddl(), ZOOS.schema))

            assert objects(COPY.schema) == objects(ZOOS.schema)
            found = catalogue.fingerprints(ddl(), [ZOOS.schema, COPY.schema])
            assert found[ZOOS.schema] == found[COPY.schema]

    def test_names_no_schema(self, elm: Any, committed: None) -> None:
        with context.override(PLATFORM):
            script = catalogue.script(ddl(), ELM)

        assert ELM not in script
        assert "public" not in script


class TestTwoConnections:
    def test_find_what_one_does(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        """Elm is in the first half of a large fleet, and Oak in the other."""
        fleet = ["tenant_elm", *(f"tenant_nobody_{n}" for n in range(60)), "tenant_oak"]
        with context.override(PLATFORM):
            one = catalogue.fingerprints(connections["ddl"], ["tenant_elm", "tenant_oak"])

            assert catalogue.fingerprints(connections["ddl"], fleet) == one

    def test_are_not_taken_where_something_is_not_committed(
        self, elm: Organization, committed: None
    ) -> None:
        fleet = [*(f"tenant_nobody_{n}" for n in range(60)), "tenant_elm"]
        with context.override(PLATFORM), transaction.atomic(using="ddl"):
            before = catalogue.fingerprints(connections["ddl"], fleet)
            with connections["ddl"].cursor() as cursor:
                cursor.execute("CREATE TABLE tenant_elm.of_this_transaction ()")
            after = catalogue.fingerprints(connections["ddl"], fleet)
            transaction.set_rollback(True, using="ddl")

        assert before != after
