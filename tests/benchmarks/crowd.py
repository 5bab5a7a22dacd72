"""
What do many connections do, each of which serves whichever tenant comes next?

A process that holds them and is told whom to visit; see `children` for how it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from typing import Any

import django
from django.conf import settings
from django.db import connection, connections

from tests.benchmarks import children, names
from tests.benchmarks.children import Answer

FOREVER = 24 * 60 * 60


class Crowd:
    """
    Connections that are used in turn, and kept within a bound or not.

    `tenants` is for how many tenants one works at most, `seconds` how long it lives. With
    `affinity` each has tenants of its own, and `is_plain` knows one schema.
    """

    def __init__(
        self, *, size: int, tables: int, tenants: int | None, seconds: int, is_plain: bool
    ) -> None:
        settings.TENANCY_CONN_MAX_TENANTS = tenants
        pool = {"min_size": size, "max_size": size, "max_lifetime": seconds, "timeout": 60}
        options = connections.settings["default"]["OPTIONS"] | {"pool": pool}
        connections.settings["default"] |= {"CONN_MAX_AGE": 0, "OPTIONS": options}
        connections["default"] = connections.create_connection("default")
        self.is_plain = is_plain
        self.query = "; ".join(
            f"SELECT * FROM {table} WHERE id = '{names.PATIENT}'" for table in names.tables(tables)
        )
        self.seen: dict[int, set[int]] = defaultdict(set)

    def visit(self, number: int) -> bool:
        """Read a row of each of the tenant's tables; tell whether this connection never had."""
        with nullcontext() if self.is_plain else self._override(number):
            with connection.cursor() as cursor:
                cursor.execute(self.query)
            process = connection.connection.pgconn.backend_pid
        self.leave(number)
        is_new = number not in self.seen[process]
        self.seen[process].add(number)
        return is_new

    def leave(self, number: int) -> None:
        # The pool gives what was returned longest ago: each in turn.
        connection.close()

    @staticmethod
    def _override(number: int) -> Any:
        from tenancy import context

        return context.override(context.ActiveTenant(None, names.schema(number)))


class Circles(Crowd):
    """Each connection has tenants of its own, and serves no other."""

    def __init__(self, *, size: int, **options: Any) -> None:
        super().__init__(size=1, **options)
        connections.settings["default"]["OPTIONS"].pop("pool")
        connections.settings["default"]["CONN_MAX_AGE"] = None
        self.circles = [connections.create_connection("default") for _ in range(size)]

    def visit(self, number: int) -> bool:
        connections["default"] = self.circles[number % len(self.circles)]
        return super().visit(number)

    def leave(self, number: int) -> None:
        """Keep it: the next of its tenants comes back to it."""


if __name__ == "__main__":
    django.setup()
    crowd: Crowd | None = None

    def answer(asked: Answer) -> Answer:
        global crowd
        if "visit" in asked:
            assert crowd
            return {"new": sum(map(crowd.visit, asked["visit"]))}
        crowd = (Circles if asked.pop("affinity") else Crowd)(**asked)
        return {}

    children.serve(answer)
