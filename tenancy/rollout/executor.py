"""
How is one schema migrated? With Django's own operations, as the owner of the schema.
"""

from __future__ import annotations

import io
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from django.apps import apps
from django.contrib.postgres.operations import NotInTransactionMixin
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import DatabaseError, NotSupportedError, connections, transaction
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from django.utils import translation
from django.utils.module_loading import module_has_submodule
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import get_tenant_base_migrate_command_class

from tenancy import context, process_cache, schemas
from tenancy.backend.schema import unused
from tenancy.conf import settings
from tenancy.context import ActiveTenant, Target
from tenancy.errors import TenancyError, UnableToLock, UnableToMigrate
from tenancy.ledger import How
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import states, upkeep
from tenancy.rollout.history import Code, History, Key
from tenancy.rollout.states import Stage

if TYPE_CHECKING:
    from django.db.migrations.state import StateApps

    from tenancy.rollout.plan import Step

Plan: TypeAlias = list[tuple[Migration, bool]]

# Called when a schema's last transaction is about to end, with how it is migrated and a
# function that sends one more statement in it.
LastWord: TypeAlias = Callable[[How, Callable[[str], None]], None]

# PostgreSQL, appendix A: the lock was not got in time; who was a deadlock's victim may try
# again as well.
TRY_AGAIN = ("55P03", "40P01")
# Their first sentence holds a value already: "invalid input syntax for type date: ...", and
# whatever a function of the project raises.
TELLING_VALUES = ("22", "P0")

SET_PATIENCE = "SET LOCAL lock_timeout = '{patience}'"
SET_PATIENCE_OF_SESSION = "SET lock_timeout = '{patience}'"
RESET_PATIENCE = "RESET lock_timeout"


def schema_of(target: Target) -> str:
    return target.schema if isinstance(target, ActiveTenant) else PUBLIC_SCHEMA


def migrate_unused(target: Target) -> None:
    """
    Migrate a schema that is new, in the open transaction, also what is not atomic elsewhere.

    Raise UnableToMigrate as `migrate` does.
    """
    with unused():
        migrate(target)


def migrate(target: Target, *arguments: str, **options: Any) -> None:
    """
    Migrate the schema of `target`, or public for PLATFORM.

    `arguments` and `options` are those of Django's `migrate`. Afterwards django-tenants'
    signal `schema_migrated` is sent while `target` is active, for first data. Raise
    UnableToMigrate naming the schema; inside a transaction nothing of it remains.
    """
    schema = schema_of(target)
    command = get_tenant_base_migrate_command_class()()
    with context.override(target, in_transaction=True):
        schema_pre_migration.send(migrate, schema_name=schema)
        try:
            call_command(
                command,
                *arguments,
                **{"verbosity": 0, **options},
                database=settings.DDL_DATABASE,
                interactive=False,
                skip_checks=True,
            )
            # Some of the tables may be missing when a part is migrated, or backwards.
            if target is context.PLATFORM and not arguments:
                upkeep.look_after_public()
            schema_migrated.send(migrate, schema_name=schema)
        except DatabaseError as error:
            raise UnableToMigrate(
                f"Schema {schema!r} could not be migrated: {_why(error)}"
            ) from error
        finally:
            # Content types were made or renamed, or were going to be before it was rolled back.
            process_cache.forget(target)


@contextmanager
def waiting_no_longer_than(timeout: timedelta) -> Iterator[None]:
    """
    Let `migrate` give up on a lock after `timeout`, with UnableToLock: call it again later.

    What it had finished before remains.
    """
    connection = connections[settings.DDL_DATABASE]
    patience = SET_PATIENCE_OF_SESSION.format(patience=in_milliseconds(timeout))
    with context.override(context.PLATFORM, in_transaction=True):
        with connection.cursor() as cursor:
            cursor.execute(patience)
        try:
            yield
        except UnableToMigrate as error:
            cause = error.__cause__ and error.__cause__.__cause__
            if getattr(cause, "sqlstate", None) not in TRY_AGAIN:
                raise
            raise UnableToLock("The schema is in use. Try again.") from error.__cause__
        finally:
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute(RESET_PATIENCE)


