"""
How the entries that are in memory together become rows: in four steps, with few statements.

Every entry is validated; each is recognised as a row that exists or given a new id; every
reference is replaced by the row it means; what is new or changed is written. What makes
a chunk, and what a problem in it rolls back, is the importer's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from django.db import models

from apps.fhir import identity, mapping, references, validation
from apps.fhir.identity import Identity
from apps.fhir.mapping import Mapped
from apps.fhir.mapping.elements import Unmappable, check_lengths, is_same, linked
from apps.fhir.models import ImportedResource, RawResource, SourceName
from apps.fhir.normalisation import normalise
from apps.fhir.problems import Problem, at
from apps.fhir.references import Reference, Target
from apps.fhir.sources import DIRECTORY, Entry
from apps.patients import mrn
from apps.patients.models import Patient

Json: TypeAlias = dict[str, Any]

# How many versions of a practitioner are remembered besides the last.
_DIGESTS_KEPT = 50

# Where a resource without a table of ours names its patient, likeliest first.
_PATIENT_ELEMENTS = ["patient", "subject", "beneficiary", "individual", "for"]


class Outcome(Enum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


class Unit(Protocol):
    """The files that a chunk comes in with: what has come before it, and what will."""

    now: datetime
    base: str

    def promise(self, name: str) -> UUID | None: ...

    def is_promised(self, name: str) -> bool: ...


@dataclass(slots=True)
class _Incoming:
    """One entry on its way to become rows."""

    entry: Entry
    identity: Identity
    digest: UUID
    base: str
    target: Target
    references: list[Reference]
    outcome: Outcome = Outcome.NEW
    row: Any = None
    parts: list[Any] = field(default_factory=list)

    @property
    def resource(self) -> Json:
        return self.entry.resource

    @property
    def resource_type(self) -> str:
        return self.target.resource_type

    @property
    def is_to_be_written(self) -> bool:
        return self.outcome in (Outcome.NEW, Outcome.CHANGED)


class Chunk:
    """Entries that are recognised, resolved and written together, with a few statements."""

    def __init__(self, entries: list[Entry], unit: Unit) -> None:
        self._entries = entries
        self._unit = unit
        self._incoming: list[_Incoming] = []
        #: What the entries are called, by fullUrl and by name.
        self._local: dict[str, list[_Incoming]] = defaultdict(list)
        #: What rows of this clinic are called, and the digests of what they were made of.
        self._known: dict[str, set[Target]] = defaultdict(set)
        self._digests: dict[UUID, list[UUID]] = {}
        #: Names of entries with problems: that others refer to them is not one more.
        self._broken: set[str] = set()
        self._directory: dict[str, Json] = {}

    @property
    def problems(self) -> list[Problem]:
        return [problem for entry in self._entries for problem in entry.problems]

    @property
    def counts(self) -> Counter[tuple[str, Outcome]]:
        outcomes = {id(each.entry): each.outcome for each in self._incoming}
        return Counter(
            (
                entry.resource_type,
                Outcome.FAILED if entry.problems else outcomes.get(id(entry), Outcome.SKIPPED),
            )
            for entry in self._entries
        )

    # Step 1

    def validate(self) -> None:
        for entry in self._entries:
            if not entry.problems:
                for problem in validation.check(entry.resource):
                    entry.complain(problem.reason, problem.path)

    # Step 2

    def recognise_and_resolve(self) -> None:
        for entry in self._entries:
            if entry.problems:
                self._broken |= _rough_names(entry, base=self._unit.base)
            else:
                self._receive(entry)
        self._look_up_names()
        taken: set[UUID] = set()
        for incoming in self._incoming:
            self._recognise(incoming, taken)
        for incoming in self._incoming:
            if incoming.is_to_be_written:
                self._resolve(incoming)

    def _receive(self, entry: Entry) -> None:
        base = references.base_of(entry.full_url) or self._unit.base
        names = Identity(entry, base=base)
        digest = identity.digest(entry)
        entry.resource = normalise(entry.resource)
        target = Target(entry.resource_type, identity.new_id(names.primary))
        found = references.find(entry.resource)
        incoming = _Incoming(entry, names, digest, base, target, found)
        self._incoming.append(incoming)
        for name in {entry.full_url, *names.names} - {""}:
            self._local[name].append(incoming)

    def _look_up_names(self) -> None:
        """Ask once for every name in the chunk, and once per type whether the rows exist."""
        names = {name for incoming in self._incoming for name in incoming.identity.names}
        for incoming in self._incoming:
            names.update(filter(None, [_condition_of(incoming)]))
            for reference in incoming.references:
                if reference.text not in self._local:
                    named = references.name_of(reference.text, base=incoming.base)
                    names.update(filter(None, [named]))

        rows = SourceName.objects.filter(name__in=names).values_list(
            "name", "resource_id", "resource__resource_type", "resource__digests"
        )
        found = [(name, Target(kind, key), digests) for name, key, kind, digests in rows]
        existing = _existing({target for _, target, _ in found})
        for name, target, digests in found:
            if target in existing:
                self._known[name].add(target)
                self._digests[target.id] = digests

    def _recognise(self, incoming: _Incoming, taken: set[UUID]) -> None:
        entry = incoming.entry
        if entry.if_none_exist:
            self._recognise_by_condition(incoming)
            return
        found = self._known.get(incoming.identity.address, set())
        if not found:
            matches = [self._known.get(name, set()) for name in incoming.identity.matching]
            found = {match for match in set().union(*matches) if match.id not in taken}
        if len(found) > 1:
            entry.complain(
                "belongs to more than one resource of this clinic",
                f"{entry.resource_type}.identifier",
            )
            return
        if found:
            incoming.target = next(iter(found))
            self._refuse_a_stranger(incoming)
        if incoming.target.id in taken:
            entry.complain("is the same resource as another entry", entry.resource_type)
        taken.add(incoming.target.id)
        incoming.outcome = self._outcome(incoming)
        address = incoming.identity.address
        if incoming.target.id != identity.new_id(address) and self._unit.is_promised(address):
            entry.complain("was referred to before it came, and is known here under another id")

    def _recognise_by_condition(self, incoming: _Incoming) -> None:
        """Leave alone what is there already, as ifNoneExist asks."""
        name = _condition_of(incoming)
        if name is None:
            incoming.entry.complain(
                "is not identifier=system|value, the one condition that can be followed",
                "request.ifNoneExist",
            )
            return
        found = self._known.get(name, set())
        if len(found) > 1:
            incoming.entry.complain("is true of more than one resource", "request.ifNoneExist")
        elif found:
            incoming.target = next(iter(found))
            incoming.outcome = Outcome.UNCHANGED

    def _refuse_a_stranger(self, incoming: _Incoming) -> None:
        """Patient/1 of one server is not Patient/1 of another: do not write over a person."""
        source_id = incoming.resource.get("id", "")
        if incoming.resource_type != "Patient" or references.is_global(source_id):
            return
        known = SourceName.objects.filter(
            resource=incoming.target.id, name__startswith="Patient?identifier="
        ).values_list("name", flat=True)
        if identity.are_strangers(incoming.identity.names[1:], known):
            incoming.entry.complain(
                "has no identifier in common with the patient who has this id here; if the file "
                "comes from another server, name that server with --source",
                "Patient.identifier",
            )

    def _outcome(self, incoming: _Incoming) -> Outcome:
        digests = self._digests.get(incoming.target.id)
        if digests is None:
            return Outcome.NEW
        seen = digests if incoming.resource_type in DIRECTORY else digests[-1:]
        return Outcome.UNCHANGED if incoming.digest in seen else Outcome.CHANGED

    # Step 3

    def _resolve(self, incoming: _Incoming) -> None:
        """Put the row that it means in the place of every reference."""
        inside = references.contained_ids(incoming.resource)
        for reference in incoming.references:
            text = reference.text
            if reference.is_internal:
                if text not in inside:
                    path = at(incoming.resource_type, reference.steps)
                    incoming.entry.complain("refers to nothing contained", path)
                continue
            targets = self._targets(text, incoming.base)
            if len(targets) == 1:
                reference.holder["reference"] = str(targets.pop())
            elif targets:
                path = at(incoming.resource_type, reference.steps)
                incoming.entry.complain("is true of more than one resource", path)
            elif self._is_broken(text, incoming.base):
                incoming.outcome = Outcome.SKIPPED
            else:
                kind = references.type_of(text)
                path = at(incoming.resource_type, reference.steps)
                incoming.entry.complain(
                    f"refers to a {kind} that is neither in this file nor in this clinic",
                    path,
                    is_dangling=True,
                )

    def _is_broken(self, text: str, base: str) -> bool:
        return bool({text, references.name_of(text, base=base)} & self._broken)

    def _targets(self, text: str, base: str) -> set[Target]:
        if text in self._local:
            return {incoming.target for incoming in self._local[text]}
        name = references.name_of(text, base=base)
        if name is None:
            return set()
        targets = {incoming.target for incoming in self._local.get(name, [])}
        targets |= self._known.get(name, set())
        if not targets and (promised := self._unit.promise(name)):
            return {Target(references.type_of(text), promised)}
        return targets

    # Step 4

    def map(self) -> None:
        """Make rows of what is new or changed."""
        chosen = [each for each in self._incoming if each.is_to_be_written]
        self._merge_directory([each for each in chosen if each.outcome is Outcome.CHANGED])
        self._describe(chosen)
        for incoming in chosen:
            if incoming.is_to_be_written and not incoming.entry.problems:
                try:
                    self._map(incoming)
                except Unmappable as error:
                    path = error.problem.path or incoming.resource_type
                    incoming.entry.complain(error.problem.reason, path)

    def _map(self, incoming: _Incoming) -> None:
        mapped = mapping.TYPES.get(incoming.resource_type)
        if mapped is None:
            incoming.row = _raw(incoming)
            return
        described = self._directory.get
        incoming.row, incoming.parts = mapped.read(
            incoming.resource, incoming.target.id, lambda text: described(text, {})
        )
        for row in (incoming.row, *incoming.parts):
            check_lengths(row)

    def _merge_directory(self, changed: list[_Incoming]) -> None:
        """
        Lay a new version of a practitioner or place over the one that is here.

        Each bundle repeats what it needs of them, so an element that one leaves out is not
        gone. What says nothing new is unchanged.
        """
        changed = [each for each in changed if each.resource_type in DIRECTORY]
        if not changed:
            return
        stored = _stored(changed)
        for incoming in changed:
            before = stored[incoming.target.id]
            news = {name: value for name, value in incoming.resource.items() if name != "id"}
            after = {**before, **news}
            incoming.entry.resource = after
            if is_same(after, before):
                incoming.outcome = Outcome.UNCHANGED

    def _describe(self, chosen: list[_Incoming]) -> None:
        """Have at hand the organizations and medications that a row repeats a name of."""
        here = {str(each.target): each.resource for each in self._incoming}
        wanted = set()
        for incoming in chosen:
            for element in ("serviceProvider", "medicationReference"):
                wanted.add(incoming.resource.get(element, {}).get("reference", ""))
        elsewhere = [
            UUID(key)
            for kind, _, key in (text.partition("/") for text in wanted - here.keys())
            if kind in ("Organization", "Medication")
        ]
        self._directory = {text: here[text] for text in wanted & here.keys()}
        if elsewhere:
            for row in RawResource.objects.filter(pk__in=elsewhere):
                self._directory[f"{row.resource_type}/{row.pk}"] = row.content

    def write(self) -> None:
        chosen: dict[str, list[_Incoming]] = defaultdict(list)
        for incoming in self._incoming:
            if incoming.is_to_be_written:
                is_mapped = incoming.resource_type in mapping.TYPES
                chosen[incoming.resource_type if is_mapped else ""].append(incoming)
        for resource_type, mapped in mapping.TYPES.items():
            if chosen[resource_type]:
                _write_mapped(mapped, chosen[resource_type])
        _upsert(RawResource, chosen[""])
        self._write_names()

    def _write_names(self) -> None:
        """Write down by what these resources will be recognised."""
        digested = [
            each
            for each in self._incoming
            if each.is_to_be_written or each.digest not in self._digests.get(each.target.id, [])
        ]
        digested = [each for each in digested if not each.entry.if_none_exist or each.row]
        ImportedResource.objects.bulk_create(
            [self._imported(incoming) for incoming in digested],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["digests", "imported_at"],
        )
        changed = [
            each.target.id
            for each in self._incoming
            if each.outcome is Outcome.CHANGED and each.resource_type not in DIRECTORY
        ]
        if changed:
            SourceName.objects.filter(resource__in=changed, name__contains="?identifier=").delete()
        SourceName.objects.bulk_create(
            [
                SourceName(name=name, resource_id=incoming.target.id)
                for incoming in self._incoming
                for name in incoming.identity.names
                if incoming.target.id in changed or incoming.target not in self._known[name]
            ],
            ignore_conflicts=True,
        )

    def _imported(self, incoming: _Incoming) -> ImportedResource:
        before = []
        if incoming.resource_type in DIRECTORY:
            before = self._digests.get(incoming.target.id, [])[-_DIGESTS_KEPT:]
        return ImportedResource(
            id=incoming.target.id,
            resource_type=incoming.resource_type,
            digests=[*before, incoming.digest],
            imported_at=self._unit.now,
        )


def _rough_names(entry: Entry, *, base: str) -> set[str]:
    """Return what an entry may be called that is not sound enough to be named."""
    source_id = entry.resource.get("id")
    base = references.base_of(entry.full_url) or base
    if not isinstance(source_id, str):
        return {entry.full_url}
    return {entry.full_url, references.address_name(entry.resource_type, source_id, base=base)}


def _condition_of(incoming: _Incoming) -> str | None:
    """Return the name that an entry's ifNoneExist asks for."""
    if not incoming.entry.if_none_exist:
        return None
    conditional = f"{incoming.resource_type}?{incoming.entry.if_none_exist}"
    return references.name_of(conditional, base="")


