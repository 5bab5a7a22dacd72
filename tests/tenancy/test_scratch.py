"""What is tried out in a schema leaves nothing."""

from __future__ import annotations

import pytest
from django.db import connections, transaction

from tenancy import context, schemas
from tenancy.context import PLATFORM
from tenancy.rollout import executor, scratch


def is_there(schema: str) -> tuple[bool, bool]:
    with context.override(PLATFORM):
        ddl = connections["ddl"]
        return schemas.exists(ddl, schema), schemas.role_exists(ddl, schema)


class TestSchema:
    def test_is_there_with_its_role_and_then_never_was(self, committed: None) -> None:
        with scratch.schema() as target:
            executor.migrate(target)
            with connections["ddl"].cursor() as cursor:
                cursor.execute("SELECT current_schema(), count(*) FROM accounts_user")
                assert cursor.fetchone() == (target.schema, 0)

        assert is_there(target.schema) == (False, False)

    def test_is_gone_when_the_block_fails(self, committed: None) -> None:
        with pytest.raises(ZeroDivisionError), scratch.schema() as target:
            assert context.get_current() == target
            raise ZeroDivisionError

        assert is_there(target.schema) == (False, False)
        assert context.get_current() is None

    def test_leaves_the_transaction_around_it_as_it_was(self, committed: None) -> None:
        with context.override(PLATFORM), transaction.atomic(using="ddl"):
            with scratch.schema() as target:
                executor.migrate(target)
            with connections["ddl"].cursor() as cursor:
                cursor.execute("SELECT current_schema()")
                assert cursor.fetchone() == ("public",)

        assert is_there(target.schema) == (False, False)
