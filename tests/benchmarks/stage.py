"""
On what do the systems work? One database with the same tables and rows for all of them.

Each clinic has a schema with a role, as `tenancy` makes them. Plain Django's login has the
first schema as its path, django-tenants' may use all of them and has tables of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import django
import psycopg
from django.core.cache import cache
from django.db import connections, transaction
from psycopg import sql

from clinicx import local
from clinicx.local import state
from tenancy import roles
from tests.benchmarks import children, names, systems
from tests.benchmarks.errors import UnableToMeasure
from tests.fixtures import servers

# The servers of the benchmarks have a folder of their own below var/: what was measured
# is in var/bench, and what the tests do to theirs shall not be measured.
STACK = "bench-servers"

# The same for every system. What the owner of all schemas makes:
ROWS = """
    INSERT INTO {table}
           (id, clinic, mrn, active, family, given, gender, birth_date, deceased,
            marital_status, sort_name, extra, created_at, updated_at)
    SELECT lpad(to_hex(number), 32, '0')::uuid, {slug}, 'MRN-' || number, true,
           'Family ' || number, 'Given ' || number, 'female', date '1980-01-01' + number,
           false, 'M', 'family ' || number, '{{"language": "en", "contact": "phone"}}',
           timestamptz '2026-01-01', timestamptz '2026-01-01'
      FROM generate_series(1, {rows}) AS number
"""
COPY_TABLE = "CREATE TABLE {table} (LIKE {first} INCLUDING ALL)"
GRANT = (
    "GRANT USAGE ON SCHEMA {schema} TO {login}; "
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {login}"
)

# And what only a superuser may:
LOGIN = "CREATE ROLE {login} LOGIN PASSWORD {password}; GRANT CONNECT ON DATABASE {db} TO {login}"
TIMEOUT = "ALTER ROLE {login} SET {timeout} TO {value}"
PATH = "ALTER ROLE {login} SET search_path TO {schema}, public"
OWN_TABLES = "GRANT USAGE, CREATE ON SCHEMA public TO {login}"

Progress = Callable[[int], None]


@contextmanager
def servers_running() -> Iterator[None]:
    """
    Start PostgreSQL and Redis for the benchmarks alone, and stop them at the end.

    With DATABASE_SUPERUSER_URL and REDIS_URL set, those are used, as by the tests.
    """
    with ExitStack() as stack:
        if not {"DATABASE_SUPERUSER_URL", "REDIS_URL"} <= os.environ.keys():
            stack.enter_context(_alone())
            stack.callback(local.stop_servers, STACK)
            os.environ.update(local.ensure_servers(STACK))
        os.environ["REDIS_URL"] = servers.redis_url(servers.redis_number())
        yield


@contextmanager
def _alone() -> Iterator[None]:
    """Two at once would measure each other, and the first to end would stop both's servers."""
    folder = state.prepare(state.folder_of(STACK)).folder
    with state.lock(folder, "bench", wait=False) as is_alone:
        if not is_alone:
            raise UnableToMeasure("Another benchmark is running in this folder; wait for its end.")
        yield


@contextmanager
def database(size: int, *, tables: int = 1, progress: Progress) -> Iterator[None]:
    """Make the database with `size` clinics of `tables`; at the end drop it with all its roles."""
    name = servers.database_name()
    os.environ.update(systems.OURS.environment())
    os.environ["BENCH_DDL_URL"] = servers.database_url(name, "ddl_login")
    django.setup()
    try:
        _make(name, size, tables, progress)
        del os.environ["BENCH_DDL_URL"]
        yield
    finally:
        _drop(name)


def _make(name: str, size: int, tables: int, progress: Progress) -> None:
    from tenancy import context, testing
    from tenancy.rollout import executor

    testing.make_database(
        superuser_url=os.environ["DATABASE_SUPERUSER_URL"],
        database=name,
        app_password=servers.PASSWORD,
        ddl_password=servers.PASSWORD,
    )
    with _superuser(name) as server:
        _make_logins(server, name)
        executor.migrate(context.PLATFORM)
        with context.override(context.PLATFORM):
            cache.clear()  # an earlier run's clinics had the same hosts and other ids
            _make_clinics(name, size, tables, progress)
        _make_tables_of_stock(size)
        # Done now, it does not begin by itself while something is measured.
        server.execute("VACUUM (ANALYZE)")
        server.execute("CHECKPOINT")


