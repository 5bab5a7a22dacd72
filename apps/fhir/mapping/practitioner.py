"""How a Practitioner becomes rows, and FHIR again."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from apps.fhir.mapping.elements import (
    TERMINOLOGY,
    Json,
    coded,
    concept,
    filled,
    first,
    joined,
    leftover,
    merged,
)
from apps.scheduling.models import Practitioner, PractitionerIdentifier

IDENTIFIER_TYPE = f"{TERMINOLOGY}v2-0203"


def read(resource: Json, key: UUID) -> tuple[Practitioner, list[PractitionerIdentifier]]:
    """Return the practitioner's row and those of its identifiers, unsaved."""
    name = first(resource.get("name"))
    practitioner = Practitioner(
        id=key,
        active=resource.get("active", True),
        family=(name.get("family") or name.get("text", ""))[:200],
        given=joined(name.get("given"), 200),
        prefix=joined(name.get("prefix"), 100),
        suffix=joined(name.get("suffix"), 100),
        gender=resource.get("gender", ""),
        qualifications=[
            concept(qualification.get("code"))[2][:200]
            for qualification in resource.get("qualification", [])
        ],
    )
    identifiers = [
        _identifier(practitioner, position, element)
        for position, element in enumerate(resource.get("identifier", []))
    ]
    practitioner.extra = leftover(resource, _columns(practitioner, identifiers))
    return practitioner, identifiers


def write(practitioner: Practitioner, identifiers: Iterable[PractitionerIdentifier]) -> Json:
    """Return the practitioner as FHIR, with what only `extra` holds."""
    return merged(_columns(practitioner, identifiers), practitioner.extra)


def _columns(practitioner: Practitioner, identifiers: Iterable[PractitionerIdentifier]) -> Json:
    name = filled(
        {
            "family": practitioner.family,
            "given": practitioner.given.split(),
            "prefix": practitioner.prefix.split(),
            "suffix": practitioner.suffix.split(),
        }
    )
    return filled(
        {
            "identifier": [{**_write_identifier(each), **each.extra} for each in identifiers],
            "active": practitioner.active,
            "name": [name] if name else [],
            "gender": practitioner.gender,
            "qualification": [{"code": {"text": text}} for text in practitioner.qualifications],
        }
    )


def _identifier(practitioner: Practitioner, position: int, element: Json) -> PractitionerIdentifier:
    _, code, words = concept(element.get("type"))
    identifier = PractitionerIdentifier(
        practitioner=practitioner,
        position=position,
        use=element.get("use", ""),
        type_code=code,
        type_display=words[:200],
        system=element.get("system", ""),
        value=element.get("value", ""),
    )
    identifier.extra = leftover(element, _write_identifier(identifier))
    return identifier


def _write_identifier(identifier: PractitionerIdentifier) -> Json:
    return filled(
        {
            "use": identifier.use,
            "type": coded(IDENTIFIER_TYPE, identifier.type_code, identifier.type_display),
            "system": identifier.system,
            "value": identifier.value,
        }
    )
