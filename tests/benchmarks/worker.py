"""
How long does one system take for a number of operations, each for the next tenant?

A process for one system and one way to the database; see `children` for how it is asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle, islice
from typing import Any

import django
import psycopg
from django.db import connection, transaction

from tests.benchmarks import children, names
from tests.benchmarks.children import Answer
from tests.benchmarks.errors import WrongRows
from tests.benchmarks.names import PATIENT
from tests.benchmarks.systems import LIMIT, OURS, PLAIN, STOCK

# An operation works for the tenant with this number, and returns whose rows it got.
Operation = Callable[[int], str]


class Plain:
    """What a project's code does: begin to work for a tenant, query, end."""

    def __init__(self) -> None:
        from tests.benchmarks.project.records.models import Patient

        self.patients = Patient.objects

    def prepare(self, size: int) -> None:
        """Learn of the first `size` tenants."""

    def enter(self, number: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def owner(self, number: int) -> str:
        """Return whose rows are right: this system knows one schema."""
        return names.slug(1)

    def autocommit(self, number: int) -> str:
        with self.enter(number):
            patient = self.patients.get(pk=PATIENT)
        return patient.clinic

    def atomic_1(self, number: int) -> str:
        with self.enter(number), transaction.atomic():
            patient = self.patients.get(pk=PATIENT)
        return patient.clinic

    def atomic_5(self, number: int) -> str:
        with self.enter(number), transaction.atomic():
            for _ in range(5):
                patient = self.patients.get(pk=PATIENT)
        return patient.clinic


class Ours(Plain):
    def prepare(self, size: int) -> None:
        from tenancy import context
        from tenancy.models import Organization

        with context.override(context.PLATFORM):
            found = Organization.objects.order_by("slug")[:size]
            self.tenants = [organization.as_active() for organization in found]
        self.override = context.override

    def enter(self, number: int) -> AbstractContextManager[Any]:
        return self.override(self.tenants[number - 1])

    def owner(self, number: int) -> str:
        return names.slug(number)


class Stock(Plain):
    def prepare(self, size: int) -> None:
        from django_tenants.utils import tenant_context

        from tests.benchmarks.project.clinics.models import Clinic

        self.tenants = list(Clinic.objects.order_by("schema_name")[:size])
        self.tenant_context = tenant_context

    def enter(self, number: int) -> AbstractContextManager[Any]:
        entered: AbstractContextManager[Any] = self.tenant_context(self.tenants[number - 1])
        return entered

    def owner(self, number: int) -> str:
        return names.slug(number)


class Limit:
    """Psycopg by itself: path, role and Django's query in messages that were ready before."""

    COLUMN = 1  # which of the row's columns says whose it is

    def __init__(self) -> None:
        from tests.benchmarks.project.records.models import Patient

        connection.ensure_connection()
        self.database = connection.settings_dict["NAME"]
        address = connection.get_connection_params()
        self.execute = psycopg.connect(
            host=address["host"],
            port=address["port"],
            user=address["user"],
            password=address["password"],
            dbname=address["dbname"],
            autocommit=True,
            prepare_threshold=None,
        ).execute
        query = Patient.objects.filter(pk=PATIENT)[:21].query
        with connection.cursor() as cursor:
            self.query: bytes = cursor.mogrify(*query.sql_with_params()).encode()
        connection.close()

    def prepare(self, size: int) -> None:
        from tenancy import roles, schemas

        self.bindings = [
            schemas.bind_sql((schema, "public"), roles.name(self.database, schema))
            for schema in map(names.schema, range(1, size + 1))
        ]
        self.queries = [binding + self.query for binding in self.bindings]
        self.beginnings = [b"BEGIN; " + query for query in self.queries]

    def owner(self, number: int) -> str:
        return names.slug(number)

    def autocommit(self, number: int) -> str:
        cursor = self.execute(self.queries[number - 1])
        cursor.nextset()
        cursor.nextset()
        return cursor.fetchall()[0][self.COLUMN]

    def atomic_1(self, number: int) -> str:
        return self._in_transaction(number, queries=1)

    def atomic_5(self, number: int) -> str:
        return self._in_transaction(number, queries=5)

    def _in_transaction(self, number: int, *, queries: int) -> str:
        cursor = self.execute(self.beginnings[number - 1])
        while cursor.nextset():
            pass
        rows = cursor.fetchall()
        for _ in range(queries - 1):
            rows = self.execute(self.query).fetchall()
        self.execute(b"COMMIT")
        return rows[0][self.COLUMN]


WORKERS = {OURS.key: Ours, PLAIN.key: Plain, STOCK.key: Stock, LIMIT.key: Limit}


class Bench:
    """Times a worker's operations, each for the next of its tenants."""

    def __init__(self, worker: Plain | Limit) -> None:
        self.worker = worker
        self.tenants = iter(cycle([1]))

    def answer(self, asked: Answer) -> Answer:
        if "size" in asked:
            self._prepare(asked["size"])
            return {}
        return {"seconds": self._time(asked["operation"], asked["count"])}

    def _prepare(self, size: int) -> None:
        """Work for each tenant once: PostgreSQL reads the catalogue of each on first sight."""
        self.worker.prepare(size)
        self.tenants = iter(cycle(range(1, size + 1)))
        self._time("autocommit", size)

    def _time(self, operation: str, count: int) -> float:
        work: Operation = getattr(self.worker, operation)
        owner = self.worker.owner
        tenants = list(islice(self.tenants, count))
        began = time.perf_counter()
        owners = [work(tenant) for tenant in tenants]
        seconds = time.perf_counter() - began
        if owners != [owner(tenant) for tenant in tenants]:
            raise WrongRows(f"{type(self.worker).__name__}, {operation}")
        return seconds


if __name__ == "__main__":
    django.setup()
    bench = Bench(WORKERS[sys.argv[1]]())
    children.serve(bench.answer)
