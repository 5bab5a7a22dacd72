"""
How do many schemas take the same steps, each in one message?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from tenancy.context import ActiveTenant
from tenancy.errors import UnableToMigrate
from tenancy.ledger import How
from tenancy.rollout.executor import Executor

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from tenancy.rollout.plan import Group

# Below the server's deadlock_timeout of a second: who waits behind a migration is let go
# before PostgreSQL looks for a deadlock, whose victim may be a request.
LOCK_TIMEOUT = timedelta(milliseconds=500)


@dataclass(frozen=True)
class Outcome:
    """In which way a schema was migrated, and how long that took."""

    how: How
    milliseconds: int


class Prepared:
    """A group whose schemas can be migrated now, in any order and by several threads at once."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._executor = Executor(group.applied, group.steps)

    def migrate(
        self,
        connection: BaseDatabaseWrapper,
        target: ActiveTenant,
        *,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        in_same_transaction: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """
        Migrate the schema of `target`, one of the group's.

        `in_same_transaction` is called before the last commit, while `target` is active.
        Raise UnableToMigrate: of a replay nothing remains then, of Django's operations those
        migrations that were finished before. UnableToLock when a lock was not got in
        `lock_timeout`: call again later, and it goes on where it was.
        """
        if self.group.problem:
            raise UnableToMigrate(f"Schema {target.schema!r} needs a look: {self.group.problem}")
        began = monotonic()
        self._executor.migrate(
            connection,
            target,
            lock_timeout=lock_timeout,
            in_same_transaction=in_same_transaction,
        )
        return Outcome(How.EXECUTOR, round((monotonic() - began) * 1000))


def prepare(connection: BaseDatabaseWrapper, group: Group) -> Prepared:
    """Return `group` as what its schemas are migrated with, one at a time."""
    return Prepared(group)
