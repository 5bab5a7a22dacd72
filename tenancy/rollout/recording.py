"""
Which SQL do some migrations send to a schema that looks as it should?

They are run in a schema that never was: brought to where the group is, migrated twice from
there on, and rolled back. What is written down is what Django's schema editor sends. Where
that differs between the two times, or was worked out from the clock, no other schema may be
sent it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.contenttypes.management import RenameContentType
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, models, transaction
from django.db.migrations.operations.base import Operation
from django_tenants.signals import schema_migrated
from psycopg import sql

from tenancy import catalogue, context, process_cache, schemas
from tenancy.backend.schema import CHECK_CONSTRAINTS, DatabaseSchemaEditor, unused
from tenancy.conf import settings
from tenancy.context import ActiveTenant
from tenancy.errors import TenancyError
from tenancy.references import ReferenceSchema
from tenancy.rollout import natural_keys, operations, scratch
from tenancy.rollout.executor import Executor, Work, names_of, recorded_after, send
from tenancy.rollout.history import Code, History

if TYPE_CHECKING:
    from tenancy.rollout.plan import Group

# A default of these is the same each time that it is made.
CONSTANT_DEFAULTS = (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)

# References of the latest releases, of which the fleet was made by one or two.
MOST_TRIED = 3
# A reference's script leaves a path behind on which public is not.
KEEP_PATH = "SELECT current_setting('search_path')"
RESTORE_PATH = "SELECT set_config('search_path', %(path)s, true)"

RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES ({app}, {name}, now())"
FORGET = "DELETE FROM django_migrations WHERE app = {app} AND name = {name}"
# Rows of the active schema that this transaction has written so far, whoever wrote them.
ROWS_WRITTEN = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
      FROM pg_catalog.pg_stat_xact_user_tables
     WHERE schemaname = %(schema)s
"""


class NotReplayable(Exception):  # no error: the other way is taken
    """What the migrations send to one schema is not for another; said so that one can read it."""


@dataclass(frozen=True)
class Recording:
    """What is sent to a schema that looks as `before`, and how its tables look afterwards."""

    script: str
    """With all content types and permissions that a schema may lack."""
    short_script: str
    """The same for a schema that has those which it should have before."""
    before: str
    before_with_rows: str
    """The fingerprint before, with content types and permissions."""
    touched: tuple[str, ...] | None
    """The tables that are different afterwards; None where more than tables are."""
    after: str
    has_first_data: bool
    """Whether receivers of schema_migrated have something to do."""


def record(connection: Any, group: Group) -> Recording:
    """Return what the steps of `group` send, or raise NotReplayable saying why not."""
    if not group.applied:
        raise NotReplayable("the schemas have applied nothing yet")
    executor = Executor(group.applied, group.steps)
    kind = group.targets[0].type
    try:
        with scratch.schema(type=kind) as target:
            if not _make_by_reference(connection, target, group):
                _bring_along(connection, group)
            return _record(connection, target, executor)
    except DatabaseError as error:
        said = getattr(getattr(error.__cause__, "diag", None), "message_primary", None)
        raise NotReplayable(f"the reference could not be migrated: {said or error}") from error
    except TenancyError as error:
        raise NotReplayable(f"the reference could not be migrated: {error}") from error


def _make_by_reference(connection: Any, target: ActiveTenant, group: Group) -> bool:
    """
    Make in the active schema what new tenants got when the code was where the group is.

    Return whether such a reference is kept. Migrating from zero comes to the same, as was
    tried when it was captured, and takes ten times as long.
    """
    wanted = schemas.hash_of_applied(group.applied)
    for script in _list_scripts(target):
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                cursor.execute(KEEP_PATH)
                (path,) = cursor.fetchone()
                cursor.execute(script)
                cursor.execute(RESTORE_PATH, {"path": path})
            if schemas.hash_applied(connection, [target.schema]).get(target.schema) == wanted:
                return True
            transaction.set_rollback(True, using=connection.alias)
    return False


def _list_scripts(target: ActiveTenant) -> list[str]:
    # Which type a reference was captured for is not known of those of another release.
    if target.type:
        return []
    with context.override(context.PLATFORM, in_transaction=True):
        kept = ReferenceSchema.objects.using(settings.DDL_DATABASE).filter(fault="")
        return list(kept.order_by("-created_at").values_list("script", flat=True)[:MOST_TRIED])


def _bring_along(connection: Any, group: Group) -> None:
    """Migrate the active schema from zero to what the group has applied."""
    history = History(connection, Code(), group.applied)
    applied = history.loader.applied_migrations
    leaves = history.loader.graph.leaf_nodes()
    plan = [
        (migration, False)
        for migration, _ in history.migration_plan(leaves, clean_start=True)
        if (migration.app_label, migration.name) in applied
    ]
    with unused():
        history.migrate(leaves, plan=plan, state=history.state(applied=False))


