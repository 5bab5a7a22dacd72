"""A migration that would break the release before it is found, and its good twin is not."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import invalidate_caches
from pathlib import Path
from textwrap import indent
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, connections
from django.db.migrations.exceptions import NodeNotFoundError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from clinicx import opening
from tenancy import context
from tenancy.checks.migrations import RULES, check, types
from tenancy.models import Organization

HOWTO = Path(__file__).parent.parent.parent / "docs/howto/write-a-safe-migration.md"

HEAD = """
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import (
    AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
)
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now, Upper

def fill(apps, schema_editor):
    apps.get_model("fhir", "Bed").objects.using(schema_editor.connection.alias).update(size=1)

"""
FIRST = """
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Ward", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel(
            "Bed",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=50)),
                ("phone", models.CharField(max_length=20, null=True)),
                ("note", models.TextField(null=True)),
                ("size", models.IntegerField(null=True)),
                ("price", models.DecimalField(max_digits=5, decimal_places=2, null=True)),
                ("code", models.CharField(max_length=10)),
                ("grade", models.CharField(max_length=10, db_default="a")),
                ("ward_number", models.BigIntegerField(null=True)),
                ("number", models.IntegerField(null=True, db_index=True)),
                (
                    "main",
                    models.ForeignKey("fhir.Ward", models.CASCADE, null=True, related_name="+"),
                ),
                ("wards", models.ManyToManyField("fhir.Ward")),
            ],
        ),
    ]