class Executor:
    """
    Takes the same steps in one schema after the other.

    What Django's `migrate` makes anew for each of them, the models before and after each
    operation, is made once for each thread: operations write on the fields that they are
    given. Each migration is a transaction of its own, with its row in django_migrations; the
    signal post_migrate and the caller's last word are in that of the last one, so that a
    schema which has all its migrations has all that belongs to them.
    """

    def __init__(self, applied: frozenset[Key], steps: Sequence[Step]) -> None:
        self._applied = applied
        self._steps = steps
        self._code = Code()
        self._of_thread = threading.local()
        _import_management()

    def migrate(
        self,
        connection: Any,
        target: ActiveTenant,
        *,
        lock_timeout: timedelta,
        last_word: LastWord,
    ) -> None:
        """
        Take those of the steps that the schema of `target` has not taken yet.

        Raise UnableToMigrate; migrations that were finished before remain, and the next call
        goes on behind them. UnableToLock when somebody held a lock for longer than
        `lock_timeout`: call again later.
        """
        taking = _Taking(connection, target.schema, lock_timeout)
        with context.override(target, in_transaction=True), translation.override(None):
            try:
                schema_pre_migration.send(migrate, schema_name=target.schema)
                work = self.work(connection)
                taking.take(work, last_word)
            except TenancyError:
                raise
            except Exception as error:  # noqa: BLE001  # a migration's Python raises what it likes
                raise refusal(target.schema, error, at=taking.at) from None
            finally:
                process_cache.forget(target)
                connection.close_between_tenants()

    def work(self, connection: Any) -> Work:
        """
        Send pre_migrate, and return what is to be done in the active schema.

        Receivers of that signal add operations to the migrations, as those of content types
        do: what was made for another schema will do if they added the same.
        """
        known: Work | None = getattr(self._of_thread, "work", None)
        history = known.history if known else History(connection, self._code, self._applied)
        before = known.before if known else states.apps_before(history)
        plan = self._plan(history)
        send(emit_pre_migrate_signal, connection, before, plan)
        if known is None or _shape(known.plan) != _shape(plan):
            known = self._of_thread.work = Work(
                history,
                plan,
                states.stages(history, plan),
                before,
                states.apps_after(History(connection, self._code, recorded_after(history, plan))),
            )
        return known

    def _plan(self, history: History) -> Plan:
        nodes = history.loader.graph.nodes
        # Of a squashed migration whose parts are all applied, only a row is missing.
        is_recorded = history.loader.applied_migrations
        planned = [
            (nodes[step.key], step.backwards)
            for step in self._steps
            if step.backwards or step.key not in is_recorded
        ]
        return [(type(each)(each.name, each.app_label), back) for each, back in planned]


@dataclass(frozen=True)
class Work:
    """Some steps, with all that is the same in each schema."""

    history: History
    plan: Plan
    stages: Sequence[Stage]
    before: StateApps
    after: StateApps