def _make_logins(server: psycopg.Connection[Any], name: str) -> None:
    for login in _rivals(name):
        parts = {"login": login, "db": name, "password": sql.Literal(servers.PASSWORD)}
        server.execute(_compose(LOGIN, **parts))
        for timeout, value in roles.APP_TIMEOUTS.items():
            server.execute(
                _compose(TIMEOUT, login=login, timeout=timeout, value=sql.Literal(value))
            )
    plain, stock = _rivals(name)
    server.execute(_compose(PATH, login=plain, schema=names.schema(1)))
    server.execute(_compose(OWN_TABLES, login=stock))


def _make_clinics(name: str, size: int, tables: int, progress: Progress) -> None:
    from tenancy.models import Organization

    Organization.objects.using("ddl").bulk_create(
        Organization(slug=names.slug(number), name=f"Clinic {number}", schema_name=schema)
        for number, schema in enumerate(map(names.schema, range(1, size + 1)), start=1)
    )
    for number in range(1, size + 1):
        with transaction.atomic(using="ddl"):
            _make_clinic(name, number, tables)
        progress(number)


def _make_clinic(name: str, number: int, tables: int) -> None:
    from tenancy import schemas

    owner = connections["ddl"]
    schema = names.schema(number)
    table = sql.Identifier(schema, names.TABLE)
    schemas.create(owner, schema)
    if number == 1:
        _make_first_table(schema)
    else:
        _run(COPY_TABLE, table=table, first=_first_table())
    _make_further_tables(schema, tables)
    _run(ROWS, table=table, slug=sql.Literal(names.slug(number)), rows=sql.Literal(names.ROWS))
    plain, stock = _rivals(name)
    for login in (plain, stock) if number == 1 else (stock,):
        _run(GRANT, schema=schema, login=login)


def _make_first_table(schema: str) -> None:
    from tenancy import context
    from tests.benchmarks.project.records.models import Patient

    active = context.ActiveTenant(id=None, schema=schema)
    with (
        context.override(active, in_transaction=True),
        connections["ddl"].schema_editor() as editor,
    ):
        editor.create_model(Patient)


def _make_further_tables(schema: str, count: int) -> None:
    """Make them in one message: to migrate thousands of schemas would take an hour."""
    copies = [
        _compose(COPY_TABLE, table=sql.Identifier(schema, table), first=_first_table())
        for table in names.tables(count)[1:]
    ]
    if copies:
        _run(sql.SQL("; ").join(copies).as_string(None))


def _first_table() -> sql.Identifier:
    return sql.Identifier(names.schema(1), names.TABLE)


def _make_tables_of_stock(size: int) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.project.clinics.make", str(size)]
    environment = os.environ | systems.STOCK.environment()
    subprocess.run(command, cwd=children.ROOT, env=environment, check=True)


def _drop(name: str) -> None:
    from tenancy.testing import drop_database

    connections.close_all()
    drop_database(superuser_url=os.environ["DATABASE_SUPERUSER_URL"], database=name)


def database_port() -> int:
    port = urlsplit(os.environ["DATABASE_SUPERUSER_URL"]).port
    assert port
    return port


def _rivals(name: str) -> tuple[str, str]:
    """Return the logins of those who do without our roles: plain Django's, django-tenants'."""
    return roles.name(name, systems.PLAIN.login), roles.name(name, systems.STOCK.login)


def _superuser(name: str) -> psycopg.Connection[Any]:
    address = os.environ["DATABASE_SUPERUSER_URL"]
    return psycopg.connect(address, dbname=name, autocommit=True)


def _run(statement: str, **parts: str | sql.Composable) -> None:
    """Execute `statement` as the owner of all schemas."""
    with connections["ddl"].cursor() as cursor:
        cursor.execute(_compose(statement, **parts).as_string(None))


def _compose(statement: str, **parts: str | sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(
        **{
            key: sql.Identifier(part) if isinstance(part, str) else part
            for key, part in parts.items()
        }
    )
