"""One schema after the other, by Django's own operations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import IntegrityError, connections, migrations, models
from django.utils.connection import ConnectionProxy

from tenancy import catalogue, context, ownership, steps
from tenancy.context import ActiveTenant
from tenancy.errors import UnableToLock, UnableToMigrate
from tenancy.ledger import How
from tenancy.rollout import plan, replay
from tests.fixtures.kills import killed_at
from tests.tenancy.trial import Trial, groups, installed

# Not connections["ddl"]: the fixtures make that one anew.
DDL: Any = ConnectionProxy(connections, "ddl")


@pytest.fixture
def trial(tmp_path: Path, committed: None) -> Iterator[Trial]:
    yield from installed(tmp_path)


@pytest.fixture
def clinics(scratch: Any, committed: None) -> list[ActiveTenant]:
    """Three clinics, made before there was the application."""
    return [scratch(slug).as_active() for slug in ("ash", "birch", "cedar")]


def bed(**fields: models.Field[Any, Any]) -> migrations.CreateModel:
    fields = {"id": models.BigAutoField(primary_key=True), "code": models.TextField(), **fields}
    return migrations.CreateModel("Bed", list(fields.items()))


def noop(apps: Any, editor: Any) -> None: ...


def migrate(groups: list[plan.Group], **options: Any) -> list[replay.Outcome]:
    outcomes = []
    for group in groups:
        prepared = replay.prepare(DDL, group)
        outcomes += [prepared.migrate(DDL, target, **options) for target in group.targets]
    return outcomes


def ask(target: ActiveTenant, query: str) -> Any:
    with context.override(target), DDL.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else None


class TestPlan:
    def test_one_group_for_who_has_applied_the_same(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(bed())
        trial.add(migrations.AddField("bed", "ward", models.TextField(default="")))
        (group,) = plan.make(DDL, clinics[:1])
        replay.prepare(DDL, group).migrate(DDL, clinics[0])

        trial.add(migrations.RunPython(noop))
        behind, ahead = sorted(groups(DDL, clinics), key=lambda group: len(group.targets))[::-1]

        assert behind.targets == tuple(clinics[1:])
        assert [str(step) for step in behind.steps] == [
            "trial.0001_made",
            "trial.0002_made",
            "trial.0003_made",
        ]
        assert [str(step) for step in ahead.steps] == ["trial.0003_made"]
        assert (ahead.how, ahead.why) == (How.EXECUTOR, "trial.0003_made runs Python")


class TestExecutor:
    def test_leaves_tables_content_types_and_permissions(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(bed())

        migrate(groups(DDL, clinics))

        assert groups(DDL, clinics) == []
        for clinic in clinics:
            assert ask(clinic, "SELECT count(*) FROM trial_bed") == [(0,)]
            with context.override(clinic):
                assert ContentType.objects.filter(app_label="trial", model="bed").exists()
                assert Permission.objects.filter(codename="view_bed").exists()

    def test_goes_backwards(self, clinics: list[ActiveTenant], trial: Trial) -> None:
        trial.add(bed())
        trial.add(migrations.AddField("bed", "ward", models.TextField(default="")))
        migrate(groups(DDL, clinics))

        migrate(groups(DDL, clinics, ("trial", "0001")))
        (group,) = groups(DDL, clinics, ("trial", "zero"))
        migrate([group])

        assert [str(step) for step in group.steps] == ["trial.0001_made backwards"]
        assert ask(clinics[0], "SELECT to_regclass('trial_bed')") == [(None,)]

    def test_what_is_not_atomic_is_run_outside_a_transaction(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(bed())
        trial.add(
            AddIndexConcurrently("bed", models.Index(fields=["code"], name="bed_code")),
            atomic=False,
        )

        migrate(groups(DDL, clinics))

        found = ask(clinics[1], "SELECT count(*) FROM pg_indexes WHERE indexname = 'bed_code'")
        assert found == [(3,)]

    def test_an_index_whose_making_was_killed_is_made_again(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(bed())
        migrate(groups(DDL, clinics))
        ask(clinics[0], "INSERT INTO trial_bed (code) VALUES ('A'), ('A')")
        with (
            context.override(clinics[0]),
            DDL.outside_transaction(),
            DDL.cursor() as cursor,
            pytest.raises(IntegrityError),
        ):
            cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY bed_code ON trial_bed (code)")
        trial.add(
            AddIndexConcurrently("bed", models.Index(fields=["code"], name="bed_code")),
            atomic=False,
        )

        migrate(groups(DDL, clinics))

        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'bed_code'::regclass"
        assert ask(clinics[0], valid) == [(True,)]

    def test_killed_between_two_migrations_it_goes_on_behind_the_first(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        is_fatal = True

        def die(apps: Any, editor: Any) -> None:
            if is_fatal:
                steps.reached("trial: about to die")

        steps.declare("trial", "about to die")
        trial.add(bed())
        trial.add(migrations.RunSQL("CREATE VIEW beds AS SELECT 1"), migrations.RunPython(die))
        trial.add(migrations.AddField("bed", "ward", models.TextField(default="")))
        before = groups(DDL, clinics)

        killed_at("trial: about to die", lambda: migrate(before))
        is_fatal = False
        half = {
            group.targets: [step.name for step in group.steps] for group in groups(DDL, clinics)
        }
        migrate(groups(DDL, clinics))

        assert half == {
            tuple(clinics[:1]): ["0002_made", "0003_made"],
            tuple(clinics[1:]): ["0001_made", "0002_made", "0003_made"],
        }
        with context.override(context.PLATFORM):
            found = catalogue.fingerprints(DDL, [clinic.schema for clinic in clinics])
        assert len(set(found.values())) == 1

    def test_a_failure_says_no_more_than_where_and_what_kind(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        def fail(apps: Any, editor: Any) -> None:
            raise ValueError("Mrs Parker")

        trial.add(bed())
        trial.add(migrations.RunPython(fail))
        (group,) = groups(DDL, clinics)

        with pytest.raises(UnableToMigrate, match=r"trial\.0002_made: ValueError") as caught:
            replay.prepare(DDL, group).migrate(DDL, clinics[0])

        assert "Parker" not in str(caught.value)
        assert ask(clinics[0], "SELECT count(*) FROM trial_bed") == [(0,)]

    def test_gives_up_on_a_lock_and_goes_on_later(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(bed())
        migrate(groups(DDL, clinics))
        trial.add(migrations.CreateModel("Ward", [("id", models.AutoField(primary_key=True))]))
        trial.add(migrations.AddField("bed", "ward", models.TextField(default="")))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)
        holder = connections.create_connection("ddl")
        try:
            with context.override(clinics[0]), holder.cursor() as cursor:
                holder.set_autocommit(False)
                cursor.execute("SELECT FROM trial_bed")
                with pytest.raises(UnableToLock, match=r"Schema 'tenant_ash'"):
                    prepared.migrate(DDL, clinics[0], lock_timeout=timedelta(milliseconds=50))
                holder.rollback()
        finally:
            holder.close()

        prepared.migrate(DDL, clinics[0])

        assert groups(DDL, clinics[:1]) == []


class TestOurs:
    def test_every_migration_goes_forward_back_and_forward(
        self, scratch: Any, committed: None
    ) -> None:
        """Of each application that a clinic has the tables of, from its end to zero."""
        clinic, other = (scratch(slug).as_active() for slug in ("ash", "birch"))
        labels = [
            config.label for config in apps.get_app_configs() if ownership.is_tenants(config.label)
        ]
        ours = [label for label in labels if apps.get_app_config(label).name.startswith("apps.")]
        assert {"patients", "chart", "fhir", "scheduling"} <= set(ours)

        for label in ours:
            migrate(plan.make(DDL, [clinic], goal=(label, "zero")))
        assert plan.make(DDL, [clinic])[0].steps
        migrate(plan.make(DDL, [clinic]))

        assert plan.make(DDL, [clinic]) == []
        with context.override(context.PLATFORM):
            found = catalogue.fingerprints(DDL, [clinic.schema, other.schema])
        assert len(set(found.values())) == 1