"""


def migration(*operations: str, atomic: bool = True, allow: str = "") -> str:
    """Return the class of a migration with these operations."""
    body = f"operations = [{', '.join(operations)}]\n"
    if not atomic:
        body += "atomic = False\n"
    if allow:
        body += f"tenancy_allow = {allow}\n"
    return "class Migration(migrations.Migration):\n" + indent(body, "    ")


def only_state(operation: str) -> str:
    return f"migrations.SeparateDatabaseAndState(state_operations=[{operation}])"


def only_database(operation: str) -> str:
    return f"migrations.SeparateDatabaseAndState(database_operations=[{operation}])"


ADD_FLOOR = 'migrations.AddField("bed", "floor", models.IntegerField(null=True))'
SIZE_IS_BIG = 'migrations.AlterField("bed", "size", models.BigIntegerField(null=True))'
FILL = "migrations.RunPython(fill, migrations.RunPython.noop)"
POSITIVE = 'models.CheckConstraint(condition=Q(size__gt=0), name="bed_size")'
GIVEN = 'models.CheckConstraint(condition=Q(phone__isnull=False), name="bed_phone")'
PHONE_IS_GIVEN = 'migrations.AlterField("bed", "phone", models.CharField(max_length=20))'
ONE_NAME = 'models.UniqueConstraint(fields=["name"], name="bed_name")'
BY_SIZE = 'models.Index(fields=["size"], name="bed_by_size")'
TO_WARD = (
    'models.ForeignKey("fhir.Ward", models.CASCADE, null=True, db_column="ward_number", '
    "db_index=False{})"
)
WARD = 'migrations.AlterField("bed", "ward_number", {})'


@dataclass
class Pair:
    """What a rule finds, what it does not, and what it says of it."""

    id: str
    bad: list[str]
    good: list[str]
    says: str
    is_large: bool = False
    beside: tuple[str, ...] = ()
    """What else is said of the bad one."""


PAIRS = {
    "column dropped": Pair(
        "tenancy.E070",
        [migration('migrations.RemoveField("bed", "phone")')],
        [
            migration(only_state('migrations.RemoveField("bed", "phone")')),
            migration(
                'migrations.RunSQL("ALTER TABLE fhir_bed DROP COLUMN phone", '
                '"ALTER TABLE fhir_bed ADD COLUMN phone varchar(20)")'
            ),
        ],
        "drops the column fhir_bed.phone, which the running release reads",
    ),
    "column dropped that is NOT NULL": Pair(
        "tenancy.E070",
        [migration('migrations.RemoveField("bed", "code")')],
        [migration('migrations.AlterField("bed", "code", models.CharField(max_length=20))')],
        "drops the column fhir_bed.code",
    ),
    "column dropped in the database": Pair(
        "tenancy.E070",
        [migration(only_database('migrations.RemoveField("bed", "phone")'))],
        [migration(only_state('migrations.RemoveField("bed", "phone")'))],
        "drops the column fhir_bed.phone",
    ),
    "column dropped and added again": Pair(
        "tenancy.E070",
        [
            migration(ADD_FLOOR),
            migration('migrations.RemoveField("bed", "floor")'),
        ],
        [
            migration(
                'migrations.CreateModel("Lamp", [("id", models.BigAutoField(primary_key=True)), '
                '("watts", models.IntegerField())])',
                'migrations.RemoveField("lamp", "watts")',
                'migrations.DeleteModel("lamp")',
            )
        ],
        "drops the column fhir_bed.floor",
    ),
    "table between two dropped": Pair(
        "tenancy.E070",
        [migration('migrations.RemoveField("bed", "wards")')],
        [migration(only_state('migrations.RemoveField("bed", "wards")'))],
        "drops the table fhir_bed_wards",
    ),
    "table dropped": Pair(
        "tenancy.E070",
        [migration('migrations.DeleteModel("bed")')],
        [migration(only_state('migrations.DeleteModel("bed")'))],
        "drops the table fhir_bed,",
    ),
    "column renamed": Pair(
        "tenancy.E070",
        [migration('migrations.RenameField("bed", "phone", "telephone")')],
        [
            migration(
                'migrations.AlterField("bed", "phone", '
                'models.CharField(max_length=20, null=True, db_column="phone"))',
                'migrations.RenameField("bed", "phone", "telephone")',
            )
        ],
        "renames the column fhir_bed.phone to telephone",
    ),
    "column of a foreign key renamed": Pair(
        "tenancy.E070",
        [migration('migrations.RenameField("bed", "main", "chief")')],
        [
            migration(
                'migrations.AlterField("bed", "main", models.ForeignKey("fhir.Ward", '
                'models.CASCADE, null=True, related_name="+", db_column="main_id"))',
                'migrations.RenameField("bed", "main", "chief")',
            )
        ],
        "renames the column fhir_bed.main_id to chief_id",
    ),
    "column altered to another name": Pair(
        "tenancy.E070",
        [
            migration(
                'migrations.AlterField("bed", "phone", '
                'models.CharField(max_length=20, null=True, db_column="telephone"))'
            )
        ],
        [
            migration(
                'migrations.AlterField("bed", "phone", '
                'models.CharField(max_length=20, null=True, help_text="By day."))'
            )
        ],
        "renames the column fhir_bed.phone to telephone",
    ),
    "table renamed": Pair(
        "tenancy.E070",
        [migration('migrations.RenameModel("Bed", "Berth")')],
        [
            migration('migrations.AlterModelTable("bed", "fhir_bed")'),
            migration(
                only_state('migrations.RemoveField("bed", "wards")'),
                'migrations.RenameModel("Bed", "Berth")',
            ),
        ],
        "renames the table fhir_bed to fhir_berth",
    ),
    "table altered to another name": Pair(
        "tenancy.E070",
        [migration('migrations.AlterModelTable("bed", "berths")')],
        [migration('migrations.AlterModelTable("bed", "fhir_bed")')],
        "renames the table fhir_bed to berths",
    ),
    "column added NOT NULL": Pair(
        "tenancy.E071",
        [migration('migrations.AddField("bed", "floor", models.IntegerField(default=0))')],
        [
            migration(
                'migrations.AddField("bed", "floor", models.IntegerField(default=0, db_default=0))',
                'migrations.AddField("bed", "lift", models.IntegerField(null=True))',
                'migrations.AddField("bed", "others", models.ManyToManyField("fhir.Bed"))',
            )
        ],
        "fhir_bed.floor is NOT NULL, and the running release inserts rows without it",
    ),
    "column forgotten NOT NULL": Pair(
        "tenancy.E071",
        [migration(only_state('migrations.RemoveField("bed", "code")'))],
        [
            migration(
                'migrations.AlterField("bed", "code", models.CharField(max_length=10, null=True))',
                only_state('migrations.RemoveField("bed", "code")'),
            ),
            migration(only_state('migrations.RemoveField("bed", "grade")')),
        ],
        "fhir_bed.code is NOT NULL, and this release inserts rows without it",
    ),
    "default dropped": Pair(
        "tenancy.E071",
        [migration('migrations.AlterField("bed", "grade", models.CharField(max_length=10))')],
        [
            migration(
                'migrations.AlterField("bed", "grade", '
                'models.CharField(max_length=10, db_default="b"))'
            )
        ],
        "the running release leaves its value to the default that goes",
    ),
    "type changed": Pair(
        "tenancy.W072",
        [migration(SIZE_IS_BIG)],
        [
            migration(
                'migrations.AlterField("bed", "name", models.CharField(max_length=90))',
                'migrations.AlterField("bed", "name", models.TextField())',
                'migrations.AlterField("bed", "price", '
                "models.DecimalField(max_digits=9, decimal_places=2, null=True))",
            )
        ],
        "writes all of fhir_bed anew, for 'size' to become bigint from integer",
    ),
    "type changed by what it points at": Pair(
        "tenancy.W072",
        [
            migration(
                'migrations.AlterField("bed", "size", models.ForeignKey('
                '"fhir.Ward", models.CASCADE, null=True, db_column="size"))'
            )
        ],
        [migration(WARD.format(TO_WARD.format("")))],
        "for 'size' to become bigint from integer",
    ),
    "another default for each row": Pair(
        "tenancy.W072",
        [migration('migrations.AddField("bed", "x", models.UUIDField(db_default=RandomUUID()))')],
        [
            migration(
                'migrations.AddField("bed", "x", models.DateTimeField(db_default=Now()))',
                'migrations.AddField("bed", "y", models.UUIDField(null=True))',
                'migrations.AlterField("bed", "y", '
                "models.UUIDField(null=True, db_default=RandomUUID()))",
            )
        ],
        "as its db_default is another for each row",
    ),
    "stored generated column": Pair(
        "tenancy.W072",
        [
            migration(
                'migrations.AddField("bed", "loud", models.GeneratedField(expression=Upper("name"),'
                " output_field=models.TextField(), db_persist=True))"
            )
        ],
        [migration(ADD_FLOOR)],
        "to compute a stored generated column",
    ),
    "NOT NULL": Pair(
        "tenancy.W073",
        [migration(PHONE_IS_GIVEN)],
        [
            migration(f'AddConstraintNotValid("bed", {GIVEN})'),
            migration('ValidateConstraint("bed", "bed_phone")'),
            migration(PHONE_IS_GIVEN),
        ],
        "reads all of fhir_bed while nobody may write it",
    ),
    "NOT NULL with a constraint that is not valid": Pair(
        "tenancy.W073",
        [migration(f'AddConstraintNotValid("bed", {GIVEN})'), migration(PHONE_IS_GIVEN)],
        [
            migration(f'migrations.AddConstraint("bed", {GIVEN})'),
            migration(PHONE_IS_GIVEN),
        ],
        "where 'phone' is NULL in any row",
    ),
    "index": Pair(
        "tenancy.W074",
        [migration(f'migrations.AddIndex("bed", {BY_SIZE})')],
        [migration(f'AddIndexConcurrently("bed", {BY_SIZE})', atomic=False)],
        "builds an index of fhir.Bed, a large table",
        is_large=True,
    ),
    "index of a column": Pair(
        "tenancy.W074",
        [
            migration(
                'migrations.AlterField("bed", "size", '
                "models.IntegerField(null=True, db_index=True))"
            )
        ],
        [
            migration(
                'migrations.AlterField("bed", "size", models.IntegerField(default=1, null=True))',
                'migrations.AlterField("bed", "number", '
                "models.IntegerField(default=1, null=True, db_index=True))",
            )
        ],
        "builds an index of fhir.Bed",
        is_large=True,
    ),
    "index of a new column": Pair(
        "tenancy.W074",
        [migration('migrations.AddField("bed", "x", models.UUIDField(null=True, unique=True))')],
        [migration('migrations.AddField("bed", "x", models.UUIDField(null=True))')],
        "builds an index of fhir.Bed",
        is_large=True,
    ),
    "constraint": Pair(
        "tenancy.W075",
        [migration(f'migrations.AddConstraint("bed", {POSITIVE})')],
        [
            migration(f'AddConstraintNotValid("bed", {POSITIVE})'),
            migration('ValidateConstraint("bed", "bed_size")'),
        ],
        "proves a constraint of fhir.Bed, a large table",
        is_large=True,
    ),
    "constraint that is validated at once": Pair(
        "tenancy.W075",
        [
            migration(
                f'AddConstraintNotValid("bed", {POSITIVE})',
                'ValidateConstraint("bed", "bed_size")',
            )
        ],
        [migration(f'AddConstraintNotValid("bed", {POSITIVE})')],
        "proves a constraint of fhir.Bed",
        is_large=True,
    ),
    "unique": Pair(
        "tenancy.W075",
        [migration(f'migrations.AddConstraint("bed", {ONE_NAME})')],
        [
            migration(
                'migrations.RunSQL("CREATE UNIQUE INDEX CONCURRENTLY bed_name ON fhir_bed (name)",'
                ' "DROP INDEX bed_name", '
                f'state_operations=[migrations.AddConstraint("bed", {ONE_NAME})])',
                atomic=False,
            )
        ],
        "proves a constraint of fhir.Bed",
        is_large=True,
    ),
    "unique together": Pair(
        "tenancy.W075",
        [migration('migrations.AlterUniqueTogether("bed", {("name", "code")})')],
        [migration('migrations.AlterUniqueTogether("bed", set())')],
        "proves a constraint of fhir.Bed",
        is_large=True,
    ),
    "foreign key": Pair(
        "tenancy.W075",
        [migration(WARD.format(TO_WARD.format("")))],
        [
            migration(
                WARD.format(TO_WARD.format(", db_constraint=False")),
                'migrations.AlterField("bed", "main", models.ForeignKey("fhir.Ward", '
                'models.PROTECT, null=True, related_name="+"))',
            )
        ],
        "proves a constraint of fhir.Bed",
        is_large=True,
    ),
    "rows and tables": Pair(
        "tenancy.W076",
        [migration(ADD_FLOOR, FILL)],
        [
            migration(ADD_FLOOR),
            migration(FILL),
            migration(FILL, 'migrations.RenameModel("Ward", "Hall")', atomic=False),
            migration(
                'migrations.AddField("bed", "lift", models.IntegerField(null=True))',
                "migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)",
            ),
        ],
        "Operation 2 (Raw Python operation) changes rows in the transaction in which Operation 1",
    ),
    "rows by SQL": Pair(
        "tenancy.W076",
        [migration('migrations.RunSQL("UPDATE fhir_bed SET size = 1", "")', ADD_FLOOR)],
        [
            migration('migrations.RunSQL("COMMENT ON TABLE fhir_bed IS \'x\'", "")', ADD_FLOOR),
            migration('migrations.AlterModelOptions("bed", {"ordering": ["name"]})', FILL),
            migration(
                'migrations.AlterField("bed", "code", '
                'models.CharField(max_length=10, help_text="Its door."))',
                FILL,
            ),
        ],
        "locks fhir_bed",
    ),
    "no way back": Pair(
        "tenancy.W077",
        [migration("migrations.RunPython(fill)")],
        [migration(FILL)],
        "has no way back",
    ),
    "no way back by SQL": Pair(
        "tenancy.W077",
        [migration("migrations.RunSQL(\"COMMENT ON TABLE fhir_bed IS 'x'\")")],
        [migration('migrations.RunSQL("COMMENT ON TABLE fhir_bed IS \'x\'", "")')],
        "has no way back",
    ),
    "half done": Pair(
        "tenancy.W078",
        [migration(ADD_FLOOR, f'AddIndexConcurrently("bed", {BY_SIZE})', atomic=False)],
        [migration(ADD_FLOOR), migration(f'AddIndexConcurrently("bed", {BY_SIZE})', atomic=False)],
        "has 2 operations: where one fails",
    ),
    "concurrently in a transaction": Pair(
        "tenancy.W078",
        [migration(f'AddIndexConcurrently("bed", {BY_SIZE})')],
        [migration(f'AddIndexConcurrently("bed", {BY_SIZE})', atomic=False)],
        "cannot run in a transaction",
    ),
    "not atomic for nothing": Pair(
        "tenancy.W078",
        [migration(ADD_FLOOR, atomic=False)],
        [migration(FILL, atomic=False)],
        "needs a transaction like any other",
    ),
}

Write = Callable[..., MigrationLoader]


@pytest.fixture
def write(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A function that gives `fhir` these migrations after FIRST; it returns what loads them."""
    packages: list[str] = []

    def write(*texts: str, folder: Path = tmp_path) -> MigrationLoader:
        package = f"migrations_{uuid4().hex}"
        packages.append(package)
        place = folder / package
        place.mkdir(parents=True)
        (place / "__init__.py").touch()
        for number, text in enumerate([FIRST, *texts]):
            before = [("fhir", f"m{number - 1:04}")] if number else []
            text = f"{HEAD}\n{text}\nMigration.dependencies = {before}\n"
            (place / f"m{number:04}.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        invalidate_caches()
        settings.MIGRATION_MODULES = {"fhir": package}
        return MigrationLoader(None)

    yield write
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]


