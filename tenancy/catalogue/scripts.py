"""
Which SQL makes everything that is in a schema again, in another one that is empty?

In the form that costs PostgreSQL least: constraints inside CREATE TABLE, also foreign keys
to tables that are there by then, for each of which ALTER TABLE would send a query of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from tenancy import schemas
from tenancy.catalogue import queries, statements
from tenancy.catalogue.reading import Item, read, reading
from tenancy.catalogue.statements import quoted
from tenancy.errors import UnableToCapture

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# As pg_catalog stood second when the names were left out; functions may stand before the
# tables that they name in a string.
PREAMBLE = (
    "SELECT set_config('search_path', "
    "quote_ident(current_schema()) || ', pg_catalog, pg_temp', true)",
    "SET LOCAL check_function_bodies = off",
)

# What others may need, in the order in which it is made where nothing is needed.
THINGS = (
    "type",
    "domain",
    "sequence",
    "function",
    "procedure",
    "table",
    "view",
    "materialized view",
)
# Made when all of these are there, in this order.
LATE = (
    "constraint",
    "index",
    "statistics",
    "rule",
    "setting",
    "column setting",
    "trigger",
    "policy",
    "comment",
)
ELSEWHERE = ("content type", "permission", "default grant", "grant")

RIGHTS = {"table": "r", "view": "r", "materialized view": "r", "sequence": "S", "type": "T"}
RIGHTS |= {"domain": "T", "function": "f", "procedure": "f"}
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}

Thing: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Making:
    """Statements that make an object, and others with it: a table has its columns."""

    lead: Item
    items: frozenset[Item]
    statements: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What is in a schema, and what it takes to make it again elsewhere."""

    items: list[Item]
    needs: list[tuple[Thing, Thing]]
    """What needs what; both are things of this schema."""
    references: dict[tuple[str, str], str]
    """The table to which a foreign key, by its table and name, leads."""
    columns: list[tuple[str, str]]
    fresh: dict[str, set[tuple[str, str]]]
    """Who may do what with what is made, by kind."""

    @cached_property
    def by_thing(self) -> dict[Thing, Item]:
        return {_thing(item): item for item in self.items if item.kind in THINGS}

    @cached_property
    def by_place(self) -> dict[tuple[str, str, str], Item]:
        return {(item.kind, item.relation, item.name): item for item in self.items}

    def of(self, kind: str, relation: str | None = None) -> Iterator[Item]:
        for item in self.items:
            if item.kind == kind and relation in (None, item.relation):
                yield item

    def makings(self) -> Iterator[Making]:
        """Yield what makes all objects, each after those that it needs; not their rights."""
        done: set[Item] = set()
        for thing in _in_order(self):
            making = _make(self, self.by_thing[thing], done)
            done |= making.items
            yield making
        for kind in LATE:
            for item in self.of(kind):
                if item not in done:
                    yield self.making(item)
        for sequence in self.of("sequence"):
            if owning := statements.creating(sequence)[1:]:
                yield Making(sequence, frozenset([sequence]), tuple(owning))

    @cached_property
    def rights(self) -> dict[str, set[tuple[str, str]]]:
        """Who may do what with each thing."""
        rights: dict[str, set[tuple[str, str]]] = {}
        for item in self.of("grant"):
            name, _, grantee = item.name.rpartition(" TO ")
            granted = rights.setdefault(name, set())
            granted.update((grantee, each) for each in item.definition.split(", "))
        return rights

    def granting(self, item: Item) -> list[str]:
        """Return what gives `item` its rights, once it was made and has those by default."""
        kind = RIGHTS.get(item.kind)
        if kind is None:
            return []
        names = names_in_grants(item)
        name = next((each for each in names if each in self.rights), names[0])
        return list(
            _changing(self, name, self.rights.get(name, set()), self.fresh.get(kind, set()))
        )

    def making(self, item: Item) -> Making:
        """Return what makes `item` alone; without statements where none makes it."""
        made = statements.creating(item)
        if item.kind == "column" and (sequence := _identity(self, item.relation, item.name)):
            made = [statements.alter_table(item, f"ADD COLUMN {statements.column(item, sequence)}")]
        return Making(item, frozenset([item]), tuple(made))


def script(connection: BaseDatabaseWrapper, schema: str) -> str:
    """
    Return SQL that makes all objects of `schema`, but no rows, in another schema.

    To be run by the owner in one transaction, with an empty schema of `schemas.create`
    first in search_path; it names none. Raise UnableToCapture, naming what is in the way,
    for what no statement makes again and for what holds the name of `schema` itself.
    """
    source = open_source(connection, schema)
    _check(source, schema)
    made = [statement for making in source.makings() for statement in making.statements]
    return ";\n".join([*PREAMBLE, *made, *_granting(source)]) + ";\n"


