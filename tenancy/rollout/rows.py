"""
With which rows does a schema begin, as the SQL that writes them?

What migrations and those who listen to them wrote: content types, permissions, roles, the
record of the migrations. What was the time then is the time of whoever runs the script.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Of each table that can have rows: its columns that can be written, what is asked of each,
# how its rows are put in order, and whether writing them would fire a trigger.
TABLES = """
    SELECT class.relname,
           array_agg(attname ORDER BY attnum),
           array_agg(atttypid::regtype::text ORDER BY attnum),
           coalesce(
               (SELECT array_agg(key.attname ORDER BY array_position(indkey::int2[], key.attnum))
                  FROM pg_catalog.pg_index
                  JOIN pg_catalog.pg_attribute AS key
                    ON key.attrelid = indrelid AND key.attnum = ANY (indkey)
                 WHERE indrelid = class.oid AND indisprimary),
               array_agg(attname ORDER BY attnum)
           ),
           EXISTS (SELECT FROM pg_catalog.pg_trigger
                    WHERE tgrelid = class.oid AND NOT tgisinternal)
      FROM pg_catalog.pg_class AS class
      JOIN pg_catalog.pg_attribute ON attrelid = class.oid
     WHERE relnamespace = %(schema)s::regnamespace
       AND relkind = 'r'
       AND attnum > 0
       AND NOT attisdropped
       AND attgenerated = ''
     GROUP BY class.oid, class.relname
     ORDER BY class.relname
"""
SEQUENCES = """
    SELECT sequencename, last_value
      FROM pg_catalog.pg_sequences
     WHERE schemaname = %(schema)s AND last_value IS NOT NULL
     ORDER BY sequencename
"""

# Each value is read as what would be written. A moment around now is the one in which the row
# was written, for no clock of ours is wrong by an hour and no migration knows today's date.
VALUE = "quote_nullable({column}::text)"
MOMENT = """
    CASE WHEN {column} BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'
         THEN 'now()' ELSE quote_nullable({column}::text) END
"""
DAY = """
    CASE WHEN abs({column} - current_date) <= 1
         THEN 'current_date' ELSE quote_nullable({column}::text) END
"""
QUESTIONS = {
    "timestamp with time zone": MOMENT,
    "timestamp without time zone": MOMENT,
    "date": DAY,
}
SELECT = "SELECT {values} FROM ONLY {schema}.{table} ORDER BY {order}"

DISABLE = "ALTER TABLE {table} DISABLE TRIGGER USER;\n"
INSERT = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n{rows};\n"
# No table is altered while its rows wait for the commit to be checked.
CHECK = "SET CONSTRAINTS ALL IMMEDIATE;\nSET CONSTRAINTS ALL DEFERRED;\n"
ENABLE = "ALTER TABLE {table} ENABLE TRIGGER USER;\n"
ADVANCE = "SELECT setval({sequence}, {value});\n"


@dataclass(frozen=True)
class Table:
    """The rows of a table, each value as SQL."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    has_triggers: bool


@dataclass(frozen=True)
class Rows:
    """All rows of a schema, and how far its sequences are."""

    tables: tuple[Table, ...]
    sequences: tuple[tuple[str, int], ...]


def read(connection: BaseDatabaseWrapper, schema: str) -> Rows:
    """Return the rows of `schema`. For a schema of which nobody has made use: it reads all."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES, {"schema": schema})
        tables = cursor.fetchall()
        cursor.execute(SEQUENCES, {"schema": schema})
        sequences = tuple(cursor.fetchall())
    found = (_read_table(connection, schema, *table) for table in tables)
    return Rows(tuple(table for table in found if table.rows), sequences)


def _read_table(
    connection: BaseDatabaseWrapper,
    schema: str,
    table: str,
    columns: list[str],
    types: list[str],
    key: list[str],
    has_triggers: bool,
) -> Table:
    values = (
        sql.SQL(QUESTIONS.get(type_, VALUE)).format(column=sql.Identifier(column))
        for column, type_ in zip(columns, types, strict=True)
    )
    question = sql.SQL(SELECT).format(
        values=sql.SQL(", ").join(values),
        schema=sql.Identifier(schema),
        table=sql.Identifier(table),
        # As text: there are types without an order.
        order=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(each)) for each in key),
    )
    with connection.cursor() as cursor:
        cursor.execute(question.as_string(None))
        return Table(table, tuple(columns), tuple(cursor.fetchall()), has_triggers)


def script(rows: Rows) -> str:
    """Return the SQL that writes `rows` into the schema that is first in the path."""
    return "".join(_statements(rows))


def _statements(rows: Rows) -> Iterator[str]:
    quiet = [table.name for table in rows.tables if table.has_triggers]
    for name in quiet:
        yield _named(DISABLE, name)
    for table in rows.tables:
        yield _insert(table)
    yield CHECK
    for name in quiet:
        yield _named(ENABLE, name)
    for name, value in rows.sequences:
        sequence = sql.Literal(sql.Identifier(name).as_string(None))
        yield sql.SQL(ADVANCE).format(sequence=sequence, value=value).as_string(None)


def _insert(table: Table) -> str:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns)).as_string(None)
    rows = ",\n".join(f"({', '.join(row)})" for row in table.rows)
    name = sql.Identifier(table.name).as_string(None)
    return INSERT.format(table=name, columns=columns, rows=rows)


def _named(statement: str, table: str) -> str:
    return sql.SQL(statement).format(table=sql.Identifier(table)).as_string(None)


def difference(one: Rows, other: Rows) -> str:
    """Return a sentence on the first difference, which names no value; "" where there is none."""
    if one.sequences != other.sequences:
        return "The sequences are not always equally far."
    ones, others = ({table.name: table for table in rows.tables} for rows in (one, other))
    for name in sorted(ones.keys() | others.keys()):
        if found := _difference(ones.get(name), others.get(name), name):
            return found
    return ""


def _difference(one: Table | None, other: Table | None, name: str) -> str:
    if one is None or other is None or len(one.rows) != len(other.rows):
        return f"Table {name} has not always as many rows."
    for one_row, other_row in zip(one.rows, other.rows, strict=True):
        for column, mine, theirs in zip(one.columns, one_row, other_row, strict=True):
            if mine != theirs:
                return f"Column {column} of table {name} has another value each time."
    return ""
