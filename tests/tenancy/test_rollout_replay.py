"""Replay against Django's own operations: the same objects, content types and permissions."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres import operations as postgres
from django.db import connections, migrations, models
from django.db.migrations import operations as django_operations
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Lower
from django.db.models.signals import post_migrate
from django.test.utils import CaptureQueriesContext
from django.utils.connection import ConnectionProxy
from django_tenants.signals import schema_migrated

from tenancy import catalogue, context
from tenancy.context import ActiveTenant
from tenancy.errors import UnableToMigrate
from tenancy.ledger import How
from tenancy.references import ReferenceSchema
from tenancy.rollout import executor, operations, reference, replay
from tests.tenancy.trial import Trial, groups, installed

DDL: Any = ConnectionProxy(connections, "ddl")

# What no migration has in its list of operations.
ABSTRACT = {"Operation", "FieldOperation", "ModelOperation", "CollationOperation"}

TEXT = models.TextField(default="")
POSITIVE = models.CheckConstraint(condition=models.Q(number__gte=0), name="trial_bed_number")
BY_CODE = models.Index(fields=["code"], name="trial_bed_code")


def noop(apps: Any, editor: Any) -> None: ...


@dataclass
class Case:
    """An operation, after others that it needs."""

    operation: Operation
    before: tuple[Operation, ...] = ()
    why: str = ""
    """Why it is not replayed, where it is not."""
    is_atomic: bool = True


CASES: dict[str, Case] = {
    "CreateModel": Case(
        migrations.CreateModel(
            "Visit",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("token", models.UUIDField(default=uuid.uuid4)),
                ("bed", models.ForeignKey("trial.Bed", models.CASCADE)),
                ("wards", models.ManyToManyField("trial.Ward")),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "double",
                    models.GeneratedField(
                        expression=models.F("bed_id") * 2,
                        output_field=models.BigIntegerField(),
                        db_persist=True,
                    ),
                ),
            ],
            options={
                "permissions": [("close_visit", "Can close a visit")],
                "unique_together": {("bed", "token")},
            },
        )
    ),
    "DeleteModel": Case(
        migrations.DeleteModel("Note"),
        (migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))]),),
    ),
    "RenameModel": Case(migrations.RenameModel("Ward", "Unit")),
    "AlterModelTable": Case(migrations.AlterModelTable("ward", "trial_unit")),
    "AlterModelTableComment": Case(migrations.AlterModelTableComment("ward", "It's beds")),
    "AlterUniqueTogether": Case(migrations.AlterUniqueTogether("bed", {("code", "number")})),
    "AlterIndexTogether": Case(migrations.AlterIndexTogether("bed", {("code", "number")})),
    "AlterOrderWithRespectTo": Case(migrations.AlterOrderWithRespectTo("bed", "ward")),
    "AlterModelOptions": Case(
        migrations.AlterModelOptions("bed", {"permissions": [("make_bed", "Can make a bed")]})
    ),
    "AlterModelManagers": Case(migrations.AlterModelManagers("bed", [("all", models.Manager())])),
    "AddField": Case(
        migrations.AddField(
            "bed",
            "kind",
            models.CharField(
                max_length=20, default="it's 100%", db_index=True, db_comment="Of what kind"
            ),
        )
    ),
    "RemoveField": Case(migrations.RemoveField("bed", "number")),
    "AlterField": Case(migrations.AlterField("bed", "number", models.BigIntegerField(default=7))),
    "RenameField": Case(migrations.RenameField("bed", "ward", "unit")),
    "AddIndex": Case(migrations.AddIndex("bed", models.Index(Lower("code"), name="lower_code"))),
    "RemoveIndex": Case(
        migrations.RemoveIndex("bed", "trial_bed_code"), (migrations.AddIndex("bed", BY_CODE),)
    ),
    "RenameIndex": Case(
        migrations.RenameIndex("bed", "bed_by_code", old_name="trial_bed_code"),
        (migrations.AddIndex("bed", BY_CODE),),
    ),
    "AddConstraint": Case(migrations.AddConstraint("bed", POSITIVE)),
    "RemoveConstraint": Case(
        migrations.RemoveConstraint("bed", "trial_bed_number"),
        (migrations.AddConstraint("bed", POSITIVE),),
    ),
    "AlterConstraint": Case(
        migrations.AlterConstraint(
            "bed",
            "trial_bed_number",
            models.CheckConstraint(
                condition=models.Q(number__gte=0),
                name="trial_bed_number",
                violation_error_message="No bed has that number.",
            ),
        ),
        (migrations.AddConstraint("bed", POSITIVE),),
    ),
    "SeparateDatabaseAndState": Case(
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.AddField("bed", "kind", TEXT)],
            state_operations=[migrations.AddField("bed", "kind", TEXT)],
        )
    ),
    "RunSQL": Case(
        migrations.RunSQL(
            [
                "SELECT setval('trial_bed_id_seq', 500)",
                ("UPDATE trial_bed SET code = %s", ["100%"]),
                "CREATE VIEW beds AS SELECT code FROM trial_bed WHERE code LIKE '1%'",
            ],
            "DROP VIEW beds",
        )
    ),
    "RunPython": Case(migrations.RunPython(noop, noop), why="runs Python"),
    "AddConstraintNotValid": Case(postgres.AddConstraintNotValid("bed", POSITIVE)),
    "ValidateConstraint": Case(
        postgres.ValidateConstraint("bed", "trial_bed_number"),
        (postgres.AddConstraintNotValid("bed", POSITIVE),),
    ),
    "CreateCollation": Case(postgres.CreateCollation("plain", "C")),
    "RemoveCollation": Case(
        postgres.RemoveCollation("plain", "C"), (postgres.CreateCollation("plain", "C"),)
    ),
    "AddIndexConcurrently": Case(
        postgres.AddIndexConcurrently("bed", BY_CODE), why="is not atomic", is_atomic=False
    ),
    "RemoveIndexConcurrently": Case(
        postgres.RemoveIndexConcurrently("bed", "trial_bed_code"),
        (migrations.AddIndex("bed", BY_CODE),),
        why="is not atomic",
        is_atomic=False,
    ),
}
# An extension is the whole database's, and not every server has it: only planned here.
EXTENSIONS: dict[str, Operation] = {
    "CreateExtension": postgres.CreateExtension("pg_trgm"),
    "BloomExtension": postgres.BloomExtension(),
    "BtreeGinExtension": postgres.BtreeGinExtension(),
    "BtreeGistExtension": postgres.BtreeGistExtension(),
    "CITextExtension": postgres.CITextExtension(),
    "CryptoExtension": postgres.CryptoExtension(),
    "HStoreExtension": postgres.HStoreExtension(),
    "TrigramExtension": postgres.TrigramExtension(),
    "UnaccentExtension": postgres.UnaccentExtension(),
}


def wards_and_beds() -> list[Operation]:
    return [
        migrations.CreateModel(
            "Ward",
            [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())],
        ),
        migrations.CreateModel(
            "Bed",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("code", models.CharField(max_length=20)),
                ("number", models.IntegerField(null=True)),
                ("ward", models.ForeignKey("trial.Ward", models.CASCADE, null=True)),
            ],
        ),
    ]


ROWS = """
    INSERT INTO trial_ward (name) VALUES ('East'), ('West');
    INSERT INTO trial_bed (code, number, ward_id)
    SELECT 'bed' || id, nullif(id, 1), id FROM trial_ward
