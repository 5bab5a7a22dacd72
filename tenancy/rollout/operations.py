"""
Which operations of a migration send the same SQL to every schema that looks the same?

Those of Django's own, whose SQL depends on the models and on PostgreSQL's catalogue; not
Python, not what somebody else wrote, and not what cannot share a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.contenttypes.management import RenameContentType
from django.contrib.postgres import operations as postgres
from django.db import migrations
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation

from tenancy.errors import UnableToMigrate

# Each by itself and no subclass of it: that would be somebody else's.
REPLAYED = frozenset(
    {
        migrations.AddConstraint,
        migrations.AddField,
        migrations.AddIndex,
        migrations.AlterConstraint,
        migrations.AlterField,
        migrations.AlterIndexTogether,
        migrations.AlterModelManagers,
        migrations.AlterModelOptions,
        migrations.AlterModelTable,
        migrations.AlterModelTableComment,
        migrations.AlterOrderWithRespectTo,
        migrations.AlterUniqueTogether,
        migrations.CreateModel,
        migrations.DeleteModel,
        migrations.RemoveConstraint,
        migrations.RemoveField,
        migrations.RemoveIndex,
        migrations.RenameField,
        migrations.RenameIndex,
        migrations.RenameModel,
        migrations.RunSQL,
        postgres.AddConstraintNotValid,
        postgres.CreateCollation,
        postgres.RemoveCollation,
        postgres.ValidateConstraint,
    }
)


def check_reversible(plan: Iterable[tuple[Migration, bool]]) -> None:
    """Raise UnableToMigrate when a migration that is to be undone cannot be."""
    for migration, backwards in plan:
        for operation in migration.operations:
            if backwards and not operation.reversible:
                raise UnableToMigrate(
                    f"{migration.app_label}.{migration.name} cannot be undone: "
                    f"{type(operation).__name__} ({operation.describe()}) is not reversible."
                )


def why_not_replayed(steps: Iterable[Migration]) -> str:
    """Return why Django's operations are run in each schema, "" where their SQL will do."""
    for migration in steps:
        said = f"{migration.app_label}.{migration.name}"
        if not migration.atomic:
            return f"{said} is not atomic"
        for operation in migration.operations:
            if refused := _why_not(operation):
                return f"{said} {refused}"
    return ""


def _why_not(operation: Operation) -> str:
    match operation:
        case _ if type(operation) is migrations.SeparateDatabaseAndState:
            refusals = map(_why_not, operation.database_operations)
            return next(filter(None, refusals), "")
        case _ if type(operation) in REPLAYED or type(operation) is RenameContentType:
            return ""
        case migrations.RunPython():
            return "runs Python"
        case postgres.CreateExtension():
            return f"makes the extension {operation.name}, which is the whole database's"
        case postgres.NotInTransactionMixin():
            return f"has {type(operation).__name__}, which shares no transaction"
    return f"has {type(operation).__name__}, which is not Django's own"
