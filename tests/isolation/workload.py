"""
What do many clients do at once, each for one clinic after the other, and what came back wrong?

Every clinic has rows with the same primary keys, and every row says whose it is. A read
that meets another clinic's row is seen at once; rows that were written are looked for
at the end, one clinic after the other, from outside.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import connections, transaction
from psycopg import sql

from apps.scheduling.models import Practitioner

TABLE = Practitioner._meta.db_table
SAME_KEYS = [UUID(int=number) for number in range(1, 6)]

SEED = """
    INSERT INTO {table}
           (id, active, family, given, prefix, suffix, gender, qualifications, extra,
            created_at, updated_at)
    SELECT key, true, {name}, '', '', '', '', '{{}}', '{{}}', now(), now()
      FROM unnest({keys}::uuid[]) AS key
"""
READ = f"SELECT pg_backend_pid(), family FROM {TABLE} WHERE id = ANY(%s)"
WRITE = f"""
    INSERT INTO {TABLE}
           (id, active, family, given, prefix, suffix, gender, qualifications, extra,
            created_at, updated_at)
    VALUES (%s, true, %s, %s, '', '', '', '{{}}', '{{}}', now(), now())
"""
COPY = f"""
    COPY {TABLE} (id, active, family, given, prefix, suffix, gender, qualifications, extra,
                  created_at, updated_at)
    FROM STDIN
"""
WRITTEN = "SELECT family, given FROM {table} WHERE id <> ALL({keys}::uuid[])"
UPDATED = "SELECT family, suffix FROM {table} WHERE id = ANY({keys}::uuid[]) AND suffix <> ''"


Answers = Iterator[list[str]]
Marks = Iterable[str]


class Undone(Exception):
    """Raised inside a transaction to have it rolled back."""


@dataclass(frozen=True)
class Clinic:
    """Whom to work for: its name is what its rows say, `enter` is how one begins."""

    name: str
    schema: str
    enter: Callable[[], AbstractContextManager[Any]]


@dataclass
class Report:
    """What was done and what came back. `kept` and `undone` are the rows' marks by clinic."""

    reads: int = 0
    wrong_reads: int = 0
    updates: int = 0
    errors: list[Exception] = field(default_factory=list)
    kept: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    undone: set[str] = field(default_factory=set)
    clinics_by_session: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writes(self) -> int:
        return self.updates + sum(map(len, self.kept.values()))


