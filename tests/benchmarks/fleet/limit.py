"""
How long does raw SQL take? Psycopg by itself, one connection, one message for each schema.
"""

from __future__ import annotations

import os
import time

import psycopg

from tests.benchmarks import children, names
from tests.benchmarks.children import Answer
from tests.benchmarks.fleet import changes, raw
from tests.benchmarks.fleet.changes import NOTHING


class Limit:
    def __init__(self) -> None:
        address = os.environ["BENCH_DDL_URL"]
        self.connection = psycopg.connect(address, autocommit=True, prepare_threshold=None)
        self.database = self.connection.info.dbname
        self.change = {NOTHING.name: NOTHING, **changes.CHANGES}[os.environ["BENCH_CHANGE"]]

    def provision(self, slugs: list[str], script: str) -> Answer:
        messages = [raw.creation(self.database, slug, script=script) for slug in slugs]
        return {"milliseconds": [self._time(message) * 1000 for message in messages]}

    def migrate(self, size: int, statements: list[str]) -> Answer:
        """Change every schema, or, where there is nothing to change, ask what each has."""
        schemas = [names.schema(number) for number in range(1, size + 1)]
        if self.change is NOTHING:
            return {"seconds": self._time(raw.applied(schemas))}
        messages = [raw.migration(schema, self.change, statements) for schema in schemas]
        return {"seconds": sum(map(self._time, messages))}

    def _time(self, message: bytes) -> float:
        began = time.perf_counter()
        cursor = self.connection.execute(message)
        if cursor.description:
            cursor.fetchall()
        return time.perf_counter() - began


if __name__ == "__main__":
    limit = Limit()
    children.say({})
    children.serve(lambda asked: getattr(limit, asked.pop("do"))(**asked))