def _existing(targets: Iterable[Target]) -> set[Target]:
    """Return those of `targets` whose rows are there: staff may have deleted some."""
    wanted: dict[type[models.Model], dict[UUID, Target]] = defaultdict(dict)
    for target in targets:
        mapped = mapping.TYPES.get(target.resource_type)
        wanted[mapped.model if mapped else RawResource][target.id] = target
    return {
        of_model[key]
        for model, of_model in wanted.items()
        for key in model._default_manager.filter(pk__in=of_model).values_list("pk", flat=True)
    }


def _stored(incoming: list[_Incoming]) -> dict[UUID, Json]:
    """Return the FHIR of the directory's rows that these entries are versions of."""
    stored = {}
    keys = [each.target.id for each in incoming]
    for raw in RawResource.objects.filter(pk__in=keys):
        stored[raw.pk] = raw.content
    practitioner = mapping.TYPES["Practitioner"]
    rows = practitioner.model._default_manager.filter(pk__in=keys).prefetch_related("identifiers")
    for row in rows:
        stored[row.pk] = {
            "resourceType": "Practitioner",
            **practitioner.write(row, row.identifiers.all()),  # type: ignore[attr-defined]  # of any model
        }
    return stored


def _raw(incoming: _Incoming) -> RawResource:
    content = {**incoming.resource, "id": str(incoming.target.id)}
    return RawResource(
        id=incoming.target.id,
        resource_type=incoming.resource_type,
        patient_id=_patient_of(incoming.resource, incoming.references),
        content=content,
    )


