"""Who is behind, and bringing them along."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenancy import context
from tenancy.context import PLATFORM
from tenancy.models import Organization
from tenancy.rollout import plan

DDL = connections["ddl"]


@pytest.fixture
def birch(scratch: Any) -> Organization:
    """Birch is one migration behind: that of the sessions was never run there."""
    organization = scratch("birch")
    with context.override(organization.as_active()), DDL.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        cursor.execute("DROP TABLE django_session")
    return organization


class TestListMissing:
    def test_knows_who_is_behind_by_what(self, elm: Organization, birch: Organization) -> None:
        with context.override(PLATFORM):
            missing = plan.list_missing(DDL, ["public", "tenant_elm", "tenant_birch"])

        assert missing == {"tenant_birch": [("sessions", "0001_initial")]}

    def test_takes_four_queries_whatever_the_fleet(
        self, elm: Organization, oak: Organization, committed: None
    ) -> None:
        with context.override(PLATFORM), CaptureQueriesContext(DDL) as captured:
            plan.list_missing(DDL, ["public", "tenant_elm", "tenant_oak", "tenant_nowhere"])

        assert len(captured) == 4

    def test_lists_all_for_a_schema_that_has_none(self, committed: None) -> None:
        with context.override(PLATFORM):
            missing = plan.list_missing(DDL, ["tenant_nowhere"])

        assert missing["tenant_nowhere"] == plan.list_known()