def told() -> list[CheckMessage]:
    return check([apps.get_app_config("fhir")])


def run(loader: MigrationLoader, organization: Organization) -> None:
    """Run the migrations of `fhir` in a clinic: there, back to nothing, there again and back."""
    names = sorted(name for app, name in loader.disk_migrations if app == "fhir")
    steps = [loader.disk_migrations["fhir", name] for name in names]
    states = [ProjectState()]
    for step in steps:
        states.append(step.mutate_state(states[-1], preserve=True))
    there = [(step, states[number], step.apply) for number, step in enumerate(steps)]
    back = [(step, states[number], step.unapply) for number, step in enumerate(steps)][::-1]
    with context.override(organization.as_active()):
        for step, state, go in (there + back) * 2:
            with connections["ddl"].schema_editor(atomic=step.atomic) as editor:
                go(state.clone(), editor)


class TestEachRule:
    @pytest.mark.parametrize("name", PAIRS)
    def test_finds_the_bad_one(self, write: Write, settings: Any, name: str) -> None:
        pair = PAIRS[name]
        settings.TENANCY_LARGE_MODELS = {"fhir.Bed"} if pair.is_large else set()
        write(*pair.bad)

        messages = told()
        by_id = {message.id: message for message in messages}

        assert len(by_id) == len(messages)
        assert set(by_id) == {pair.id, *pair.beside}
        message = by_id[pair.id]
        assert pair.says in message.msg
        assert message.obj.endswith(f"/m{len(pair.bad):04}.py")
        assert message.is_serious() == pair.id.startswith("tenancy.E")
        assert "Or, with a reason: tenancy_allow = {" in str(message.hint)

    @pytest.mark.parametrize("name", PAIRS)
    def test_says_nothing_of_the_good_one(self, write: Write, settings: Any, name: str) -> None:
        pair = PAIRS[name]
        settings.TENANCY_LARGE_MODELS = {"fhir.Bed"} if pair.is_large else set()
        write(*pair.good)

        assert [message for message in told() if message.id == pair.id] == []

    @pytest.mark.parametrize("name", PAIRS)
    def test_is_silent_where_a_reason_is_given(
        self, write: Write, settings: Any, name: str
    ) -> None:
        pair = PAIRS[name]
        settings.TENANCY_LARGE_MODELS = {"fhir.Bed"} if pair.is_large else set()
        allowed = f"\nMigration.tenancy_allow = {{{pair.id!r}: 'Nobody uses it yet.'}}\n"
        write(*(text + allowed for text in pair.bad))

        assert pair.id not in [message.id for message in told()]

    @pytest.mark.parametrize("name", [name for name, pair in PAIRS.items() if pair.is_large])
    def test_leaves_small_tables_alone(self, write: Write, name: str) -> None:
        write(*PAIRS[name].bad)

        assert PAIRS[name].id not in [message.id for message in told()]

    def test_has_a_pair(self) -> None:
        assert {pair.id for pair in PAIRS.values()} == set(RULES)


