"""
How does the ledger come by what it says?

Its rows are in the public schema and are written at the owner's address. What is said of one
schema is committed with what was done to it, so that a kill leaves both or neither.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.utils import timezone
from psycopg import sql

from tenancy import audit, context, router
from tenancy.conf import settings
from tenancy.errors import TenancyError
from tenancy.ledger import EntryState, MigrationRun, MigrationRunEntry, RunState
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import executor, plan

APP = MigrationRun._meta.app_label

# Once for each schema: by the ORM it takes as long as a migration that adds a column.
DONE = """
    UPDATE public.tenancy_migrationrunentry
       SET state = 'done', how = {how}, attempts = {attempts}, error = '',
           finished_at = clock_timestamp(), milliseconds = {milliseconds}
     WHERE run_id = {run} AND schema_name = {schema}
"""
# For `milliseconds`: since the transaction began in which this is sent.
OF_TRANSACTION = sql.SQL("round(1000 * extract(epoch FROM clock_timestamp() - now()))")


def is_kept() -> bool:
    """
    Tell whether the public schema has the ledger's tables, as the code has them.

    Not before its migrations are run, nor where `tenancy` is none of SHARED_APPS, as it was
    with stock django-tenants.
    """
    if not router.is_shared(MigrationRun):
        return False
    missing = plan.list_missing(connections[settings.DDL_DATABASE], [PUBLIC_SCHEMA])
    return all(app != APP for app, _ in missing.get(PUBLIC_SCHEMA, []))


def begin(command: str, *, options: Mapping[str, Any]) -> MigrationRun:
    """Write that a run begins; to be called by whoever holds the lock."""
    with transaction.atomic(using=settings.DDL_DATABASE):
        _close_killed()
        run: MigrationRun = _runs().create(
            command=command,
            actor=audit.current_actor(),
            pid=os.getpid(),
            options=dict(options),
            started_at=timezone.now(),
        )
        _record("started", run)
    return run


def begin_again(run: MigrationRun) -> None:
    """Write that `run` goes on, in this process."""
    with transaction.atomic(using=settings.DDL_DATABASE):
        _close_killed()
        run.state, run.pid, run.finished_at = RunState.RUNNING, os.getpid(), None
        run.save(update_fields=["state", "pid", "finished_at"])
        _record("resumed", run)


def finish(run: MigrationRun, state: RunState, **counts: int) -> None:
    """Write what became of `run`; `counts` are told to the audit log."""
    with transaction.atomic(using=settings.DDL_DATABASE):
        run.state, run.finished_at = state, timezone.now()
        run.save(update_fields=["state", "finished_at"])
        _record("interrupted" if state == RunState.INTERRUPTED else "finished", run, **counts)


def _close_killed() -> None:
    """Write of each run that did not come to write it that it was interrupted."""
    for run in _runs().filter(state=RunState.RUNNING):
        run.state = RunState.INTERRUPTED
        run.save(update_fields=["state"])
        _record("interrupted", run)


def _record(what: str, run: MigrationRun, **counts: int) -> None:
    outcome = audit.Outcome.SERIOUS_FAILURE if counts.get("failed") else audit.Outcome.SUCCESS
    audit.record(
        f"migration_run.{what}",
        details={"run": run.pk, "command": run.command, **counts},
        outcome=outcome,
        using=settings.DDL_DATABASE,
    )


def say_what_runs() -> str:
    """Return since when and with which command the fleet is being migrated, or nothing."""
    with context.override(context.PLATFORM, in_transaction=True):
        if not is_kept():
            return ""
        run = _runs().filter(state=RunState.RUNNING).first()
    if run is None:
        return ""
    since = timezone.localtime(run.started_at)
    return (
        f" It began at {since:%H:%M:%S} on {since:%d %B} with: {run.command}\n"
        f"Watch it with: manage.py show_migration_run {run.pk}"
    )


def expect(run: MigrationRun, wave: int, schemas: Mapping[str, Sequence[plan.Step]]) -> None:
    """Write which schemas are a wave of `run`, and what is to be run in each."""
    _entries().bulk_create(
        [
            MigrationRunEntry(
                run=run,
                schema_name=schema,
                wave=wave,
                migrations=[str(step) for step in steps],
            )
            for schema, steps in schemas.items()
        ],
        batch_size=500,
        ignore_conflicts=True,
    )


def done_sql(
    run: MigrationRun,
    schema: str,
    *,
    how: str,
    attempts: int,
    milliseconds: sql.Composable | int | None,
) -> str:
    """Return what writes that `schema` is migrated, for the transaction that does it."""
    values = {
        **{"how": how, "attempts": attempts, "milliseconds": milliseconds},
        **{"run": run.pk, "schema": schema},
    }
    parts = {
        name: value if isinstance(value, sql.Composable) else sql.Literal(value)
        for name, value in values.items()
    }
    return sql.SQL(DONE).format(**parts).as_string(None)


def write_done(run: MigrationRun, schema: str, **values: Any) -> None:
    """Write what `done_sql` says, where no transaction migrated the schema that could."""
    with (
        context.override(context.PLATFORM, in_transaction=True),
        connections[settings.DDL_DATABASE].cursor() as cursor,
    ):
        cursor.execute(done_sql(run, schema, **values))


def write_failed(run: MigrationRun, schema: str, *, error: str, attempts: int) -> None:
    _write(run, schema, state=EntryState.FAILED, error=error, attempts=attempts)


def write_gone(run: MigrationRun, schema: str) -> None:
    """Forget `schema`, which was deleted or renamed before its turn came."""
    with context.override(context.PLATFORM, in_transaction=True):
        _entries().filter(run=run, schema_name=schema).delete()


def list_left(run: MigrationRun) -> tuple[set[str], dict[str, int]]:
    """Return the schemas of `run`, and for those that are left or failed the wave of each."""
    rows = list(_entries().filter(run=run).values_list("schema_name", "wave", "state"))
    left = {name: wave for name, wave, state in rows if state != EntryState.DONE}
    return {name for name, _, _ in rows}, left


def describe(error: BaseException, schema: str) -> str:
    """
    Return why `schema` failed, without any value of a row and alike for all that fail alike.

    PostgreSQL's DETAIL holds values, and so may the words of any other exception: of that one
    it is said what it is and which line of the project it came from.
    """
    origin = _origin(error)
    if isinstance(origin, psycopg.Error) and origin.sqlstate:
        return executor.say(origin)
    if isinstance(origin, TenancyError):
        return str(origin).removeprefix(f"Schema {schema!r} ")
    return f"{type(origin).__name__} in {_place(origin)}"


def _origin(error: BaseException) -> BaseException:
    """Return what `error` was raised for; our own may not name it, as its words tell values."""
    cause = error.__cause__
    if isinstance(error, TenancyError):
        cause = cause or error.__context__
    return _origin(cause) if cause is not None else error


def _place(error: BaseException) -> str:
    """Return the file and line where `error` was raised: the last that is the project's own."""
    frames = traceback.extract_tb(error.__traceback__)
    migrations = [frame for frame in frames if "/migrations/" in frame.filename]
    installed = [frame for frame in migrations if "/django/db/" not in frame.filename]
    frame = (installed or frames)[-1] if frames else None
    if frame is None:
        return "no line that is known"
    root = str(getattr(django_settings, "BASE_DIR", ""))
    return f"{frame.filename.removeprefix(root).lstrip('/')}, line {frame.lineno}"


def _write(run: MigrationRun, schema: str, **values: Any) -> None:
    with context.override(context.PLATFORM, in_transaction=True):
        entry = _entries().filter(run=run, schema_name=schema)
        entry.update(finished_at=timezone.now(), **values)


def _runs() -> Any:
    return MigrationRun.objects.using(settings.DDL_DATABASE)


def _entries() -> Any:
    return MigrationRunEntry.objects.using(settings.DDL_DATABASE)
