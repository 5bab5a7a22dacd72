"""A connection that has served enough tenants gives way to a new one, and to its memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import close_old_connections, connection, connections, transaction

from tenancy import context
from tenancy.backend.base import DatabaseWrapper
from tenancy.conf import Settings
from tenancy.context import PLATFORM, Target
from tenancy.models import Organization
from tests.tenancy.test_connections import POOL, default_with, pid

__all__ = ["default_with"]

MOST_MEGABYTES = 200


@pytest.fixture
def two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may serve two schemas: fewer than four are never spread."""
    monkeypatch.setattr(django_settings, "TENANCY_CONN_MAX_TENANTS", 2, raising=False)


@pytest.fixture(params=["pooled", "kept"])
def lasting(
    request: pytest.FixtureRequest, default_with: Callable[..., DatabaseWrapper]
) -> DatabaseWrapper:
    """The default connection, which outlives requests: in a pool of one, then with its thread."""
    if request.param == "kept":
        return default_with(CONN_MAX_AGE=None)
    pool = POOL | {"min_size": 1, "max_size": 1}
    return default_with(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False, OPTIONS={"pool": pool})


def serve(target: Target) -> int:
    """Do what a request does; return the id of the server's process that answered."""
    close_old_connections()
    with context.override(target):
        found = pid()
    close_old_connections()
    return found


class TestConnection:
    def test_ends_after_as_many_tenants_as_it_may_serve(
        self, two_at_most: None, lasting: DatabaseWrapper, elm: Organization, oak: Organization
    ) -> None:
        ours, others = elm.as_active(), oak.as_active()

        first = [serve(target) for target in (ours, ours, ours, others)]
        then = [serve(target) for target in (others, PLATFORM, ours)]

        assert len(set(first)) == 1
        assert then[0] == then[1] != first[0]
        assert then[2] not in (first[0], then[0])

    def test_lasts_without_a_bound(
        self,
        monkeypatch: pytest.MonkeyPatch,
        lasting: DatabaseWrapper,
        elm: Organization,
        oak: Organization,
    ) -> None:
        monkeypatch.setattr(django_settings, "TENANCY_CONN_MAX_TENANTS", None, raising=False)

        answered = {serve(target) for target in (elm.as_active(), oak.as_active(), PLATFORM)}

        assert len(answered) == 1

    def test_lasts_where_its_process_is_a_poolers(
        self,
        two_at_most: None,
        monkeypatch: pytest.MonkeyPatch,
        lasting: DatabaseWrapper,
        elm: Organization,
        oak: Organization,
    ) -> None:
        modes = {"default": "transaction"}
        monkeypatch.setattr(django_settings, "TENANCY_POOLER_MODES", modes, raising=False)

        assert len({serve(target) for target in (elm.as_active(), oak.as_active(), PLATFORM)}) == 1

    def test_counts_what_was_bound_in_any_way(
        self, two_at_most: None, lasting: DatabaseWrapper, elm: Organization, oak: Organization
    ) -> None:
        """
        By a statement alone, within a transaction, and for another tenant in the same one.
        """
        with context.override(elm.as_active()):
            pid()
            driver = connection.connection
            assert driver.schemas_served == {elm.schema_name}
            with transaction.atomic():
                pid()
                with context.override(oak.as_active(), in_transaction=True):
                    pid()
        assert driver.schemas_served == {elm.schema_name, oak.schema_name}

    def test_stays_until_its_transaction_has_ended(
        self, two_at_most: None, lasting: DatabaseWrapper, elm: Organization, oak: Organization
    ) -> None:
        with context.override(elm.as_active()), transaction.atomic():
            before = pid()
            for other in (oak.as_active(), PLATFORM):
                with context.override(other, in_transaction=True):
                    assert pid() == before

        assert serve(PLATFORM) != before

    def test_is_ended_without_a_word(
        self,
        two_at_most: None,
        lasting: DatabaseWrapper,
        elm: Organization,
        oak: Organization,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """
        The pool warns of a connection that is broken, and this one is not.
        """
        for target in (elm.as_active(), oak.as_active(), PLATFORM):
            serve(target)

        assert [record for record in caplog.records if record.levelname == "WARNING"] == []
        if lasting.pool:
            assert lasting.pool.get_stats().get("returns_bad", 0) == 0

    def test_serves_as_many_as_it_may_or_up_to_a_quarter_less(
        self, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So that those that were opened together do not all end at once.
        """
        monkeypatch.setattr(django_settings, "TENANCY_CONN_MAX_TENANTS", 100, raising=False)
        wrapper = connections["default"]

        most = [wrapper._most_tenants(process) or 0 for process in range(1000, 1020)]

        assert all(75 <= each <= 100 for each in most)
        assert max(most) - min(most) > 20
        assert len(set(most)) > 15


class TestMegabytes:
    def test_of_as_many_clinics_as_a_connection_may_serve_are_within_the_bound(
        self, scratch: Callable[[str], Organization]
    ) -> None:
        """
        A clinic with each of its tables read and written once, which hardly a request does.
        """
        clinics = [scratch(f"memory-{number}") for number in range(8)]
        connection.close()
        resident = [megabytes_after_visiting(clinic) for clinic in clinics]

        each = (resident[-1] - resident[1]) / (len(clinics) - 2)
        assert each > 0.1
        assert resident[0] + each * Settings.CONN_MAX_TENANTS < MOST_MEGABYTES


def megabytes_after_visiting(clinic: Organization) -> float:
    """Return what the server's process has of its own after it saw all of the clinic's tables."""
    with context.override(clinic.as_active()), transaction.atomic(), connection.cursor() as cursor:
        for table in list_tables():
            cursor.execute(f"SELECT * FROM {table} LIMIT 1")
            cursor.execute(f"DELETE FROM {table} WHERE false")
        process = connection.connection.pgconn.backend_pid
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        pytest.skip("The server's processes are not on this machine, or this is not Linux.")
    (kilobytes,) = re.findall(r"^RssAnon:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


def list_tables() -> list[str]:
    """Return the tables that each clinic has."""
    return [
        connection.ops.quote_name(model._meta.db_table)
        for app in apps.get_app_configs()
        if app.name in django_settings.TENANT_APPS
        for model in app.get_models(include_auto_created=True)
    ]
