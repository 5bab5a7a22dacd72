"""
Who is migrating the fleet now?

Whoever holds an advisory lock of PostgreSQL, on a connection that does nothing else. Its
transaction is open for as long as the run is and reads nothing: it has no snapshot and no
transaction id, so that VACUUM does not wait for it. When the runner is killed its
connection ends, and the lock with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections

from tenancy import context, locks
from tenancy.conf import settings
from tenancy.errors import RunInProgress

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

NAME = "migration-run"

# Of a runner that was killed the server hears a moment later.
PATIENCE = "SET LOCAL lock_timeout = '2s'"
WAIT = "SELECT pg_advisory_xact_lock(%(key)s)"
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL, appendix A
# A server may end what has been idle for a minute, or what has been open for an hour; and of
# a machine that is gone it should know after a minute, and not after the two hours of TCP.
STAY = """
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL tcp_keepalives_idle = 30;
    SET LOCAL tcp_keepalives_interval = 10;
    SET LOCAL tcp_keepalives_count = 3
"""
STAY_SINCE_17 = "SET LOCAL transaction_timeout = 0"
INTRODUCE = "SET LOCAL application_name = %(name)s"

# PostgreSQL shows a key of 64 bits as two of 32.
HOLDER = """
    SELECT activity.application_name
      FROM pg_catalog.pg_locks AS lock
      JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = lock.pid
     WHERE lock.locktype = 'advisory'
       AND lock.granted
       AND lock.objsubid = 1
       AND lock.database = (
           SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()
       )
       AND (lock.classid::bigint << 32) | lock.objid::bigint = %(key)s
"""


@contextmanager
def held(name: str) -> Iterator[BaseDatabaseWrapper]:
    """
    Be the one who migrates the fleet inside the block, known to others as `name`.

    Yield the connection on which the lock depends. Raise RunInProgress when somebody else is,
    after two seconds.
    """
    connection = connections.create_connection(settings.DDL_DATABASE)
    try:
        with context.override(context.PLATFORM):
            connection.set_autocommit(False)
            _wait(connection, name)
        yield connection
    finally:
        # Without it the lock would be there until the server has seen the connection end.
        with suppress(DatabaseError):
            connection.rollback()
        connection.close()


def who(*, using: str = "") -> str | None:
    """Return as whom the one who is migrating the fleet is known, or None where nobody is."""
    with context.override(context.PLATFORM, in_transaction=True):
        key = locks.key_for(NAME)
        with connections[using or settings.DDL_DATABASE].cursor() as cursor:
            cursor.execute(HOLDER, {"key": key})
            row = cursor.fetchone()
    return row[0] if row else None


def is_held(*, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Tell whether anybody is migrating the fleet; nothing is locked by asking."""
    return who(using=using) is not None


def _wait(connection: BaseDatabaseWrapper, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(STAY)
        if connection.connection.info.server_version >= 170000:
            cursor.execute(STAY_SINCE_17)
        cursor.execute(PATIENCE)
        try:
            cursor.execute(WAIT, {"key": locks.key_for(NAME)})
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise RunInProgress(f"{who() or 'Somebody else'} is migrating the fleet.") from error
        # Who waits does not say that it holds it.
        cursor.execute(INTRODUCE, {"name": name})