class _Taking:
    """The steps, being taken in one schema."""

    def __init__(self, connection: Any, schema: str, lock_timeout: timedelta) -> None:
        self.at: Stage | None = None
        self._connection = connection
        self._schema = schema
        self._patience = in_milliseconds(lock_timeout)

    def take(self, work: Work, last_word: LastWord) -> None:
        recorder = MigrationRecorder(self._connection)
        recorded = set(recorder.applied_migrations())
        remaining = [stage for stage in work.stages if not _is_taken(stage, recorded)]
        for stage in remaining[:-1]:
            with self._taking(stage):
                _record(recorder, stage)
        with self._taking(remaining[-1] if remaining else None) as last:
            if last:
                _record(recorder, last)
            _record_replacing(recorder, work.history)
            send(emit_post_migrate_signal, self._connection, work.after, work.plan)
            schema_migrated.send(migrate, schema_name=self._schema)
            last_word(How.EXECUTOR, self._send)

    @contextmanager
    def _taking(self, stage: Stage | None) -> Iterator[Stage | None]:
        """Run `stage`, and then the block, in its transaction if it has one."""
        self.at = stage
        if stage and not stage.migration.atomic:
            self._run(stage)
        with transaction.atomic(using=self._connection.alias):
            self._execute(SET_PATIENCE)
            if stage and stage.migration.atomic:
                self._run(stage)
            yield stage

    def _run(self, stage: Stage) -> None:
        is_atomic = stage.migration.atomic
        with self._connection.schema_editor(atomic=is_atomic) as editor:
            stage.run(editor, around=self._within if is_atomic else self._patiently)

    def _within(self, operation: Operation) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def _patiently(self, operation: Operation) -> Iterator[None]:
        """
        Give up on a lock as elsewhere, though there is no transaction to say so in.

        What is done CONCURRENTLY holds up nobody while it waits, and leaves half an index
        behind where it gives up.
        """
        if isinstance(operation, NotInTransactionMixin):
            self._drop_half_made(operation)
            yield
            return
        self._execute(SET_PATIENCE_OF_SESSION)
        try:
            yield
        finally:
            with suppress(DatabaseError):
                self._execute(RESET_PATIENCE)

    def _drop_half_made(self, operation: Any) -> None:
        """Drop the index that was being made when somebody killed its making."""
        name = operation.index.name if hasattr(operation, "index") else operation.name
        schemas.drop_invalid_index(self._connection, self._schema, name)

    def _execute(self, statement: str) -> None:
        self._send(statement.format(patience=self._patience))

    def _send(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


def refusal(schema: str, error: Exception, *, at: Stage | None = None) -> TenancyError:
    """
    Return what is to be raised for `error`, which said no more than that.

    PostgreSQL's detail and an exception's own words may be of patients.
    """
    where = f" at {at.migration.app_label}.{at.migration.name}" if at else ""
    said = _why(error)
    if getattr(error.__cause__, "sqlstate", None) in TRY_AGAIN:
        return UnableToLock(f"Schema {schema!r} was not migrated{where}: {said} Try again.")
    return UnableToMigrate(f"Schema {schema!r} could not be migrated{where}: {said}")


def say(error: psycopg.Error) -> str:
    """Return what PostgreSQL says of an error in its first sentence, if no value is in that."""
    if (error.sqlstate or "").startswith(TELLING_VALUES):
        return f"{type(error).__name__} ({error.sqlstate})"
    return f"{error.diag.message_primary or type(error).__name__} ({error.sqlstate})"


def _why(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, psycopg.Error):
        return f"{say(cause)}."
    if isinstance(error, NotSupportedError):
        return str(error)  # Django's own words
    return f"{type(error).__name__} {_line_of(error)}."


def _line_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {last.name}(), line {last.lineno} of {last.filename}"


def send(signal: Callable[..., None], connection: Any, rendered: StateApps, plan: Plan) -> None:
    """Send Django's pre_migrate or post_migrate for each application, as `migrate` does."""
    signal(
        verbosity=0,
        interactive=False,
        db=connection.alias,
        stdout=io.StringIO(),
        apps=rendered,
        plan=plan,
    )


def in_milliseconds(timeout: timedelta) -> str:
    """Return `timeout` as PostgreSQL wants it; ValueError where it would mean for ever."""
    milliseconds = round(timeout / timedelta(milliseconds=1))
    if milliseconds < 1:
        raise ValueError(f"lock_timeout is {timeout}; at least a millisecond is needed.")
    return f"{milliseconds}ms"


def names_of(stage: Stage) -> list[Key]:
    """Return the names in django_migrations that `stage` adds or takes away, as Django does."""
    keys = _keys(stage.migration)
    own = (stage.migration.app_label, stage.migration.name)
    return [*keys, own] if stage.backwards and own not in keys else keys


def recorded_after(history: History, plan: Plan) -> set[Key]:
    """Return what is recorded where all of `plan` was run."""
    recorded = set(history.recorded)
    for migration, backwards in plan:
        if backwards:
            recorded -= {*_keys(migration), (migration.app_label, migration.name)}
        else:
            recorded |= set(_keys(migration))
    return recorded


def _is_taken(stage: Stage, recorded: Collection[Key]) -> bool:
    found = [key in recorded for key in _keys(stage.migration)]
    return not any(found) if stage.backwards else all(found)


def _keys(migration: Migration) -> list[Key]:
    """Return under which names `migration` is recorded: under those that it replaces."""
    return [(app, name) for app, name in migration.replaces] or [
        (migration.app_label, migration.name)
    ]


def _record(recorder: MigrationRecorder, stage: Stage) -> None:
    for app, name in names_of(stage):
        if stage.backwards:
            recorder.record_unapplied(app, name)
        else:
            recorder.record_applied(app, name)


def _record_replacing(recorder: MigrationRecorder, history: History) -> None:
    for app, name in history.list_replacing(recorder.applied_migrations()):
        recorder.record_applied(app, name)


def _shape(plan: Plan) -> list[list[type[Operation]]]:
    return [[type(operation) for operation in migration.operations] for migration, _ in plan]


def _import_management() -> None:
    """Import what connects receivers of Django's signals, as its `migrate` does."""
    for config in apps.get_app_configs():
        if config.module and module_has_submodule(config.module, "management"):
            import_module(".management", config.name)