"""


@pytest.fixture
def trial(tmp_path: Path, committed: None) -> Iterator[Trial]:
    yield from installed(tmp_path)


@pytest.fixture
def clinics(scratch: Any) -> list[ActiveTenant]:
    """Two clinics, made before there was the application."""
    return [scratch(slug).as_active() for slug in ("ash", "birch")]


@pytest.fixture
def beds(trial: Trial, clinics: list[ActiveTenant]) -> Trial:
    """Both have wards and beds with rows in them."""
    trial.add(*wards_and_beds())
    migrate_by_executor(clinics)
    for clinic in clinics:
        ask(clinic, ROWS)
    return trial


def ask(target: ActiveTenant, query: str) -> Any:
    with context.override(target), DDL.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall() if cursor.description else None


def migrate_by_executor(targets: list[ActiveTenant], goal: Any = None) -> None:
    for group in groups(DDL, targets, goal):
        run = executor.Executor(group.applied, group.steps)
        for target in group.targets:
            run.migrate(
                DDL,
                target,
                lock_timeout=replay.LOCK_TIMEOUT,
                last_word=lambda how, send: None,
            )


def _keep_no_reference_but_the_current() -> None:
    """Of those that other tests left behind only a few are tried."""
    with context.override(context.PLATFORM):
        key = reference.current(type="").key
        ReferenceSchema.objects.using("ddl").exclude(key=key).delete()


def replayed(targets: list[ActiveTenant], goal: Any = None) -> replay.Prepared:
    """Replay what `targets` lack; all of them must be in one group, and look as they should."""
    (group,) = groups(DDL, targets, goal)
    prepared = replay.prepare(DDL, group)
    assert (prepared.group.how, prepared.group.why, prepared.different) == (How.REPLAY, "", [])
    for target in targets:
        assert prepared.migrate(DDL, target).how == How.REPLAY
    assert prepared.check(DDL, targets) == {}
    return prepared


def assert_same(targets: list[ActiveTenant]) -> None:
    with context.override(context.PLATFORM):
        ours, theirs = (catalogue.read(DDL, [target.schema])[target.schema] for target in targets)
        assert ours == theirs
        found = catalogue.fingerprints(DDL, [target.schema for target in targets])
    assert len(set(found.values())) == 1
    one, other = (
        ask(target, "SELECT app, name FROM django_migrations ORDER BY app, name")
        for target in targets
    )
    assert one == other


class TestEveryOperation:
    def test_has_a_case(self) -> None:
        """One that a later Django adds is not replayed before it has one."""
        known = {
            name
            for module in (django_operations, postgres)
            for name, each in inspect.getmembers(module, inspect.isclass)
            if issubclass(each, Operation) and name not in ABSTRACT
        }

        assert known - {*CASES, *EXTENSIONS} == set()

    @pytest.mark.parametrize("name", CASES)
    def test_forward_and_back(self, clinics: list[ActiveTenant], beds: Trial, name: str) -> None:
        case = CASES[name]
        ash, birch = clinics
        beds.add(*case.before)
        migrate_by_executor(clinics)
        beds.add(case.operation, atomic=case.is_atomic)

        (group,) = groups(DDL, [ash])
        assert group.why == (f"trial.0003_made {case.why}" if case.why else "")
        self._migrate(ash, birch, case)
        assert_same(clinics)

        if case.operation.reversible:
            self._migrate(ash, birch, case, ("trial", "0002"))
            assert_same(clinics)

    def _migrate(
        self, ash: ActiveTenant, birch: ActiveTenant, case: Case, goal: Any = None
    ) -> None:
        migrate_by_executor([birch], goal)
        if case.why:
            migrate_by_executor([ash], goal)
        else:
            replayed([ash], goal)

    @pytest.mark.parametrize("name", EXTENSIONS)
    def test_extensions_are_djangos(
        self, clinics: list[ActiveTenant], trial: Trial, name: str
    ) -> None:
        trial.add(EXTENSIONS[name])

        (group,) = groups(DDL, clinics)

        assert group.how == How.EXECUTOR
        assert "whole database's" in group.why


class TestWhatIsNotReplayed:
    """What would be one schema's in another's."""

    @pytest.mark.parametrize(
        ("field", "why"),
        [
            (models.UUIDField(default=uuid.uuid4), "the default of trial.Bed.late is worked out"),
            (models.DateField(default=date.today), "the default of trial.Bed.late is worked out"),
            (models.DateField(auto_now_add=True), "the default of trial.Bed.late"),
        ],
        ids=["random", "today", "auto_now_add"],
    )
    def test_defaults_that_are_worked_out(
        self, clinics: list[ActiveTenant], beds: Trial, field: Any, why: str
    ) -> None:
        beds.add(migrations.AddField("bed", "late", field))
        (group,) = groups(DDL, clinics)

        prepared = replay.prepare(DDL, group)

        assert prepared.group.how == How.EXECUTOR
        assert prepared.group.why.startswith(why)
        assert prepared.migrate(DDL, clinics[0]).how == How.EXECUTOR

    def test_somebody_elses_operation(self, clinics: list[ActiveTenant], trial: Trial) -> None:
        class TheirCreateModel(migrations.CreateModel):
            pass

        trial.add(TheirCreateModel("Bed", [("id", models.BigAutoField(primary_key=True))]))

        (group,) = groups(DDL, clinics)

        assert group.how == How.EXECUTOR
        assert group.why == "trial.0001_made has TheirCreateModel, which is not Django's own"

    def test_python_inside_another_operation(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        trial.add(migrations.SeparateDatabaseAndState([migrations.RunPython(noop)]))

        (group,) = groups(DDL, clinics)

        assert group.why == "trial.0001_made runs Python"

    def test_where_somebody_else_is_told_of_migrations(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        def told(**kwargs: Any) -> None: ...

        trial.add(*wards_and_beds())
        post_migrate.connect(told)
        try:
            (group,) = groups(DDL, clinics)
        finally:
            post_migrate.disconnect(told)

        assert group.how == How.EXECUTOR
        assert group.why.endswith("told is told of each migration")

    def test_sql_that_names_the_schema(
        self, clinics: list[ActiveTenant], beds: Trial, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beds.add(NamesItsSchema())
        monkeypatch.setattr(operations, "REPLAYED", operations.REPLAYED | {NamesItsSchema})
        (group,) = groups(DDL, clinics)

        prepared = replay.prepare(DDL, group)

        assert prepared.group.how == How.EXECUTOR
        assert prepared.group.why.startswith(("it names its schema", "it does not send the same"))

    def test_a_schema_that_looks_different(self, clinics: list[ActiveTenant], beds: Trial) -> None:
        birch = clinics[1]
        ask(birch, "CREATE INDEX by_hand ON trial_bed (number)")
        beds.add(migrations.AddField("bed", "kind", TEXT))
        (group,) = groups(DDL, clinics)

        prepared = replay.prepare(DDL, group)
        how = [prepared.migrate(DDL, each).how for each in clinics]

        assert prepared.different == [birch.schema]
        assert how == [How.REPLAY, How.EXECUTOR]
        assert groups(DDL, clinics) == []


class NamesItsSchema(Operation):
    """What an operation must not do, and a check of the recording finds."""

    def state_forwards(self, app_label: str, state: Any) -> None: ...

    def database_forwards(self, app_label: str, editor: Any, before: Any, after: Any) -> None:
        schema = editor.connection.schema_name
        editor.execute(f'COMMENT ON TABLE "{schema}".trial_bed IS NULL', None)


class TestReplay:
    def test_is_one_message_and_the_commit(self, clinics: list[ActiveTenant], beds: Trial) -> None:
        beds.add(migrations.AddField("bed", "kind", TEXT))
        beds.add(migrations.AddIndex("bed", BY_CODE))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)

        with CaptureQueriesContext(DDL) as captured:
            prepared.migrate(DDL, clinics[0])

        sent = [each["sql"] for each in captured if each["sql"] not in ("BEGIN", "COMMIT")]
        assert len(sent) == 1

    def test_a_failing_constraint_fails_one(self, clinics: list[ActiveTenant], beds: Trial) -> None:
        """Of two migrations neither is there, and nothing is said of whose row it was."""
        ash, birch = clinics
        ask(ash, "UPDATE trial_bed SET number = -13")
        beds.add(migrations.AddField("bed", "kind", TEXT))
        beds.add(migrations.AddConstraint("bed", POSITIVE))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)

        with pytest.raises(UnableToMigrate, match=r"'tenant_ash'.*trial_bed_number") as caught:
            prepared.migrate(DDL, ash)
        prepared.migrate(DDL, birch)

        assert "13" not in str(caught.value).replace("(23514)", "")
        (still,) = groups(DDL, clinics)
        assert (still.targets, len(still.steps)) == ((ash,), 2)
        assert ask(
            ash,
            "SELECT count(*) FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND column_name = 'kind'",
        ) == [(0,)]

    def test_the_callers_word_is_in_the_same_transaction(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        beds.add(migrations.AddField("bed", "kind", TEXT))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)

        def refuse(how: How, send: Any) -> None:
            raise RuntimeError("the ledger is gone")

        with pytest.raises(RuntimeError):
            prepared.migrate(DDL, clinics[0], last_word=refuse)

        assert groups(DDL, clinics) == [group]

    def test_null_to_not_null_fills_rows_and_checks_what_was_deferred(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        """The update leaves triggers of the foreign key to be fired, and a later one alters."""
        east = "SELECT min(id) FROM trial_ward"
        ask(clinics[0], f"UPDATE trial_bed SET ward_id = NULL WHERE ward_id = ({east})")
        ((first,),) = ask(clinics[0], east)
        ward = models.ForeignKey("trial.Ward", models.CASCADE, default=first)
        beds.add(migrations.AlterField("bed", "ward", ward))
        beds.add(migrations.RunSQL(f"UPDATE trial_bed SET ward_id = {first}"))
        beds.add(migrations.AddField("bed", "kind", TEXT))

        replayed([clinics[0]])

        assert ask(clinics[0], "SELECT DISTINCT ward_id FROM trial_bed") == [(first,)]

    def test_is_recorded_in_what_new_tenants_got_before(
        self, clinics: list[ActiveTenant], trial: Trial
    ) -> None:
        """And not in a schema that is migrated from zero, where that was kept."""
        _keep_no_reference_but_the_current()
        trial.add(*wards_and_beds())
        (group,) = groups(DDL, clinics)

        with CaptureQueriesContext(DDL) as captured:
            prepared = replay.prepare(DDL, group)

        made = [each["sql"] for each in captured if "patients_patient" in each["sql"]]
        assert sum("CREATE TABLE" in each for each in made) == 1
        assert (prepared.group.how, prepared.different) == (How.REPLAY, [])

    def test_what_one_migration_deferred_does_not_stop_the_next(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        """PostgreSQL alters no table whose foreign keys are still to be checked."""
        beds.add(
            migrations.RunSQL("UPDATE trial_bed SET ward_id = (SELECT max(id) FROM trial_ward)")
        )
        beds.add(migrations.AddField("bed", "kind", TEXT))

        replayed([clinics[0]])

        assert ask(clinics[0], "SELECT count(DISTINCT ward_id), min(kind) FROM trial_bed") == [
            (1, "")
        ]

    def test_who_was_migrated_meanwhile_is_left_alone(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        beds.add(migrations.RunSQL("UPDATE trial_bed SET number = number + 1"))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)
        prepared.migrate(DDL, clinics[0])

        with pytest.raises(UnableToMigrate, match="by somebody else"):
            prepared.migrate(DDL, clinics[0])

    def test_content_types_that_a_clinic_lost_or_kept_are_djangos_business(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        """Both lack one and have a stale one under the name that a model is going to have."""
        for clinic in clinics:
            ask(clinic, "DELETE FROM auth_permission WHERE codename = 'view_bed'")
            ask(
                clinic,
                "INSERT INTO django_content_type (app_label, model) VALUES ('trial', 'unit')",
            )
        beds.add(migrations.RenameModel("Ward", "Unit"))

        migrate_by_executor(clinics[1:])
        replayed(clinics[:1])

        assert_same(clinics)

    def test_a_schema_that_came_out_different_is_named(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        beds.add(migrations.AddField("bed", "kind", TEXT))
        (group,) = groups(DDL, clinics)
        prepared = replay.prepare(DDL, group)
        for clinic in clinics:
            prepared.migrate(DDL, clinic)
        ask(clinics[1], "ALTER TABLE trial_bed ALTER kind SET DEFAULT 'x'")

        found = prepared.check(DDL, clinics)

        assert list(found) == [clinics[1].schema]
        assert "trial_bed" in found[clinics[1].schema]

    def test_first_data_is_written_where_the_reference_has_some(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        calls: list[str] = []

        def note(sender: Any, *, schema_name: str, **kwargs: Any) -> None:
            calls.append(schema_name)
            with DDL.cursor() as cursor:
                cursor.execute("SELECT to_regclass('trial_note') IS NOT NULL")
                if cursor.fetchone() == (True,):
                    cursor.execute("INSERT INTO trial_note DEFAULT VALUES")

        schema_migrated.connect(note)
        try:
            beds.add(migrations.AddField("bed", "kind", TEXT))
            replayed(clinics)
            without = [name for name in calls if name.startswith("tenant_")]
            beds.add(
                migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True))])
            )
            replayed(clinics)
        finally:
            schema_migrated.disconnect(note)

        assert without == []
        assert [ask(each, "SELECT count(*) FROM trial_note") for each in clinics] == [[(1,)]] * 2

    def test_squashed_migrations_are_recorded(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        beds.add(migrations.AddField("bed", "kind", TEXT))
        replayed(clinics)
        name = beds.add(
            *wards_and_beds(),
            migrations.AddField("bed", "kind", TEXT),
            replaces=[("trial", "0001_made"), ("trial", "0002_made")],
            dependencies=[("contenttypes", "0001_initial")],
        )

        (group,) = groups(DDL, clinics)
        replayed(clinics[:1])
        migrate_by_executor(clinics[1:])

        assert [str(step) for step in group.steps] == [f"trial.{name}"]
        assert groups(DDL, clinics) == []
        assert_same(clinics)


class TestProblems:
    def test_a_history_that_cannot_be_is_one_schemas_failure(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        ash, birch = clinics
        beds.add(migrations.AddField("bed", "kind", TEXT))
        replayed(clinics)
        ask(ash, "DELETE FROM django_migrations WHERE app = 'trial' AND name LIKE '0001%'")
        beds.add(migrations.AddIndex("bed", BY_CODE))

        found = {group.targets: group for group in groups(DDL, clinics)}

        assert "trial.0002_made is applied before trial.0001_made" in found[(ash,)].problem
        with pytest.raises(UnableToMigrate, match="needs a look"):
            replay.prepare(DDL, found[(ash,)]).migrate(DDL, ash)
        assert replay.prepare(DDL, found[(birch,)]).migrate(DDL, birch).how == How.REPLAY

    def test_a_migration_that_the_code_does_not_know_is_no_problem(
        self, clinics: list[ActiveTenant], beds: Trial
    ) -> None:
        ask(
            clinics[0],
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('trial', '0009_of_tomorrow', now())",
        )
        beds.add(migrations.AddField("bed", "kind", TEXT))

        for group in groups(DDL, clinics):
            prepared = replay.prepare(DDL, group)
            assert prepared.migrate(DDL, group.targets[0]).how == How.REPLAY

    @pytest.mark.parametrize(
        ("goal", "said"),
        [
            (("nowhere", None), "nowhere"),
            (("trial", "0007"), "No migration of 'trial' begins with '0007'"),
            (("trial", "000"), "More than one migration of 'trial'"),
        ],
    )
    def test_a_goal_that_there_is_not(
        self, clinics: list[ActiveTenant], beds: Trial, goal: Any, said: str
    ) -> None:
        beds.add(migrations.AddField("bed", "kind", TEXT))

        with pytest.raises(UnableToMigrate, match=said):
            groups(DDL, clinics, goal)

    def test_what_cannot_be_undone(self, clinics: list[ActiveTenant], beds: Trial) -> None:
        beds.add(migrations.RunSQL("SELECT 1"))
        replayed(clinics)

        (group,) = groups(DDL, clinics, ("trial", "0001"))

        assert "trial.0002_made cannot be undone: RunSQL" in group.problem