def _record(connection: Any, target: ActiveTenant, executor: Executor) -> Recording:
    schema = target.schema
    before = _fingerprint(connection, schema)
    items = _items(connection, schema)
    work = executor.work(connection)
    if why := operations.why_not_replayed(migration for migration, _ in work.plan):
        raise NotReplayable(why)

    with _rolled_back(connection):
        first = _run(connection, work)
    with _rolled_back(connection):
        sent = _run(connection, work)
        touched = _touched(items, _items(connection, schema))
        after = _fingerprint(connection, schema, touched)
        send(emit_post_migrate_signal, connection, work.after, work.plan)
        rows = natural_keys.read(connection)
    _check_alike(first, sent, target)
    script = ";\n".join([*sent, *natural_keys.add(rows)])

    send(emit_post_migrate_signal, connection, work.before, work.plan)
    before_with_rows = catalogue.fingerprints(connection, [schema])[schema]
    new = rows.without(natural_keys.read(connection))
    short_script = ";\n".join([*sent, *natural_keys.add(new)])
    has_first_data = _has_first_data(connection, target, short_script)
    if _fingerprint(connection, schema, touched) != after:
        raise NotReplayable("what was recorded does not do the same once more")
    if not rows.is_in(natural_keys.read(connection)):
        short_script = script
    return Recording(script, short_script, before, before_with_rows, touched, after, has_first_data)


def _run(connection: Any, work: Work) -> list[str]:
    """Run the steps in the active schema, and return what they sent."""
    sent: list[str] = []
    for stage in work.stages:

        @contextmanager
        def around(operation: Operation, backwards: bool = stage.backwards) -> Iterator[None]:
            yield
            if isinstance(operation, RenameContentType):
                sent.append(natural_keys.rename(operation, backwards=backwards))

        with RecordingEditor(connection, sent) as editor:
            stage.run(editor, around)
        names = [
            sql.SQL(FORGET if stage.backwards else RECORD).format(
                app=sql.Literal(app), name=sql.Literal(name)
            )
            for app, name in names_of(stage)
        ]
        for statement in (CHECK_CONSTRAINTS, *(name.as_string(None) for name in names)):
            sent.append(statement)
            with connection.cursor() as cursor:
                cursor.execute(statement)
    then = recorded_after(work.history, work.plan)
    sent += [
        sql.SQL(RECORD).format(app=sql.Literal(app), name=sql.Literal(name)).as_string(None)
        for app, name in work.history.list_replacing(then)
    ]
    return sent


class RecordingEditor(DatabaseSchemaEditor):
    """Django's schema editor, which writes down what it sends."""

    def __init__(self, connection: Any, sent: list[str]) -> None:
        super().__init__(connection, atomic=True)
        self._sent = sent

    def execute(self, sql: Any, params: Any = ()) -> None:
        statement = str(sql)
        if params is not None:
            statement = self.connection.ops.compose_sql(statement, params)
        self._sent.append(statement.rstrip().rstrip(";"))
        super().execute(statement, None)

    def effective_default(self, field: models.Field[Any, Any]) -> Any:
        """Return what rows get that are there already; NotReplayable if that is worked out."""
        default = field.default if field.has_default() else None
        is_worked_out = callable(default) and default not in CONSTANT_DEFAULTS
        is_from_clock = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        if is_worked_out or is_from_clock:
            raise NotReplayable(f"the default of {field} is worked out for each schema")
        return super().effective_default(field)


def _check_alike(first: Sequence[str], second: Sequence[str], target: ActiveTenant) -> None:
    for one, other in zip(first, second, strict=False):
        if one != other:
            raise NotReplayable(f"it does not send the same twice: {_shortened(other)}")
    for statement in second:
        if target.schema in statement:
            raise NotReplayable(f"it names its schema: {_shortened(statement)}")


def _shortened(statement: str) -> str:
    # No more than what is done to which table: what follows may be values.
    return " ".join(statement.split()[:6])


def _has_first_data(connection: Any, target: ActiveTenant, script: str) -> bool:
    """
    Run what was recorded, and tell whether receivers of schema_migrated write more for it.

    More than they wrote before: for a schema that nobody ever used they write all.
    """
    try:
        with transaction.atomic(using=connection.alias):
            schema_migrated.send(record, schema_name=target.schema)
    except Exception:  # noqa: BLE001  # they may need the tables that are still to be made
        is_known = False
    else:
        is_known = True
    with connection.cursor() as cursor:
        cursor.execute(script)
    written = _rows_written(connection, target)
    schema_migrated.send(record, schema_name=target.schema)
    return not is_known or _rows_written(connection, target) != written


def _rows_written(connection: Any, target: ActiveTenant) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROWS_WRITTEN, {"schema": target.schema})
        (rows,) = cursor.fetchone()
    return int(rows)


def _touched(before: set[catalogue.Item], after: set[catalogue.Item]) -> tuple[str, ...] | None:
    changed = before ^ after
    tables = {item.relation for item in changed}
    return None if "" in tables else tuple(sorted(tables))


def _items(connection: Any, schema: str) -> set[catalogue.Item]:
    return set(catalogue.read(connection, [schema], with_rows=False)[schema])


def _fingerprint(connection: Any, schema: str, tables: Sequence[str] | None = None) -> str:
    found = catalogue.fingerprints(connection, [schema], tables=tables, with_rows=False)
    return found[schema]


@contextmanager
def _rolled_back(connection: Any) -> Iterator[None]:
    with transaction.atomic(using=connection.alias):
        yield
        transaction.set_rollback(True, using=connection.alias)
    # Content types that were read in the block have another number the next time.
    process_cache.forget(context.require_current())
