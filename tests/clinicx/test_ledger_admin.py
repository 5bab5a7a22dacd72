"""Operators read what became of their migrations, and change nothing of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from tenancy.ledger import EntryState, How, MigrationRun, MigrationRunEntry, RunState
from tenancy.rollout import lock
from tenancy.testing import TenantClient

RUNS = "/admin/tenancy/migrationrun/"
SCHEMAS = "/admin/tenancy/migrationrunentry/"
WHY = 'relation "added" already exists (42P07)'


@pytest.fixture
def operator(on_platform: None, platform_client: TenantClient) -> TenantClient:
    platform_client.force_login(User.objects.create_superuser("operator", password="clinicx"))
    return platform_client


@pytest.fixture
def run(on_platform: None) -> MigrationRun:
    """Five were done, two failed alike, one is pending."""
    began = timezone.now() - timedelta(minutes=2)
    run = MigrationRun.objects.create(
        command="migrate_schemas --jobs 4",
        state=RunState.FAILED,
        started_at=began,
        finished_at=began + timedelta(seconds=90),
        actor="deploy@web-1",
        pid=4711,
    )
    states = [EntryState.DONE] * 5 + [EntryState.FAILED] * 2 + [EntryState.PENDING]
    for number, state in enumerate(states):
        MigrationRunEntry.objects.create(
            run=run,
            schema_name=f"tenant_clinic_{number}",
            state=state,
            how=How.REPLAY if state == EntryState.DONE else "",
            milliseconds=40 if state == EntryState.DONE else None,
            migrations=["patients.0002_photo"],
            error=WHY if state == EntryState.FAILED else "",
        )
    return run


def text(page: Any) -> str:
    assert page.status_code == 200
    return str(page.content.decode())


class TestRuns:
    def test_are_listed_with_what_became_of_them(
        self, operator: TenantClient, run: MigrationRun
    ) -> None:
        page = text(operator.get(RUNS))

        assert "migrate_schemas --jobs 4" in page
        assert "5 done" in page
        assert "2 failed" in page
        assert "90.00\N{NO-BREAK SPACE}s" in page

    def test_ask_a_few_queries_however_many_there_are(
        self, operator: TenantClient, run: MigrationRun
    ) -> None:
        with CaptureQueriesContext(connection) as one:
            operator.get(RUNS)
        for _ in range(20):
            MigrationRun.objects.create(started_at=timezone.now(), pid=1, state=RunState.DONE)
        with CaptureQueriesContext(connection) as many:
            operator.get(RUNS)

        assert len(many) == len(one)

    def test_say_why_and_what_to_type(self, operator: TenantClient, run: MigrationRun) -> None:
        page = text(operator.get(f"{RUNS}{run.pk}/change/"))

        assert "relation &quot;added&quot; already exists (42P07)" in page
        assert "2 of them" in page
        assert f"migrate_schemas --resume {run.pk}" in page
        assert f"{SCHEMAS}?run={run.pk}&amp;state__exact=failed" in page

    @pytest.mark.parametrize(("is_held", "said"), [(True, "running"), (False, "interrupted")])
    def test_that_were_killed_are_interrupted(
        self, operator: TenantClient, run: MigrationRun, is_held: bool, said: str
    ) -> None:
        MigrationRun.objects.update(state=RunState.RUNNING)

        if is_held:
            with lock.held("somebody"):
                page = text(operator.get(f"{RUNS}{run.pk}/change/"))
        else:
            page = text(operator.get(f"{RUNS}{run.pk}/change/"))

        assert said in page
        assert ("--resume" in page) is not is_held


class TestSchemas:
    def test_are_narrowed(self, operator: TenantClient, run: MigrationRun) -> None:
        other = MigrationRun.objects.create(started_at=timezone.now(), pid=1)
        MigrationRunEntry.objects.create(run=other, schema_name="tenant_other", state="failed")

        page = text(operator.get(SCHEMAS, {"run": run.pk, "state__exact": "failed"}))

        assert "tenant_clinic_5" in page
        assert "tenant_clinic_0" not in page
        assert "tenant_other" not in page

    def test_have_a_page(self, operator: TenantClient, run: MigrationRun) -> None:
        entry = MigrationRunEntry.objects.filter(run=run, state="failed").first()
        assert entry is not None

        page = text(operator.get(f"{SCHEMAS}{entry.pk}/change/"))

        assert "patients.0002_photo" in page
        assert "42P07" in page


class TestNobody:
    @pytest.mark.parametrize("where", [RUNS, SCHEMAS])
    def test_adds_any(self, operator: TenantClient, where: str) -> None:
        assert operator.get(f"{where}add/").status_code == 403

    def test_changes_or_deletes_any(self, operator: TenantClient, run: MigrationRun) -> None:
        answers = [
            operator.post(f"{RUNS}{run.pk}/{what}/", {"state": "done"}).status_code
            for what in ("change", "delete")
        ]

        assert answers == [403, 403]
        run.refresh_from_db()
        assert run.state == RunState.FAILED