def open_source(connection: BaseDatabaseWrapper, schema: str) -> Source:
    """Return what is in `schema`; raise UnableToCapture when there is no such schema."""
    parameters = {
        "schema": schema,
        "prefix": schemas.role_prefix(connection),
        "owner": schemas.owner_of(connection),
    }

    def ask(query: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    items = read(connection, [schema]).get(schema)
    if items is None:
        raise UnableToCapture(f"There is no schema {schema!r}.")
    with reading(connection):
        needs = ask(queries.NEEDS)
        columns = ask(queries.COLUMN_ORDER)
        rights = ask(queries.FRESH_RIGHTS)
    fresh: dict[str, set[tuple[str, str]]] = {}
    for kind, grantee, privilege in rights:
        fresh.setdefault(kind, set()).add((grantee, privilege))
    return Source(
        items=items,
        needs=[
            ((kind, name), (other, needed)) for kind, name, other, needed, key in needs if not key
        ],
        references={(name, key): needed for _, name, _, needed, key in needs if key},
        columns=columns,
        fresh=fresh,
    )


def _check(source: Source, schema: str) -> None:
    """Raise UnableToCapture for the first item that a script could not make as it is."""
    names_itself = re.compile(rf"(?<!\w){re.escape(schema)}(?!\w)")
    for item in source.items:
        if names_itself.search(item.definition):
            raise UnableToCapture(f"The {item} of the schema {schema!r} names the schema itself.")
        if item.kind in ELSEWHERE or (item.kind == "table" and _is_plain(item)):
            continue
        if item.kind == "sequence" and " IDENTITY OF " in item.definition:
            continue
        if item.kind == "owner" or not statements.creating(item):
            raise UnableToCapture(
                f"The {item} of the schema {schema!r} is nothing that a script can make: "
                f"{item.definition}"
            )


def _is_plain(table: Item) -> bool:
    kind = table.definition.removeprefix("UNLOGGED ")
    return kind.startswith("TABLE") and not re.match(r"TABLE (PARTITION|INHERITS)", kind)


def _thing(item: Item) -> Thing:
    is_relation = item.kind in ("table", "view", "materialized view")
    return item.kind, item.relation if is_relation else item.name


def _in_order(source: Source) -> Iterable[Thing]:
    """
    Yield the things so that each comes after those that it needs.

    Of tables whose foreign keys lead in a circle, one comes before what its keys lead to.
    """
    waiting = sorted(source.by_thing, key=lambda thing: (THINGS.index(thing[0]), thing[1]))
    needed: dict[Thing, set[Thing]] = {thing: set() for thing in waiting}
    leads_to: dict[Thing, set[Thing]] = {thing: set() for thing in waiting}
    for thing, other in source.needs:
        if thing in needed and other in needed:
            needed[thing].add(other)
    for (table, _), other_table in source.references.items():
        leads_to["table", table].add(("table", other_table))
    while waiting:
        left = set(waiting)
        free = [thing for thing in waiting if not needed[thing] & left]
        if not free:
            names = ", ".join(sorted(" ".join(thing) for thing in left))
            raise UnableToCapture(
                f"These need each other, so that none can be made first: {names}."
            )
        thing = next((each for each in free if not leads_to[each] & left), free[0])
        waiting.remove(thing)
        yield thing


def _make(source: Source, item: Item, done: set[Item]) -> Making:
    if item.kind == "table":
        return _create_table(source, item, done)
    # A sequence belongs to a column when its table is there.
    made = statements.creating(item)[:1]
    return Making(item, frozenset([item]), tuple(made))


def _create_table(source: Source, table: Item, done: set[Item]) -> Making:
    name = table.relation
    tables = {item.relation for item in (*done, table) if item.kind == "table"}
    columns = [
        source.by_place["column", name, column]
        for relation, column in source.columns
        if relation == name
    ]
    constraints = [
        constraint
        for constraint in source.of("constraint", name)
        # CREATE TABLE would take one that is not valid for valid.
        if source.references.get((name, constraint.name), name) in tables
        and not constraint.definition.endswith(" NOT VALID")
    ]
    parts = [statements.column(each, _identity(source, name, each.name)) for each in columns]
    parts += map(statements.constraint, constraints)
    persistence, _, suffix = table.definition.partition("TABLE")
    made = f"CREATE {persistence}TABLE {quoted(name)} ({', '.join(parts)}){suffix}"
    return Making(table, frozenset([table, *columns, *constraints]), (made,))


def _identity(source: Source, table: str, column: str) -> Item | None:
    """Return the sequence of the column, unless it is as PostgreSQL makes it by itself."""
    for sequence in source.of("sequence", table):
        options, _, place = sequence.definition.partition(" IDENTITY OF ")
        if not place.endswith((f".{column}", f".{quoted(column)}")):
            continue
        integer = options.split(" ")[1]
        usual = (
            f"AS {integer} START WITH 1 INCREMENT BY 1 MINVALUE 1 "
            f"MAXVALUE {LARGEST.get(integer)} CACHE 1"
        )
        is_usual = options == usual and sequence.name == f"{table}_{column}_seq"
        return None if is_usual else sequence
    return None


def _granting(source: Source) -> Iterator[str]:
    """Yield what makes the rights those of the source's, where they are not so by default."""
    for item in source.items:
        yield from source.granting(item)
    # Columns have none by default, and lose theirs when the table's are revoked.
    for item in source.of("grant"):
        if item.name.startswith("TABLE ") and item.name.rpartition(" TO ")[0].endswith(")"):
            yield from statements.creating(item)


def names_in_grants(item: Item) -> tuple[str, ...]:
    """Return what a thing may be called where its rights are told, and its comment."""
    kind, name = _thing(item)
    if kind in ("function", "procedure"):
        return (f"ROUTINE {name}",)
    return f"{kind.upper()} {quoted(name)}", f"{kind.upper()} {name}"


def _changing(
    source: Source, name: str, wanted: set[tuple[str, str]], fresh: set[tuple[str, str]]
) -> Iterator[str]:
    changes = [statements.revoke(name, *right) for right in sorted(fresh - wanted)]
    changes += [statements.grant(name, *right) for right in sorted(wanted - fresh)]
    for change in changes:
        yield statements.in_any_schema(change)