class TestGoodOnes:
    @pytest.mark.slow
    def test_really_run(self, write: Write, scratch: Callable[[str], Organization]) -> None:
        """
        What is told to type works, there and back again.
        """
        clinic = scratch("good")
        for pair in PAIRS.values():
            run(write(*pair.good), clinic)


class TestHowto:
    def examples(self) -> list[str]:
        text = HOWTO.read_text().replace("wards", "fhir")
        return re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    def test_is_right(
        self, write: Write, settings: Any, scratch: Callable[[str], Organization]
    ) -> None:
        """
        Nothing is said of its examples, and they run, there and back.
        """
        clinic = scratch("howto")
        settings.TENANCY_LARGE_MODELS = {"fhir.Bed"}
        loader = write(*self.examples())

        assert told() == []
        assert len(self.examples()) > 10
        run(loader, clinic)


class TestHints:
    def test_to_forget_a_column_can_be_pasted(
        self, write: Write, scratch: Callable[[str], Organization]
    ) -> None:
        clinic = scratch("pasted")
        write(migration('migrations.RemoveField("bed", "phone")'))
        (message,) = told()

        this, following = re.findall(r"migrations\.\w+\(.*?\)(?=\.\s+[IO])", str(message.hint))
        loader = write(migration(this), migration(following))

        assert told() == []
        run(loader, clinic)

    def test_to_make_a_column_not_null_can_be_pasted(self, write: Write) -> None:
        write(migration(PHONE_IS_GIVEN))
        (message,) = told()

        hint = str(message.hint)
        (add,) = re.findall(r"AddConstraintNotValid\(.*?'\)\)", hint)
        (validate,) = re.findall(r"ValidateConstraint\(.*?\)", hint)
        write(migration(add), migration(validate), migration(PHONE_IS_GIVEN))

        assert told() == []


