"""
What are PostgreSQL and Redis asked, to know whether they answer as they should?

PostgreSQL is asked at the application's own address, with its login and its bindings, so
through whatever pooler stands there; but on a connection of its own, past the pool of this
process. A pool that is full says that there is much to do, and not that the database is
away: all pods would be taken out of service at once, when they are needed most.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import TypeAlias

from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.models import CharField, Count, F, Func, Min, Q
from redis.exceptions import RedisError

from tenancy import context, tenants
from tenancy.conf import settings
from tenancy.health.facts import (
    METADATA,
    MIGRATIONS,
    POSTGRESQL,
    REDIS,
    SCHEMA_SWITCH,
    TENANT_SCHEMAS,
    Check,
    Reason,
    State,
)
from tenancy.models import State as TenantState
from tenancy.names import PUBLIC_SCHEMA
from tenancy.rollout import plan
from tenancy.rollout.plan import Key

logger = logging.getLogger(__name__)

Checks: TypeAlias = dict[str, Check]

# In seconds and, as libpq has it, in milliseconds. A connection whose other end is gone
# without a word is given up within these, so that the next question finds a new way.
CONNECTION = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}

# Clinics that are tried until one answers. With one that does the platform is well.
CLINICS_TRIED = 3

# The words of PgBouncer and PostgreSQL for "there is no room". No code comes with them, as the
# connection does not come about.
WITHOUT_ROOM = (
    "no more connections allowed",
    "too many clients",
    "too many connections",
    "connection slots are reserved",
)
# PgBouncer's, for a client whom it could give no connection to the server in time.
WAITED = ("query_wait_timeout",)

SWITCH = """
    SELECT current_schema(), current_user, app, name
      FROM django_migrations
"""
RECORDED = """
    SELECT app, name
      FROM django_migrations
"""


@dataclass(frozen=True)
class Database:
    """What PostgreSQL answered, and how many schemas are in service, None if not known."""

    checks: Checks
    schemas: int | None = None


@dataclass
class Visits:
    """
    Which clinics this process has been at, in turn, and what was applied there.

    An entry for each clinic, of which those that are alike are one object.
    """

    last: str = ""
    recorded: dict[str, frozenset[Key]] = field(default_factory=dict)
    _alike: dict[frozenset[Key], frozenset[Key]] = field(default_factory=dict)

    def remember(self, schema: str, recorded: frozenset[Key]) -> None:
        self.recorded[schema] = self._alike.setdefault(recorded, recorded)

    def forget_all_but(self, schemas: Collection[str]) -> None:
        kept = set(schemas)
        self.recorded = {name: it for name, it in self.recorded.items() if name in kept}
        self._alike = {it: it for it in self.recorded.values()}


class Stopwatch:
    def __init__(self) -> None:
        self._began = perf_counter()

    @property
    def milliseconds(self) -> float:
        return (perf_counter() - self._began) * 1000


@contextmanager
def _past_the_pool(alias: str) -> Iterator[None]:
    """Let this thread's connection `alias` be a new one of its own, and close it at the end."""
    connection = connections[alias].copy()
    options = connection.settings_dict["OPTIONS"]
    options.pop("pool", None)
    for name, value in CONNECTION.items():
        options.setdefault(name, value)
    connections[alias] = connection
    try:
        yield
    finally:
        connection.close()
        del connections[alias]


def ask_database(visits: Visits) -> Database:
    """
    Return whether PostgreSQL answers, its public schema can be read, and a clinic be worked for.

    Three statements on a new connection, of which the last is bound to another clinic each
    time.
    """
    watch = Stopwatch()
    with _past_the_pool(DEFAULT_DB_ALIAS), context.override(context.PLATFORM):
        try:
            _select_one()
        except Error as error:
            return Database({POSTGRESQL: _unreached(error, watch)})
        checks = {POSTGRESQL: Check(POSTGRESQL, State.UP, watch.milliseconds)}

        watch = Stopwatch()
        try:
            schemas, schema = _next_in_service(visits.last)
        except Error as error:
            _log(METADATA, error)
            return Database(checks | {METADATA: _down(METADATA, Reason.REFUSED, watch)})
        checks[METADATA] = Check(METADATA, State.UP, watch.milliseconds)
        return Database(checks | {SCHEMA_SWITCH: _switch(visits, schema)}, schemas)


def _select_one() -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _unreached(error: Error, watch: Stopwatch) -> Check:
    told = str(error)
    if any(words in told for words in WITHOUT_ROOM):
        # Whoever is in is served, and this pod's connections are in.
        return Check(POSTGRESQL, State.DEGRADED, watch.milliseconds, Reason.BUSY)
    if any(words in told for words in WAITED):
        return _down(POSTGRESQL, Reason.LATE, watch)
    # No statement was sent, and so no value of anybody's is in the message.
    logger.warning("PostgreSQL cannot be reached: %s", told.splitlines()[0])
    return _down(POSTGRESQL, Reason.AWAY, watch)


def _down(name: str, reason: Reason, watch: Stopwatch) -> Check:
    return Check(name, State.DOWN, watch.milliseconds, reason)


def _next_in_service(last: str) -> tuple[int, str | None]:
    """Return how many tenants are in service, and the schema of the one after `last`, in turn."""
    rows = tenants.having_schema(using=DEFAULT_DB_ALIAS)
    if tenants.has_state():
        rows = rows.filter(state=TenantState.ACTIVE)
    found = rows.aggregate(
        count=Count("*"),
        first=Min("schema_name"),
        following=Min("schema_name", filter=Q(schema_name__gt=last)),
    )
    return found["count"], found["following"] or found["first"]


