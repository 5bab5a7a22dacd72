"""The migrations say what the models say, in one line for each application."""

from __future__ import annotations

from collections import Counter

from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader


class TestMigrations:
    def test_are_what_the_models_say(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    def test_have_one_end_in_each_application(self) -> None:
        ends = Counter(app for app, _ in MigrationLoader(None).graph.leaf_nodes())

        assert {app: count for app, count in ends.items() if count > 1} == {}

    def test_name_no_schema(self) -> None:
        """A migration runs in every schema, and a rename of one must break nothing."""
        for migration in MigrationLoader(None, ignore_no_migrations=True).disk_migrations.values():
            for operation in migration.operations:
                for statement in (
                    str(getattr(operation, "sql", "")),
                    str(getattr(operation, "reverse_sql", "")),
                ):
                    assert "tenant_" not in statement
                    assert "public." not in statement
