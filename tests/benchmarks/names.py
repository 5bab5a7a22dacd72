"""
What are the tenants, their hosts and rows, and who serves them, in every process alike?
"""

from __future__ import annotations

from uuid import UUID

BASE_DOMAIN = "localhost"
ROWS = 100
# A schema's first table is Django's; where there are more, they are like it.
TABLE = "records_patient"
# The patient who is asked for has the same key in every schema.
PATIENT = UUID(int=1)
REHEARSAL = "/rehearsal/"

WORKERS = 2
THREADS = 4


def slug(number: int) -> str:
    return f"c{number:05}"


def schema(number: int) -> str:
    return f"tenant_{slug(number)}"


def tables(count: int) -> list[str]:
    return [TABLE, *(f"{TABLE}_{number:02}" for number in range(2, count + 1))]


def host(number: int) -> str:
    return f"{slug(number)}.{BASE_DOMAIN}"