def _switch(visits: Visits, schema: str | None) -> Check:
    """
    Work for one clinic, and for the next ones until one answers.

    That a single one fails is no reason to turn the others away.
    """
    watch = Stopwatch()
    tried: set[str] = set()
    if schema is None:
        return Check(SCHEMA_SWITCH, State.UP, watch.milliseconds)
    try:
        while schema is not None and schema not in tried and len(tried) < CLINICS_TRIED:
            visits.last = schema
            reason = _work_for(schema, visits)
            if reason is Reason.ELSEWHERE:
                return _down(SCHEMA_SWITCH, reason, watch)
            if reason is None:
                return _switched(watch, failed=len(tried))
            tried.add(schema)
            _, schema = _next_in_service(schema)
    except Error as error:
        _log(SCHEMA_SWITCH, error)
        return _down(SCHEMA_SWITCH, Reason.REFUSED, watch)
    return _down(SCHEMA_SWITCH, Reason.EVERY_CLINIC, watch)


def _switched(watch: Stopwatch, *, failed: int) -> Check:
    if failed:
        return Check(SCHEMA_SWITCH, State.DEGRADED, watch.milliseconds, Reason.SOME_CLINICS)
    return Check(SCHEMA_SWITCH, State.UP, watch.milliseconds)


def _work_for(schema: str, visits: Visits) -> Reason | None:
    """Read a table of the clinic's, and say where and as whom that was; None if as it should."""
    connection = connections[DEFAULT_DB_ALIAS]
    target = context.for_schema(schema)
    try:
        with context.override(target), connection.cursor() as cursor:
            cursor.execute(SWITCH)
            rows = cursor.fetchall()
    except Error as error:
        logger.warning("The schema %s cannot be worked in: %s", schema, _name(error))
        return Reason.REFUSED
    binding = connection.binding_for(target)  # type: ignore[attr-defined]  # our wrapper's
    for current_schema, current_user, *_ in rows[:1]:
        if current_schema != binding.path[0] or binding.role not in (None, current_user):
            logger.critical("A statement for %s ran in another schema or role.", schema)
            return Reason.ELSEWHERE
    visits.remember(schema, frozenset((app, name) for *_, app, name in rows))
    return None


def ask_fleet(visits: Visits) -> Checks:
    """
    Return whether every clinic has its schema, and how many schemas are behind the code.

    With the owner's address all of them are asked, as `list_tenants` does. Without it, as in
    a pod that serves pages, it is those where this process has been: a clinic's migrations
    are read by the clinic's own role and by nobody else's but the owner's.
    """
    with _past_the_pool(DEFAULT_DB_ALIAS), context.override(context.PLATFORM):
        try:
            checks, names = _ask_schemas()
            return {**checks, MIGRATIONS: _ask_migrations(names, visits)}
        except Error as error:
            _log(TENANT_SCHEMAS, error)
            return {}


def _ask_schemas() -> tuple[Checks, list[str]]:
    watch = Stopwatch()
    quoted = Func(F("schema_name"), function="quote_ident", output_field=CharField())
    found = Func(quoted, function="to_regnamespace", output_field=CharField())
    rows = tenants.having_schema(using=DEFAULT_DB_ALIAS).annotate(found=found)
    schemas = dict(rows.values_list("schema_name", "found"))
    missing = sorted(name for name, found in schemas.items() if found is None)
    if missing:
        logger.error("No schema for %d tenants: %s", len(missing), ", ".join(missing))
    check = Check(
        TENANT_SCHEMAS,
        State.DEGRADED if missing else State.UP,
        watch.milliseconds,
        Reason.SCHEMAS_MISSING if missing else None,
        {"missing": len(missing)},
    )
    return {TENANT_SCHEMAS: check}, [name for name, found in schemas.items() if found is not None]


def _ask_migrations(names: list[str], visits: Visits) -> Check:
    watch = Stopwatch()
    if settings.DDL_DATABASE in connections.settings:
        with _past_the_pool(settings.DDL_DATABASE):
            owners = connections[settings.DDL_DATABASE]
            behind = len(plan.list_missing(owners, [PUBLIC_SCHEMA, *names]))
            asked = 1 + len(names)
    else:
        visits.forget_all_but(names)
        recorded = [_recorded_in_public(), *visits.recorded.values()]
        behind = sum(not _known() <= each for each in recorded)
        asked = len(recorded)
    return Check(
        MIGRATIONS,
        State.DEGRADED if behind else State.UP,
        watch.milliseconds,
        Reason.BEHIND if behind else None,
        {"behind": behind, "asked": asked},
    )


@lru_cache(maxsize=1)
def _known() -> frozenset[Key]:
    return frozenset(plan.list_known())


def _recorded_in_public() -> frozenset[Key]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(RECORDED)
        return frozenset(cursor.fetchall())


def ask_redis() -> Checks:
    """Return whether the Redis of the default cache answers; nothing where there is none."""
    watch = Stopwatch()
    client = getattr(cache, "client", None)
    if client is None:
        return {}
    try:
        # Redis itself: the cache says nothing of errors, so that pages go on without it.
        client.get_client(write=True).ping()
    except RedisError as error:
        logger.warning("Redis does not answer: %s", _name(error))
        return {REDIS: Check(REDIS, State.DEGRADED, watch.milliseconds, Reason.AWAY)}
    return {REDIS: Check(REDIS, State.UP, watch.milliseconds)}


def _log(name: str, error: Error) -> None:
    logger.warning("%s failed: %s", name, _name(error))


def _name(error: Exception) -> str:
    """Return what kind of error it is; a message of the server's may quote a row."""
    return type(error.__cause__ or error).__name__
