"""
On which fleet do the systems work? On one: the product's schemas, the same for all of them.

`tenancy` makes the first by migrating it, and the others are copies, made of raw SQL. Stock
django-tenants and raw SQL work at the same schemas with the rights of their owner, and what
one of them did is undone before the next begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tenancy import roles
from tenancy.testing import databases
from tests.benchmarks import children, names
from tests.benchmarks.children import Child
from tests.benchmarks.fleet import raw
from tests.benchmarks.fleet.changes import NOTHING, Change
from tests.benchmarks.systems import LIMIT, OURS, STOCK, System
from tests.fixtures import servers

# Whose rights stock django-tenants and raw SQL have, from the first statement on.
OWNER = "owner"
LOGIN = """
    CREATE ROLE {login} LOGIN PASSWORD {password};
    GRANT CONNECT ON DATABASE {database} TO {login};
    GRANT {ddl} TO {login};
    ALTER ROLE {login} SET role TO {ddl}
"""

# What the slugs begin with of clinics that are made to be measured, and dropped again.
NEW = "new"
FIND = "SELECT nspname FROM pg_catalog.pg_namespace WHERE starts_with(nspname, %(prefix)s)"
DROP = "DROP SCHEMA {schema} CASCADE; DROP ROLE IF EXISTS {role}"
FORGET = "UPDATE public.tenancy_organization SET state = 'deleted' WHERE starts_with(slug, %(new)s)"
FORGET_CLINICS = "DELETE FROM public.clinics_clinic WHERE starts_with(schema_name, %(prefix)s)"

SWEPT = """
    SELECT relname
      FROM pg_catalog.pg_class
     WHERE relnamespace = 'pg_catalog'::regnamespace
       AND relkind = 'r'
"""

Progress = Callable[[int], None]


@dataclass
class Fleet:
    """`size` clinics; `script` is what makes the tables and first rows of one."""

    database: str
    owner: psycopg.Connection[Any]
    superuser: psycopg.Connection[Any]
    script: str
    size: int = 1
    made: int = 0
    """How many clinics were made to be measured; none has another's name."""

    @property
    def schemas(self) -> list[str]:
        return [names.schema(number) for number in range(1, self.size + 1)]

    def grow(self, size: int, progress: Progress) -> None:
        """Make clinics until there are `size`."""
        for number in range(self.size + 1, size + 1):
            slug = names.slug(number)
            self.owner.execute(raw.creation(self.database, slug, script=self.script))
            self.owner.execute(raw.addition(slug))
            self.size = number
            progress(number)
        self.sweep()

    def new_slugs(self, count: int) -> list[str]:
        self.made += count
        return [f"{NEW}{number:05}" for number in range(self.made - count, self.made)]

    def list_without(self, change: Change) -> list[str]:
        """Return the schemas that lack `change`, or its record."""
        return [schema for schema in self.schemas if not self._has(schema, change)]

    def undo(self, change: Change) -> None:
        for schema in self.schemas:
            self.owner.execute(raw.undoing(schema, change))
        self.sweep()

    def drop_new(self) -> None:
        """Drop the clinics that were made to be measured."""
        those = {"prefix": f"tenant_{NEW}", "new": NEW}
        for (schema,) in self.owner.execute(FIND, those).fetchall():
            role = roles.name(self.database, schema)
            parts = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
            self.owner.execute(sql.SQL(DROP).format(**parts))
        self.owner.execute(FORGET, those)
        self.owner.execute(FORGET_CLINICS, those)
        self.sweep()

    def sweep(self) -> None:
        """Leave nothing to autovacuum, which would begin while something is measured."""
        catalogue = [name for (name,) in self.superuser.execute(SWEPT).fetchall()]
        tables = sql.SQL(", ").join(map(sql.Identifier, catalogue))
        self.superuser.execute(sql.SQL("VACUUM (ANALYZE) {}").format(tables))
        self.superuser.execute("CHECKPOINT")

    def _has(self, schema: str, change: Change) -> bool:
        cursor = self.owner.execute(raw.proof(schema, change))
        cursor.nextset()
        cursor.nextset()
        return bool(cursor.fetchall()[0][0])


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Make the database with one clinic; at the end drop it with all its roles."""
    name = servers.database_name()
    server = os.environ["DATABASE_SUPERUSER_URL"]
    databases.make_database(
        superuser_url=server,
        database=name,
        app_password=servers.PASSWORD,
        ddl_password=servers.PASSWORD,
    )
    try:
        with ExitStack() as stack:
            superuser = stack.enter_context(psycopg.connect(server, dbname=name, autocommit=True))
            _make_login(superuser, name)
            script = _make_first()
            owner = psycopg.connect(servers.database_url(name, OWNER), autocommit=True)
            stack.enter_context(owner)
            owner.execute(raw.addition(names.slug(1)))
            yield Fleet(name, owner, superuser, script)
    finally:
        databases.drop_database(superuser_url=server, database=name)


def worker(system: System, change: Change = NOTHING) -> AbstractContextManager[Child]:
    """Start a process of `system` with the owner's rights, to whose project the change came."""
    module = "limit" if system is LIMIT else "worker"
    return children.running(
        f"tests.benchmarks.fleet.{module}", system.key, **_environment(system, change)
    )


def _environment(system: System, change: Change) -> dict[str, str]:
    database = servers.database_name()
    owner = "ddl_login" if system is OURS else OWNER
    return {
        "DJANGO_SETTINGS_MODULE": f"tests.benchmarks.project.settings.fleet_{system.settings}",
        "BENCH_DATABASE_URL": servers.database_url(database, "app"),
        "BENCH_DDL_URL": servers.database_url(database, owner),
        "BENCH_CHANGE": change.name,
    }


def _make_login(superuser: psycopg.Connection[Any], name: str) -> None:
    login = sql.SQL(LOGIN).format(
        login=sql.Identifier(roles.name(name, OWNER)),
        password=sql.Literal(servers.PASSWORD),
        database=sql.Identifier(name),
        ddl=sql.Identifier(roles.name(name, "ddl")),
    )
    superuser.execute(login)


def _make_first() -> str:
    """Make the first clinic, and what the systems know of all; return what makes its tables."""
    with worker(OURS) as ours:
        ours.hear()
        ours.ask(do="begin", slug=names.slug(1))
        script = ours.ask(do="script", slug=names.slug(1))["script"]
    with worker(STOCK) as stock:
        stock.hear()
        stock.ask(do="begin")
    return str(script)
