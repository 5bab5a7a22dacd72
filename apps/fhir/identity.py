"""
Which row of this clinic an incoming resource is.

A source knows a resource by its address (`Patient/123`) and by business identifiers. The
first import writes down both; a later one finds the row by the address, or, for what
many bundles repeat under ids of their own, by an identifier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import NAMESPACE_OID, UUID, uuid5

from apps.fhir import references
from apps.fhir.sources import DIRECTORY, Entry
from apps.patients.codes import IdentifierType, IdentifierUse
from apps.patients.fields import dumps_sorted
from tenancy import context

# A new number here makes every resource count as changed once, so that a mapping that
# learnt a new column is applied to what was imported before.
_MAPPING = b"clinicx-fhir-1"

# A social security number or a licence may be borrowed or mistyped, so that they make
# nobody the same person: of a patient only record numbers and the source's own do.
_NUMBERS_OF_A_RECORD = {IdentifierType.MEDICAL_RECORD.value, "PI", "PT", ""}
_PASSING = {IdentifierUse.TEMP.value, IdentifierUse.OLD.value}


class Identity:
    """The names of one incoming resource."""

    __slots__ = ("address", "matching", "names", "primary")

    def __init__(self, entry: Entry, *, base: str) -> None:
        resource, resource_type = entry.resource, entry.resource_type
        base = references.base_of(entry.full_url) or base
        source_id = resource.get("id") or references.id_in(entry.full_url)
        self.address = ""
        if source_id:
            self.address = references.address_name(resource_type, source_id, base=base)

        identifiers = list(references.identifiers(resource))
        by_identifier = {
            references.identifier_name(resource_type, each["system"], each["value"]): each
            for each in identifiers
        }
        #: The name that the row's id is made of.
        self.primary = (
            self.address
            or next(iter(by_identifier), "")
            or (entry.full_url and f"{resource_type}/{entry.full_url}")
            or f"{resource_type}#{digest(entry)}"
        )
        #: All names under which others may refer to it.
        self.names = list(dict.fromkeys([self.primary, *by_identifier]))
        #: The identifiers by which it may be found under another address.
        self.matching = [
            name
            for name, identifier in by_identifier.items()
            if resource_type in DIRECTORY
            or not self.address
            or (resource_type == "Patient" and _is_of_a_record(identifier))
        ]


def _is_of_a_record(identifier: references.Json) -> bool:
    codings = identifier.get("type", {}).get("coding", [])
    kinds = {coding.get("code", "") for coding in codings} or {""}
    return bool(kinds & _NUMBERS_OF_A_RECORD) and identifier.get("use") not in _PASSING


def digest(entry: Entry) -> UUID:
    """Return what is the same for two entries that say the same, in whatever order."""
    content = dumps_sorted(entry.resource)
    return UUID(bytes=hashlib.blake2b(content, digest_size=16, person=_MAPPING).digest())


def new_id(name: str) -> UUID:
    """
    Return the id of the row that a resource of this name gets at the active clinic.

    It is made of the name, so that what refers to a resource can be written before the
    resource is; and of the clinic, so that no clinic's id means anything at another.
    """
    tenant = context.require_tenant().id
    namespace = tenant if isinstance(tenant, UUID) else uuid5(NAMESPACE_OID, str(tenant))
    return uuid5(namespace, name)


def fingerprint(name: str) -> int:
    """Return eight bytes in the place of a name, for indexes of millions of them."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def are_strangers(incoming: Iterable[str], known: Iterable[str]) -> bool:
    """Return whether both have identifiers, and none in common."""
    incoming, known = set(incoming), set(known)
    return bool(incoming and known) and not incoming & known
