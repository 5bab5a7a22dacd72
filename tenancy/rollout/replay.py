"""
How do many schemas take the same steps, each in one message?

What the steps send was recorded in a schema that looks as these should (see `recording`), and
is sent to each that does look so. Who looks different is migrated by Django's operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction
from django_tenants.signals import schema_migrated, schema_pre_migration
from psycopg import sql

from tenancy import catalogue, context, process_cache, schemas
from tenancy.context import ActiveTenant
from tenancy.errors import TenancyError, UnableToMigrate
from tenancy.ledger import How
from tenancy.rollout.executor import Executor, LastWord, in_milliseconds, refusal
from tenancy.rollout.recording import NotReplayable, Recording, record

if TYPE_CHECKING:
    from tenancy.rollout.plan import Group

# Below the server's deadlock_timeout of a second: who waits behind a migration is let go
# before PostgreSQL looks for a deadlock, whose victim may be a request.
LOCK_TIMEOUT = timedelta(milliseconds=500)

# Nobody else migrates the schema now, and it has applied what it had when this was planned.
BEGIN = """
    SET LOCAL lock_timeout = {patience};
    LOCK TABLE django_migrations IN SHARE ROW EXCLUSIVE MODE;
    SELECT 1 / (hash = {hash})::int FROM ({hash_applied}) AS found (name, hash);
"""
DIVISION_BY_ZERO = "22012"


@dataclass(frozen=True)
class Outcome:
    """In which way a schema was migrated, and how long that took."""

    how: How
    milliseconds: int


class Prepared:
    """
    A group whose schemas can be migrated now, in any order and by several threads at once.

    `group` says how, as it turned out; `different` are the schemas of a group that is replayed
    which do not look as they should, so that Django's operations are run there.
    """

    def __init__(self, group: Group, recording: Recording | None = None) -> None:
        self.group = group
        self._recording = recording
        self._scripts: dict[str, str] = {}
        self._executor = Executor(group.applied, group.steps)

    @property
    def different(self) -> list[str]:
        if self._recording is None:
            return []
        return [each.schema for each in self.group.targets if each.schema not in self._scripts]

    def compare(self, connection: Any) -> None:
        """Find out which of the group's schemas look as the reference did before the steps."""
        recording = self._recording
        assert recording is not None  # noqa: S101  # of a group that is replayed
        names = [target.schema for target in self.group.targets]
        with context.override(context.PLATFORM):
            found = catalogue.fingerprints(connection, names)
            whole = [name for name in names if found.get(name) == recording.before_with_rows]
            self._scripts = dict.fromkeys(whole, recording.short_script)
            others = [name for name in names if name not in self._scripts]
            found = catalogue.fingerprints(connection, others, with_rows=False)
        alike = [name for name in others if found.get(name) == recording.before]
        self._scripts |= dict.fromkeys(alike, recording.script)

    def migrate(
        self,
        connection: Any,
        target: ActiveTenant,
        *,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        last_word: LastWord = lambda how, send: None,
    ) -> Outcome:
        """
        Migrate the schema of `target`, one of the group's.

        What `last_word` sends is committed with the migration: in a replay it travels with it.
        Raise UnableToMigrate: of a replay nothing remains then, of Django's operations those
        migrations that were finished before. UnableToLock when a lock was not got in
        `lock_timeout`: call again later, and it goes on where it was.
        """
        if self.group.problem:
            raise UnableToMigrate(f"Schema {target.schema!r} needs a look: {self.group.problem}")
        began = monotonic()
        how = How.EXECUTOR
        if self._recording is not None and target.schema in self._scripts:
            how = How.REPLAY
            self._replay(connection, target, self._recording, lock_timeout, last_word)
        else:
            self._executor.migrate(
                connection,
                target,
                lock_timeout=lock_timeout,
                last_word=last_word,
            )
        return Outcome(how, round((monotonic() - began) * 1000))

    def check(self, connection: Any, targets: Sequence[ActiveTenant]) -> dict[str, str]:
        """
        Return, of those of `targets` that were replayed, which look different from the reference.

        By schema, with a sentence on what differs. A few queries for every 500 schemas.
        """
        recording = self._recording
        replayed = [each.schema for each in targets if each.schema in self._scripts]
        if recording is None or not replayed or recording.touched == ():
            return {}
        with context.override(context.PLATFORM):
            found = catalogue.fingerprints(
                connection, replayed, tables=recording.touched, with_rows=False
            )
        return {
            schema: _say_different(schema, recording)
            for schema in replayed
            if found.get(schema) != recording.after
        }

    def _replay(
        self,
        connection: Any,
        target: ActiveTenant,
        recording: Recording,
        lock_timeout: timedelta,
        last_word: LastWord,
    ) -> None:
        script = _begin(target, self.group, lock_timeout)
        script += self._scripts[target.schema]
        with context.override(target, in_transaction=True):
            try:
                schema_pre_migration.send(Prepared, schema_name=target.schema)
                with transaction.atomic(using=connection.alias):
                    _send(connection, target, script, recording, last_word)
            except DatabaseError as error:
                raise _refusal(target, error) from None
            finally:
                process_cache.forget(target)
                connection.close_between_tenants()


def _send(
    connection: Any, target: ActiveTenant, script: str, recording: Recording, last_word: LastWord
) -> None:
    """Send `script`, in one message with the last word unless first data comes in between."""
    waiting = [script]
    with connection.cursor() as cursor:

        def send(*statements: str) -> None:
            cursor.execute(";\n".join([*waiting, *statements]))
            waiting.clear()

        if recording.has_first_data:
            send()
            schema_migrated.send(Prepared, schema_name=target.schema)
        last_word(How.REPLAY, send)
        if waiting:
            send()


def prepare(connection: Any, group: Group) -> Prepared:
    """
    Return `group` as what its schemas are migrated with, one at a time.

    Where it is to be replayed, its steps are recorded, which takes as long as making one
    schema; and its schemas are compared with the reference, a few queries for every 500. If
    the steps turn out to be not for replaying, `prepared.group` says so and why.
    """
    if group.problem or group.how != How.REPLAY:
        return Prepared(group)
    try:
        recording = record(connection, group)
    except NotReplayable as reason:
        return Prepared(replace(group, how=How.EXECUTOR, why=str(reason)))
    prepared = Prepared(group, recording)
    prepared.compare(connection)
    return prepared


def _begin(target: ActiveTenant, group: Group, lock_timeout: timedelta) -> str:
    return (
        sql.SQL(BEGIN)
        .format(
            patience=sql.Literal(in_milliseconds(lock_timeout)),
            hash=sql.Literal(schemas.hash_of_applied(group.applied)),
            hash_applied=schemas.hash_applied_sql(target.schema),
        )
        .as_string(None)
    )


def _refusal(target: ActiveTenant, error: DatabaseError) -> TenancyError:
    if getattr(error.__cause__, "sqlstate", None) == DIVISION_BY_ZERO:
        return UnableToMigrate(
            f"Schema {target.schema!r} was migrated by somebody else meanwhile. "
            "Run the same command again."
        )
    return refusal(target.schema, error)


def _say_different(schema: str, recording: Recording) -> str:
    where = "the schema" if recording.touched is None else ", ".join(recording.touched)
    return (
        f"Schema {schema!r} was migrated and does not look as the reference does ({where}). "
        "Type: manage.py check_schemas"
    )