class TestOverride:
    @pytest.mark.parametrize(
        ("allowed", "sentence"),
        [
            ("['tenancy.W072']", "gives no reason"),
            ("'tenancy.W072'", "gives no reason"),
            ("{'tenancy.W072': ''}", "gives no reason for 'tenancy.W072'"),
            ("{'tenancy.W072': ' '}", "gives no reason for 'tenancy.W072'"),
            ("{'tenancy.W072': True}", "gives no reason for 'tenancy.W072'"),
            ("{'W072': 'It is small.'}", "names 'W072', which is no rule"),
            ("{'tenancy.E001': 'It is small.'}", "names 'tenancy.E001', which is no rule"),
        ],
    )
    def test_without_a_reason_is_refused(self, write: Write, allowed: str, sentence: str) -> None:
        """
        And what it was to allow is said all the same.
        """
        write(migration(SIZE_IS_BIG, allow=allowed))

        found = {message.id: message.msg for message in told()}

        assert sentence in found["tenancy.E079"]
        assert "tenancy.W072" in found

    def test_allows_nothing_else(self, write: Write) -> None:
        write(migration(SIZE_IS_BIG, allow="{'tenancy.W073': 'It is small.'}"))

        assert [message.id for message in told()] == ["tenancy.W072"]

    def test_of_django_holds_too(self, write: Write, settings: Any) -> None:
        settings.SILENCED_SYSTEM_CHECKS = ["tenancy.W072"]
        write(migration(SIZE_IS_BIG))

        assert [message.is_silenced() for message in told()] == [True]


