"""
Who of one tenant's may do this now, where no row is there to be locked?

    with transaction.atomic():
        locks.acquire("invoice-number")
        ...

PostgreSQL's advisory locks, held until the transaction ends: through a pooler a lock of
the session would be somebody else's next. Two tenants never wait for each other; the
platform, where it is active, has locks of its own.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction

from tenancy import context
from tenancy.errors import UnableToLock

TRY = "SELECT pg_try_advisory_xact_lock(%(key)s), current_setting('lock_timeout')"
WAIT = "SELECT pg_advisory_xact_lock(%(key)s)"
SET_PATIENCE = "SET LOCAL lock_timeout = %(patience)s"

LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL, appendix A

# Who waits keeps a connection to the server from everybody behind the same pooler.
PATIENCE = timedelta(seconds=10)


def acquire(
    name: str, *, timeout: timedelta | None = PATIENCE, using: str = DEFAULT_DB_ALIAS
) -> None:
    """
    Hold the active tenant's lock `name` until the transaction ends, waiting for `timeout`.

    None waits for as long as the server lets it. Raise UnableToLock when another holds it
    for longer, and the transaction can go on without it; NoActiveTenant with nobody active,
    TransactionManagementError outside a transaction. A savepoint that is rolled back gives
    back what was acquired since. `name` goes into error messages: no patient's data in it.
    """
    patience = _in_milliseconds(timeout)
    is_acquired, servers_patience = _try(name, using)
    if is_acquired:
        return
    try:
        # A savepoint, so that giving up does not fail the whole transaction.
        with transaction.atomic(using=using):
            _wait(name, patience=patience or servers_patience, then=servers_patience, using=using)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise UnableToLock(
            f"{name!r} of {context.get_current()} is held by another transaction, and was for "
            f"{patience or servers_patience}. Try again, or give acquire() another timeout."
        ) from error


def try_acquire(name: str, *, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Hold the lock as `acquire` does, unless another holds it; return whether this one does."""
    is_acquired, _ = _try(name, using)
    return is_acquired


def key_for(name: str) -> int:
    """
    Return the number by which PostgreSQL knows the active tenant's lock `name`, see pg_locks.

    The same in every process and release, and nothing of the name reaches a server's log.
    Two of a million names have the same number once in 37 million times, and then only
    wait for each other.
    """
    told = f"{context.require_owner()}\0{name}".encode()
    return int.from_bytes(
        blake2b(told, digest_size=8, person=b"tenancy.locks").digest(), "big", signed=True
    )


def _try(name: str, using: str) -> tuple[bool, str]:
    """Return whether the lock is held now, and for how long the server would wait."""
    key = key_for(name)
    connection = connections[using]
    if connection.get_autocommit():
        raise transaction.TransactionManagementError(
            f"The lock {name!r} would be given back at once: outside a transaction it ends with "
            "its own statement. Acquire it inside `with transaction.atomic():`."
        )
    with connection.cursor() as cursor:
        cursor.execute(TRY, {"key": key})
        is_acquired, servers_patience = cursor.fetchone()
    return is_acquired, servers_patience


def _wait(name: str, *, patience: str, then: str, using: str) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(SET_PATIENCE, {"patience": patience})
        cursor.execute(WAIT, {"key": key_for(name)})
        cursor.execute(SET_PATIENCE, {"patience": then})


def _in_milliseconds(timeout: timedelta | None) -> str | None:
    if timeout is None:
        return None
    milliseconds = round(timeout / timedelta(milliseconds=1))
    if milliseconds < 1:
        # To PostgreSQL zero means for ever.
        raise ValueError(f"timeout is {timeout}; use try_acquire() to wait for nobody.")
    return f"{milliseconds}ms"