def _patient_of(resource: Json, found: Iterable[Reference]) -> UUID | None:
    """Return whose chart a resource belongs in, None if it is nobody's or several people's."""
    for element in _PATIENT_ELEMENTS:
        link = resource.get(element)
        if isinstance(link, dict) and (key := linked(link, "Patient")):
            return key
    named = {linked(each.holder, "Patient") for each in found}
    named.discard(None)
    return named.pop() if len(named) == 1 else None


def _write_mapped(mapped: Mapped, chosen: list[_Incoming]) -> None:
    if mapped.model is Patient:
        _number(chosen)
    _upsert(mapped.model, chosen)
    changed = [each.target.id for each in chosen if each.outcome is Outcome.CHANGED]
    for model, owner in mapped.parts.items():
        if changed:
            model._default_manager.filter(**{f"{owner}__in": changed}).delete()
        parts = [part for each in chosen for part in each.parts if isinstance(part, model)]
        model._default_manager.bulk_create(parts)


def _number(chosen: list[_Incoming]) -> None:
    """Give each new patient a record number, and each known one its own again."""
    known = dict(
        Patient.objects.filter(
            pk__in=[each.target.id for each in chosen if each.outcome is Outcome.CHANGED]
        ).values_list("pk", "mrn")
    )
    new = [each for each in chosen if each.target.id not in known]
    for incoming, number in zip(new, mrn.next_mrns(len(new)), strict=True):
        incoming.row.mrn = number
    for incoming in chosen:
        incoming.row.mrn = known.get(incoming.target.id, incoming.row.mrn)


def _upsert(model: type[models.Model], chosen: list[_Incoming]) -> None:
    """Insert what is new and write over what has changed."""
    rows: dict[Outcome, list[Any]] = {Outcome.NEW: [], Outcome.CHANGED: []}
    for incoming in chosen:
        rows[incoming.outcome].append(incoming.row)
    model._default_manager.bulk_create(rows[Outcome.NEW])
    if rows[Outcome.CHANGED]:
        kept = {"id", "mrn", "created_at"}
        columns = [each.name for each in model._meta.concrete_fields if each.name not in kept]
        model._default_manager.bulk_create(
            rows[Outcome.CHANGED],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=columns,
        )
