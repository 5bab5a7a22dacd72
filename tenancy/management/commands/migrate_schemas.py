"""`manage.py migrate_schemas`: bring the public schema and every tenant's to the code's state."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections
from django.db.models import Q
from django_tenants.management.commands import migrate_schemas

from tenancy import context, tenants
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.errors import UnableToMigrate
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import executor, plan, upkeep

PASSED_ON = ("fake", "fake_initial", "prune", "run_syncdb")


class Command(migrate_schemas.MigrateSchemasCommand):  # type: ignore[misc]  # untyped
    help = (
        "Migrate the public schema (--shared), the tenants' schemas (--tenant), one of them "
        "(--schema tenant_elm or elm), or with no such flag all of them. Schemas that lack "
        "nothing are passed over; one that fails stops no other, and the exit status is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=settings.DDL_DATABASE)

    def handle(self, *args: Any, **options: Any) -> None:
        # Sets sync_public, sync_tenant and schema_name as django-tenants does.
        super(migrate_schemas.MigrateSchemasCommand, self).handle(*args, **options)
        if options["database"] != settings.DDL_DATABASE:
            raise CommandError(
                f"--database {options['database']}: only the owner's address, "
                f"{settings.DDL_DATABASE!r}, can migrate; leave the option out."
            )
        self.connection = connections[settings.DDL_DATABASE]
        self.arguments = [options[name] for name in ("app_label", "migration_name")]
        self.failures: list[str] = []
        self.behind = False

        if self.sync_public:
            self._migrate([context.PLATFORM])
            if not (options["check_unapplied"] or options["plan"] or any(self.arguments)):
                upkeep.look_after_public()
        if self.sync_tenant:
            self._migrate(self._tenants())

        if self.failures:
            raise CommandError(
                f"{len(self.failures)} of the schemas failed; run the same command again when "
                "the cause is gone:\n" + "\n".join(self.failures)
            )
        if options["check_unapplied"] and self.behind:
            raise CommandError("There are schemas behind the code.", returncode=1)

    def _tenants(self) -> list[Target]:
        with context.override(context.PLATFORM):
            rows = tenants.having_schema(using=settings.DDL_DATABASE)
            if self.schema_name and self.schema_name != PUBLIC_SCHEMA:
                is_named = Q(schema_name=self.schema_name)
                if tenants.has_slug():
                    is_named |= Q(slug=self.schema_name)
                rows = rows.filter(is_named)
                if not rows:
                    raise CommandError(f"No tenant has the schema {self.schema_name!r}.")
            return [tenants.as_active(row) for row in rows]

    def _migrate(self, targets: list[Target]) -> None:
        by_schema = {executor.schema_of(target): target for target in targets}
        with context.override(context.PLATFORM):
            missing = plan.list_missing(self.connection, list(by_schema))
        self.behind = self.behind or bool(missing)
        if self.options["check_unapplied"] or self.options["plan"]:
            self._show(missing)
            return

        # A named app or migration may go backwards, so nobody is passed over then.
        wanted = by_schema if any(self.arguments) else missing
        for number, schema in enumerate(wanted, start=1):
            self._migrate_one(f"{number}/{len(wanted)}", schema, by_schema[schema])
        current = len(by_schema) - len(wanted)
        if current and self.options["verbosity"]:
            self.stdout.write(f"{current} of {len(by_schema)} schemas lack nothing.")

    def _migrate_one(self, position: str, schema: str, target: Target) -> None:
        arguments = [argument for argument in self.arguments if argument]
        options = {name: self.options[name] for name in PASSED_ON}
        if self.options["verbosity"]:
            self.stdout.write(f"[{position}] {schema} ...", ending="")
            self.stdout.flush()
        try:
            executor.migrate(target, *arguments, **options, stdout=self.stdout)
        except UnableToMigrate as error:
            self.failures.append(f"  {schema}: {error}")
            self.stdout.write(" failed")
        else:
            if self.options["verbosity"]:
                self.stdout.write(" done")

    def _show(self, missing: dict[str, list[plan.Key]]) -> None:
        for schema, migrations in missing.items():
            self.stdout.write(f"{schema} lacks {len(migrations)}:")
            for app, name in migrations:
                self.stdout.write(f"  {app}.{name}")
        if not missing:
            self.stdout.write("Nothing is behind the code.")