class TestWhoseMigrations:
    def test_ours_are_clean(self) -> None:
        assert check(None) == []

    def test_of_a_package_are_not_judged(self, write: Write, tmp_path: Path) -> None:
        write(
            migration('migrations.RemoveField("bed", "phone")'),
            folder=tmp_path / "lib" / "python3" / "site-packages",
        )

        assert told() == []

    def test_of_other_applications_are_not_when_one_is_asked_for(self, write: Write) -> None:
        write(migration('migrations.RemoveField("bed", "phone")'))

        assert check([apps.get_app_config("patients")]) == []
        assert len(check(None)) == 1

    def test_that_were_reviewed_are_not_judged(self, write: Write, settings: Any) -> None:
        settings.TENANCY_REVIEWED_MIGRATIONS = {"fhir": "m0002"}
        removals = [
            migration(f'migrations.RemoveField("bed", "{name}")')
            for name in ("phone", "note", "size")
        ]
        write(*removals[:2])
        assert told() == []

        write(*removals)
        (message,) = told()
        assert "fhir_bed.size" in message.msg

    def test_that_replace_others_are_not_judged(self, write: Write) -> None:
        replaced = "\nMigration.replaces = [('fhir', 'm0009')]\n"
        write(migration('migrations.RemoveField("bed", "phone")') + replaced)

        assert told() == []

    def test_that_make_the_table_may_do_anything(self, write: Write, settings: Any) -> None:
        settings.TENANCY_LARGE_MODELS = {"fhir.Lamp"}
        write(
            migration(
                'migrations.CreateModel("Lamp", [("id", models.BigAutoField(primary_key=True))])',
                'migrations.AddField("lamp", "watts", models.IntegerField(default=1))',
                'migrations.AddIndex("lamp", models.Index(fields=["watts"], name="by_watts"))',
                'migrations.RenameField("lamp", "watts", "power")',
                "migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop)",
                'migrations.RenameModel("Lamp", "Light")',
                'migrations.AddField("light", "colour", models.IntegerField(default=1))',
            )
        )

        assert [message for message in told() if message.id != "tenancy.E079"] == []

    def test_that_are_an_applications_first_may_do_anything(self, write: Write) -> None:
        """
        Where two models point at each other, makemigrations writes two files of it.
        """
        second = migration('migrations.AddField("bed", "floor", models.IntegerField(default=1))')
        write(second + "\nMigration.initial = True\n")

        assert told() == []

    def test_of_a_table_that_is_not_djangos_are_not_judged(self, write: Write) -> None:
        fields = '[("id", models.BigAutoField(primary_key=True)), ("x", models.IntegerField())]'
        write(
            migration(
                f'migrations.CreateModel("Sight", {fields}, {{"managed": False}})',
                'migrations.CreateModel("Bunk", [], {"proxy": True}, ("fhir.Bed",))',
            ),
            migration(
                'migrations.RemoveField("sight", "x")',
                'migrations.DeleteModel("sight")',
                'migrations.DeleteModel("bunk")',
            ),
        )

        assert told() == []

    def test_what_is_done_to_the_database_alone_is_not_done_to_the_models(
        self, write: Write
    ) -> None:
        remove = 'migrations.RemoveField("bed", "phone")'
        write(migration(only_database(remove)), migration(remove))

        assert [message.id for message in told()] == ["tenancy.E070", "tenancy.E070"]

    def test_of_generated_columns_and_other_rarities_are_read(self, write: Write) -> None:
        loud = (
            'models.GeneratedField(expression=Upper("name"), output_field=models.TextField(), '
            "db_persist=True{})"
        )
        write(
            migration(
                f'migrations.AddField("bed", "loud", {loud.format("")})',
                allow="{'tenancy.W072': 'Only to have one.'}",
            ),
            migration(
                f"""migrations.AlterField("bed", "loud", {loud.format(', help_text="Loud."')})""",
                'migrations.AlterField("bed", "wards", '
                'models.ManyToManyField("fhir.Ward", related_name="+"))',
                'migrations.AlterModelOptions("bed", {"ordering": ["name"]})',
                'migrations.AlterModelTableComment("bed", "Where people lie.")',
            ),
        )

        assert told() == []

    def test_that_cannot_be_loaded_are_left_to_django(self, write: Write) -> None:
        with pytest.raises(NodeNotFoundError):
            write(migration(ADD_FLOOR) + "\nMigration.run_before = [('fhir', 'nothing')]\n")

        assert told() == []

    def test_of_another_engine_are_left_alone(
        self, write: Write, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(migration('migrations.RemoveField("bed", "phone")'))
        monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")

        assert told() == []


class TestSettings:
    def test_name_models_that_there_are(self, settings: Any) -> None:
        settings.TENANCY_LARGE_MODELS = ["patients.Patient", "patients.Nobody"]

        (message,) = check(None)

        assert message.id == "tenancy.E079"
        assert "'patients.Nobody'" in message.msg

    def test_name_migrations_that_there_are(self, settings: Any) -> None:
        settings.TENANCY_REVIEWED_MIGRATIONS = {"patients": "0001"}

        (message,) = check(None)

        assert message.id == "tenancy.E079"
        assert "patients.0001," in message.msg


class TestRegistered:
    def test_is_run_by_check(self, write: Write) -> None:
        write(migration('migrations.RemoveField("bed", "phone")'))

        with pytest.raises(SystemCheckError, match=r"tenancy\.E070"):
            call_command("check", "fhir", tags=["migrations"])

    def test_is_not_run_where_pages_are_served(
        self, write: Write, elm: Organization, committed: None
    ) -> None:
        write(migration('migrations.RemoveField("bed", "phone")'))

        assert "tenancy.E070" not in [fault.id for fault in opening._list_faults()]

    def test_loads_the_migrations_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded: list[object] = []
        load = MigrationLoader.load_disk
        monkeypatch.setattr(
            MigrationLoader, "load_disk", lambda self: (loaded.append(1), load(self))[1]
        )

        check(None)

        assert len(loaded) == 1


TYPES = [
    "varchar(10)", "varchar(20)", "varchar", "text", "char(10)", "integer", "bigint", "smallint",
    "numeric(5, 2)", "numeric(9, 2)", "numeric(9, 4)", "numeric", "boolean", "date",
    "timestamp with time zone", "double precision", "uuid", "jsonb", "json", "inet", "cidr",
    "varchar(10)[]", "varchar(20)[]", "interval", "time", "bytea",
]  # fmt: skip


class TestTypes:
    @pytest.mark.parametrize("old", TYPES)
    def test_are_as_postgresql_has_them(self, elm: Organization, committed: None, old: str) -> None:
        """
        Each pair that it can convert, in a table of Elm's: a table written anew is another file.
        """
        wrong = [
            (old, new, is_rewritten)
            for new in TYPES
            if (is_rewritten := _rewrites(elm, old, new)) is not None
            and types.is_rewritten(old, new) != is_rewritten
        ]

        assert wrong == []


def _rewrites(organization: Organization, old: str, new: str) -> bool | None:
    """Tell whether PostgreSQL writes a table anew, or None where it cannot convert."""
    file = "SELECT pg_relation_filenode('probe')"
    with (
        context.override(organization.as_active()),
        connections["ddl"].schema_editor() as editor,
        connections["ddl"].cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE probe (x {old})")
        cursor.execute(file)
        before = cursor.fetchone()
        try:
            cursor.execute(f"ALTER TABLE probe ALTER COLUMN x TYPE {new}")
            cursor.execute(file)
            return bool(cursor.fetchone() != before)
        except DatabaseError:
            return None
        finally:
            editor.connection.set_rollback(True)
