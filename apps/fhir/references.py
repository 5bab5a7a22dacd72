"""
What a resource refers to, and how a reference is read.

Four forms occur: `urn:uuid:...` for another entry of the bundle, `Patient/123` relative
to the server that wrote it, the same with the server's address in front, and the
conditional `Practitioner?identifier=system|value`. `#id` stays inside the resource.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from uuid import UUID

Json: TypeAlias = dict[str, Any]

_ADDRESS = re.compile(
    r"(?:(?P<base>https?://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})"
    r"(?:/_history/[A-Za-z0-9.-]{1,64})?"
)
_CONDITIONAL = re.compile(r"(?:https?://.+/)?(?P<type>[A-Z][A-Za-z]+)\?(?P<query>.+)", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_LONGEST_NAME = 600


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference inside a resource; `holder` is the object whose `reference` it is."""

    holder: Json
    steps: tuple[str | int, ...]

    @property
    def text(self) -> str:
        return str(self.holder["reference"])

    @property
    def is_internal(self) -> bool:
        return self.text.startswith("#")


@dataclass(frozen=True, slots=True)
class Target:
    """The row of this clinic that a reference means."""

    resource_type: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.resource_type}/{self.id}"


def find(resource: Json) -> list[Reference]:
    """Return every reference in `resource`, in contained resources and extensions too."""
    found = []
    nodes: list[tuple[Json, tuple[str | int, ...]]] = [(resource, ())]
    while nodes:
        node, steps = nodes.pop()
        if isinstance(node.get("reference"), str):
            found.append(Reference(node, (*steps, "reference")))
        for name, value in node.items():
            if isinstance(value, dict):
                nodes.append((value, (*steps, name)))
            elif isinstance(value, list):
                nodes.extend(
                    (item, (*steps, name, position))
                    for position, item in enumerate(value)
                    if isinstance(item, dict)
                )
    return found


def contained_ids(resource: Json) -> set[str]:
    """Return the internal references that the resource's contained ones answer to."""
    return {"#", *(f"#{inner.get('id')}" for inner in resource.get("contained", []))}


def name_of(reference: str, *, base: str) -> str | None:
    """
    Return the name that `reference` calls a resource by, None for a form nobody can follow.

    `base` is the server whose resource refers: a relative reference means the same one.
    """
    if address := _ADDRESS.fullmatch(reference):
        return address_name(address["type"], address["id"], base=address["base"] or base)
    if conditional := _CONDITIONAL.fullmatch(reference):
        query = parse_qsl(conditional["query"], keep_blank_values=True)
        if len(query) == 1 and query[0][0] == "identifier":
            system, bar, value = query[0][1].partition("|")
            if system and bar and value:
                return identifier_name(conditional["type"], system, value)
        return None
    return reference if reference.startswith("urn:") else None


def type_of(reference: str) -> str:
    """Return the type that `reference` names, for a report, or the word resource."""
    named = _ADDRESS.fullmatch(reference) or _CONDITIONAL.fullmatch(reference)
    return named["type"] if named else "resource"


def address_name(resource_type: str, source_id: str, *, base: str) -> str:
    """
    Return a resource's address at its source.

    An id that is a UUID is the same everywhere. Patient/1 is not: two servers' are two
    people, so the server's address belongs to the name when it is known.
    """
    if base and not _UUID.fullmatch(source_id):
        return _bounded(f"{base}/{resource_type}/{source_id}")
    return _bounded(f"{resource_type}/{source_id}")


def identifier_name(resource_type: str, system: str, value: str) -> str:
    return _bounded(f"{resource_type}?identifier={system}|{value}")


def identifiers(resource: Json) -> Iterator[Json]:
    """Yield the business identifiers by which a resource can be recognised."""
    listed = resource.get("identifier", [])
    for identifier in listed if isinstance(listed, list) else [listed]:
        if identifier.get("system") and identifier.get("value"):
            yield identifier


def base_of(full_url: str) -> str:
    """Return the server's address in an entry's fullUrl, nothing for a urn."""
    address = _ADDRESS.fullmatch(full_url)
    return (address["base"] or "") if address else ""


def id_in(full_url: str) -> str:
    """Return the id that an entry's fullUrl ends with, nothing for a urn."""
    address = _ADDRESS.fullmatch(full_url)
    return address["id"] if address else ""


def is_global(source_id: str) -> bool:
    """Return whether an id is a UUID, which no other source gives to anything else."""
    return _UUID.fullmatch(source_id) is not None


def _bounded(name: str) -> str:
    """Return `name`, or a digest in its place where it is too long for an index."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"blake2b:{hashlib.blake2b(name.encode(), digest_size=32).hexdigest()}"
