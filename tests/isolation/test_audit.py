"""Whoever logs in: can they change what the audit log says, or read another clinic's part?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from tenancy import audit, context
from tenancy.errors import UnableToRecord
from tenancy.models import Organization

EVENTS = """
    SELECT tenant, kind, action, actor, ctx, outcome, tbl, pk, changed
      FROM audit.event
     WHERE action = %(action)s
     ORDER BY seq
"""


def _events(action: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, {"action": action})
        return cursor.fetchall()


class TestRecord:
    def test_is_the_active_clinics(self, in_elm: Organization):
        audit.record("test.done", details={"how": "well"})

        ((tenant, *_),) = _events("test.done")
        assert tenant == str(in_elm.pk)

    def test_of_the_platform_is_the_organizations_or_nobodys(
        self, on_platform: None, elm: Organization
    ):
        audit.record("test.done", organization=elm)
        audit.record("test.done")

        assert [tenant for tenant, *_ in _events("test.done")] == [str(elm.pk), "platform"]

    def test_of_a_clinic_cannot_be_anothers(self, in_elm: Organization, oak: Organization):
        with pytest.raises(UnableToRecord, match="its own tenant only"), transaction.atomic():
            audit.record("test.done", organization=oak)

        assert _events("test.done") == []

    def test_of_a_clinic_is_seen_by_no_other(self, in_elm: Organization, oak: Organization):
        audit.record("test.done")

        with context.override(oak.as_active(), in_transaction=True):
            assert _events("test.done") == []
        with context.override(context.PLATFORM, in_transaction=True):
            assert len(_events("test.done")) == 1
