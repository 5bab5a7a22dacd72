"""What is in a schema, without its name."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction

from tenancy import catalogue, context
from tenancy.context import PLATFORM

DDL = connections["ddl"]
ELM, OAK = "tenant_elm", "tenant_oak"


class TestFingerprints:
    def test_two_clinics_have_the_same(self, elm: Any, oak: Any, committed: None) -> None:
        with context.override(PLATFORM):
            found = catalogue.fingerprints(DDL, [ELM, OAK, "tenant_nowhere"])

        assert found.keys() == {ELM, OAK}
        assert found[ELM] == found[OAK]

    def test_sees_what_its_transaction_changed(self, elm: Any, oak: Any, committed: None) -> None:
        with context.override(elm.as_active()), transaction.atomic(using="ddl"):
            with DDL.cursor() as cursor:
                cursor.execute("ALTER TABLE patients_patient ADD COLUMN by_hand text")
            found = catalogue.fingerprints(DDL, [ELM, OAK])
            of_table = catalogue.fingerprints(DDL, [ELM, OAK], tables=["patients_patient"])
            of_other = catalogue.fingerprints(DDL, [ELM, OAK], tables=["accounts_user"])
            transaction.set_rollback(True, using="ddl")

        assert found[ELM] != found[OAK]
        assert of_table[ELM] != of_table[OAK]
        assert of_other[ELM] == of_other[OAK]

    def test_leaves_the_path_of_a_transaction(self, elm: Any, committed: None) -> None:
        with context.override(elm.as_active()), transaction.atomic(using="ddl"):
            catalogue.fingerprints(DDL, [ELM])
            with DDL.cursor() as cursor:
                cursor.execute("SHOW search_path")
                assert cursor.fetchone() == (ELM,)