class Client:
    """One thread's work on one database address."""

    def __init__(self, report: Report, *, alias: str, number: int) -> None:
        self.report = report
        self.alias = alias
        self.random = Random(number)  # the same work each time, no secret
        self.rows = Practitioner.objects.using(alias)
        self.session = 0

    # Reading: each yields, for every statement, what its rows say of whose they are.

    def read_with_the_orm(self) -> Answers:
        yield list(self.rows.filter(pk__in=SAME_KEYS).values_list("family", flat=True))

    def read_one(self) -> Answers:
        yield [self.rows.get(pk=self.random.choice(SAME_KEYS)).family]

    def read_in_chunks(self) -> Answers:
        yield [row.family for row in self.rows.filter(pk__in=SAME_KEYS).iterator(2)]

    def read_raw(self) -> Answers:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(READ, [SAME_KEYS])
            rows = cursor.fetchall()
        self.session, *_ = {session for session, _ in rows}
        yield [family for _, family in rows]

    def read_in_a_transaction(self) -> Answers:
        with transaction.atomic(using=self.alias):
            yield from self.read_raw()
            yield from self.read_with_the_orm()

    def read_around_a_rolled_back_savepoint(self) -> Answers:
        with transaction.atomic(using=self.alias):
            yield from self.read_one()
            try:
                with transaction.atomic(using=self.alias):
                    self._insert("undone", str(uuid4()))
                    raise Undone
            except Undone:
                yield from self.read_with_the_orm()

    READS = (
        read_with_the_orm,
        read_one,
        read_in_chunks,
        read_raw,
        read_in_a_transaction,
        read_around_a_rolled_back_savepoint,
    )

    # Writing: each returns the marks of the rows that stay, and notes those that do not.

    def create(self, name: str) -> Marks:
        return [self.rows.create(family=name, given=str(uuid4())).given]

    def create_many(self, name: str) -> Marks:
        rows = [Practitioner(family=name, given=str(uuid4())) for _ in range(3)]
        return [row.given for row in self.rows.bulk_create(rows)]

    def insert_raw(self, name: str) -> Marks:
        return [self._insert(name, str(uuid4()))]

    def insert_many(self, name: str) -> Marks:
        marks = [str(uuid4()) for _ in range(3)]
        with connections[self.alias].cursor() as cursor:
            cursor.executemany(WRITE, [(uuid4(), name, mark) for mark in marks])
        return marks

    def copy(self, name: str) -> Marks:
        marks = [str(uuid4()) for _ in range(3)]
        with connections[self.alias].cursor() as cursor, cursor.copy(COPY) as copy:
            for mark in marks:
                copy.write_row(
                    (uuid4(), True, name, mark, "", "", "", "{}", "{}", "2026-01-01", "2026-01-01")
                )
        return marks

    def insert_in_a_transaction(self, name: str) -> Marks:
        with transaction.atomic(using=self.alias):
            return [*self.create(name), *self.insert_raw(name)]

    def insert_around_a_savepoint(self, name: str) -> Marks:
        with transaction.atomic(using=self.alias):
            first = self.create(name)
            with transaction.atomic(using=self.alias):
                second = self.insert_raw(name)
            return [*first, *second]

    def insert_after_a_rolled_back_savepoint(self, name: str) -> Marks:
        with transaction.atomic(using=self.alias):
            self._undo(name)
            return self.insert_raw(name)

    def roll_back(self, name: str) -> Marks:
        self._undo(name)
        return []

    def update(self, name: str) -> Marks:
        updated = self.rows.filter(pk=self.random.choice(SAME_KEYS)).update(suffix=name)
        with self.report.lock:
            self.report.updates += updated
        return []

    WRITES = (
        create,
        create_many,
        insert_raw,
        insert_many,
        copy,
        insert_in_a_transaction,
        insert_around_a_savepoint,
        insert_after_a_rolled_back_savepoint,
        roll_back,
        update,
    )

    def _insert(self, name: str, mark: str) -> str:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(WRITE, [uuid4(), name, mark])
        return mark

    def _undo(self, name: str) -> None:
        try:
            with transaction.atomic(using=self.alias):
                marks = [*self.create(name), *self.insert_raw(name)]
                raise Undone
        except Undone:
            with self.report.lock:
                self.report.undone.update(marks)

    # The loop

    def work(self, clinics: list[Clinic], *, reads: int, writes: int) -> None:
        """Read `reads` times and write `writes` times, for a clinic drawn each time."""
        steps = [self._read] * reads + [self._write] * writes
        self.random.shuffle(steps)
        try:
            for step in steps:
                clinic = self.random.choice(clinics)
                try:
                    with clinic.enter():
                        step(clinic)
                except Exception as error:  # noqa: BLE001  # told by whoever started us
                    with self.report.lock:
                        self.report.errors.append(error)
        finally:
            connections.close_all()

    def _read(self, clinic: Clinic) -> None:
        self.session = 0
        answers = list(self.random.choice(self.READS)(self))
        with self.report.lock:
            self.report.reads += len(answers)
            self.report.wrong_reads += sum(set(each) != {clinic.name} for each in answers)
            if self.session:
                self.report.clinics_by_session[self.session].add(clinic.name)

    def _write(self, clinic: Clinic) -> None:
        marks = self.random.choice(self.WRITES)(self, clinic.name)
        with self.report.lock:
            self.report.kept[clinic.name].update(marks)


def seed(server: psycopg.Connection[Any], clinic: Clinic) -> None:
    """Give the clinic rows with the keys that every clinic has, each saying whose it is."""
    _execute(server, SEED, clinic, name=sql.Literal(clinic.name))


def run(clinics: list[Clinic], *, alias: str, threads: int, reads: int, writes: int) -> Report:
    """Let `threads` clients share `reads` reads and `writes` writing steps at `alias`."""
    report = Report()
    with ThreadPoolExecutor(threads) as pool:
        for number in range(threads):
            client = Client(report, alias=alias, number=number)
            pool.submit(client.work, clinics, reads=reads // threads, writes=writes // threads)
    return report


def list_misplaced(
    server: psycopg.Connection[Any], clinics: list[Clinic], report: Report
) -> list[str]:
    """
    Return a sentence for each row that is not where it was written to, or should not be.
    """
    wrong = []
    for clinic in clinics:
        rows = _execute(server, WRITTEN, clinic).fetchall()
        found = {mark for _, mark in rows}
        kept = report.kept[clinic.name]
        wrong += [f"{name}'s row in {clinic.name}" for name, _ in rows if name != clinic.name]
        wrong += [f"lost by {clinic.name}: {mark}" for mark in kept - found]
        wrong += [f"rolled back, yet in {clinic.name}: {mark}" for mark in found & report.undone]
        wrong += [
            f"nobody was told of it, yet in {clinic.name}: {mark}"
            for name, mark in rows
            if name == clinic.name and mark not in kept | report.undone
        ]
        wrong += [
            f"{clinic.name}'s row updated by {name}"
            for _, name in _execute(server, UPDATED, clinic).fetchall()
            if name != clinic.name
        ]
    return wrong


def _execute(
    server: psycopg.Connection[Any], statement: str, clinic: Clinic, **values: sql.Composable
) -> psycopg.Cursor[Any]:
    names = {"table": sql.Identifier(clinic.schema, TABLE), "keys": sql.Literal(SAME_KEYS)}
    return server.execute(sql.SQL(statement).format(**names, **values))
