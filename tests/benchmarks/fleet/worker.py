"""
How long does a system with Django take, in a process of its own?

It says that it has started and is then asked, see `children`.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import django
from django.core.management import CommandError, call_command

from tests.benchmarks import children, names
from tests.benchmarks.children import Answer
from tests.benchmarks.fleet import changes
from tests.benchmarks.systems import OURS, STOCK


class Ours:
    """The product on `tenancy`."""

    def watched(self) -> AbstractContextManager[dict[str, float]]:
        return _watched()

    def begin(self, slug: str) -> Answer:
        """Make the public schema and a first clinic."""
        call_command("migrate_schemas", shared=True, verbosity=0, stdout=io.StringIO())
        self._provision(slug)
        return {}

    def script(self, slug: str) -> Answer:
        """Return what makes the tables and rows of a clinic as raw SQL."""
        from tests.benchmarks.fleet import script

        return {"script": script.write(f"tenant_{slug}")}

    def statements(self) -> Answer:
        """Return Django's DDL of the change, as `sqlmigrate` shows it."""
        from django.db import connections
        from django.db.migrations.loader import MigrationLoader

        from tenancy import context

        # For the platform there would be none: the wards are the clinics'.
        with context.override(context.ActiveTenant(id=None, schema=names.schema(1))):
            loader = MigrationLoader(connections["ddl"], replace_migrations=False)
            migration = loader.graph.nodes["wards", changes.MIGRATION]
            collected = loader.collect_sql([(migration, False)])
        statements = [line for line in collected if not line.startswith("--")]
        return {"statements": [line for line in statements if line not in ("BEGIN;", "COMMIT;")]}

    def provision(self, slugs: list[str]) -> Answer:
        return {"milliseconds": [_milliseconds(self._provision, slug) for slug in slugs]}

    def provision_warm(self, slugs: list[str]) -> Answer:
        """The same where a schema waits for each."""
        from django.conf import settings

        from tenancy import pool

        settings.TENANCY_WARM_POOL = len(slugs)
        pool.fill()
        return self.provision(slugs)

    def migrate(self) -> Answer:
        with self.watched() as parts:
            seconds = _seconds(self._migrate)
        return {"seconds": seconds, "parts": parts, "megabytes": _peak()}

    def check(self) -> Answer:
        """Look for drift; there is none, and a check that found some would be refused here."""
        said = io.StringIO()
        try:
            seconds = _seconds(lambda: call_command("check_schemas", stdout=said))
        except CommandError:
            sys.stderr.write(said.getvalue())
            raise
        return {"seconds": seconds, "megabytes": _peak()}

    def _provision(self, slug: str) -> None:
        from tenancy import provisioning

        provisioning.provision(slug=slug, name=slug)

    def _migrate(self) -> None:
        call_command("migrate_schemas", tenant=True, verbosity=0, stdout=io.StringIO())


class Stock(Ours):
    """The same product on stock django-tenants."""

    def begin(self) -> Answer:  # type: ignore[override]  # the clinics are there already
        from django.db import connection

        from tests.benchmarks.project.clinics.models import Clinic, Domain

        with connection.schema_editor() as editor:
            editor.create_model(Clinic)
            editor.create_model(Domain)
        return {}

    def watched(self) -> AbstractContextManager[dict[str, float]]:
        """It looks at nothing before or after."""
        return nullcontext({})

    def _provision(self, slug: str) -> None:
        from django_tenants.utils import tenant_context

        from apps.accounts import roles
        from tests.benchmarks.project.clinics.models import Clinic

        clinic = Clinic(schema_name=f"tenant_{slug}", name=slug)
        clinic.auto_create_schema = True
        clinic.save(verbosity=0)
        with tenant_context(clinic):
            roles.sync(using="default")


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """
    Yield how many seconds of the work went where: comparing all schemas before, recording on
    the reference what is sent to them, and looking at the tables that were touched after.
    """
    from tenancy import catalogue
    from tenancy.rollout import replay

    seconds = dict.fromkeys(("fingerprint", "record", "verify"), 0.0)

    def kind_of(*arguments: Any, tables: object = None, **options: Any) -> str:
        return "fingerprint" if tables is None else "verify"

    with (
        _watching(catalogue, "fingerprints", seconds, kind_of),
        _watching(replay, "record", seconds, lambda *arguments: "record"),
    ):
        yield seconds


@contextmanager
def _watching(
    module: Any, name: str, seconds: dict[str, float], kind_of: Callable[..., str]
) -> Iterator[None]:
    """Add how long the calls of a function take to its kind, unless they are part of another's."""
    original = getattr(module, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        before, began = dict(seconds), time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            seconds.update(before)
            seconds[kind_of(*arguments, **options)] += time.perf_counter() - began

    setattr(module, name, timed)
    try:
        yield
    finally:
        setattr(module, name, original)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _milliseconds(work: Callable[[str], object], slug: str) -> float:
    return _seconds(lambda: work(slug)) * 1000


def _peak() -> float | None:
    """Return the most memory that this process had, in MB; None where Linux does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    django.setup()
    worker = {OURS.key: Ours, STOCK.key: Stock}[sys.argv[1]]()
    children.say({})
    children.serve(lambda asked: getattr(worker, asked.pop("do"))(**asked))
