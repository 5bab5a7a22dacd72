"""
How does one schema differ from another?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tenancy.catalogue import Item, Making, Source
from tenancy.catalogue.scripts import RIGHTS, names_in_grants
from tenancy.drift import remedies, rows
from tenancy.drift.remedies import Remedy

RELATIONS = ("table", "view", "materialized view")

Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class Difference:
    """One object that differs, and what would bring it back."""

    what: Literal["missing", "changed", "extra"]
    thing: str
    found: str
    """How it is, where it was changed; a table's own parts are not told one by one."""
    wanted: str
    statements: tuple[str, ...]
    """They name no schema: it is to be first in search_path."""
    why: str = ""
    """Why a person has to decide, "" where `repair` runs the statements."""

    @property
    def is_repaired(self) -> bool:
        return bool(self.statements) and not self.why


@dataclass(frozen=True)
class Reference:
    """What the schemas of one kind should be."""

    fingerprint: str
    source: Source
    owner: str
    by_key: dict[Key, Item] = field(init=False, repr=False)
    makings: tuple[Making, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {_key(item): item for item in self.source.items})
        object.__setattr__(self, "makings", tuple(self.source.makings()))


def compare(reference: Reference, items: Iterable[Item]) -> list[Difference]:
    """Return how a schema with `items` differs from `reference`, in the order of repair."""
    there = {_key(item): item for item in items}
    return [
        *_list_missing(reference, there),
        *_list_changed(reference, there),
        *_list_extra(reference, there),
    ]


def _key(item: Item) -> Key:
    # A sequence is the same one whichever column it was given to.
    return item.kind, "" if item.kind == "sequence" else item.relation, item.name


def _sayings(items: Iterable[Item]) -> set[str]:
    """Return how rights and comments would call those of `items` that have some."""
    return {name for item in items if item.kind in RIGHTS for name in names_in_grants(item)}


def _is_said_of(item: Item, things: set[str]) -> bool:
    """Tell whether `item` goes with one of `things`: a right in it, its comment, its owner."""
    if item.kind == "grant":
        return item.name.rpartition(" TO ")[0] in things
    return item.kind in ("comment", "owner") and item.name in things


def _relations(items: Iterable[Item]) -> set[str]:
    return {item.relation for item in items if item.kind in RELATIONS}


def _list_missing(reference: Reference, there: dict[Key, Item]) -> Iterator[Difference]:
    gone = _relations(reference.by_key.values()) - _relations(there.values())
    missing = [item for key, item in reference.by_key.items() if key not in there]
    things = _sayings(missing)
    told = {
        item
        for item in missing
        if item.kind in RELATIONS or not (item.relation in gone or _is_said_of(item, things))
    }
    done: set[Item] = set()
    for making in reference.makings:
        if making.lead in told and making.lead not in done:
            yield _missing(reference, making)
            done |= making.items
    for item in missing:
        if item in told and item not in done and not _follows(item):
            yield _missing(reference, reference.source.making(item))


def _follows(item: Item) -> bool:
    """Tell whether `item` is there as soon as its column is."""
    return item.kind == "sequence" and " IDENTITY OF " in item.definition


def _missing(reference: Reference, making: Making) -> Difference:
    """Return that an object is missing; of a table all that is part of it goes with it."""
    lead, made = making.lead, list(making.statements)
    if lead.kind in RELATIONS:
        made = [
            statement
            for part in reference.makings
            if part.lead.relation == lead.relation
            for statement in part.statements
        ]
    if lead.kind in rows.KINDS:
        made = rows.creating(lead)
    if made:
        made += reference.source.granting(lead)
    why = "" if made else remedies.UNKNOWN
    return Difference("missing", str(lead), "", lead.definition, tuple(made), why)


def _list_changed(reference: Reference, there: dict[Key, Item]) -> Iterator[Difference]:
    for key, wanted in reference.by_key.items():
        found = there.get(key)
        if found is None or found.definition == wanted.definition:
            continue
        making = reference.source.making(wanted).statements
        remedy = remedies.for_changed(found, wanted, making)
        yield _different("changed", found, wanted.definition, remedy)


def _list_extra(reference: Reference, there: dict[Key, Item]) -> Iterator[Difference]:
    foreign = _relations(there.values()) - _relations(reference.by_key.values())
    extra = [found for key, found in there.items() if key not in reference.by_key]
    things = _sayings(extra)
    for found in extra:
        is_part = found.relation in foreign and found.kind not in RELATIONS
        if is_part or _is_said_of(found, things):
            continue
        if found.kind in rows.KINDS:
            remedy = Remedy((), rows.EXTRA)
        else:
            remedy = remedies.for_extra(found, owner=reference.owner)
        yield _different("extra", found, "", remedy)


def _different(
    what: Literal["changed", "extra"], found: Item, wanted: str, remedy: Remedy
) -> Difference:
    return Difference(what, str(found), found.definition, wanted, remedy.statements, remedy.why)
