"""How a Patient becomes rows of the registry, and FHIR again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, NamedTuple
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
    moment,
    present,
    written,
)
from apps.patients import registry
from apps.patients.models import (
    Patient,
    PatientAddress,
    PatientCommunication,
    PatientContact,
    PatientIdentifier,
    PatientName,
    PatientPart,
    PatientTelecom,
)

IDENTIFIER_TYPE = f"{TERMINOLOGY}v2-0203"
MARITAL_STATUS = f"{TERMINOLOGY}v3-MaritalStatus"
LANGUAGE = "urn:ietf:bcp:47"


def read(resource: Json, key: UUID) -> tuple[Patient, list[PatientPart]]:
    """Return the patient's row and the rows of its parts, unsaved."""
    born, precision = _birth_date(resource.get("birthDate", ""))
    died_at = moment(resource.get("deceasedDateTime"))
    _, marital_status, marital_status_display = concept(resource.get("maritalStatus"))
    patient = Patient(
        id=key,
        active=resource.get("active", True),
        gender=resource.get("gender", ""),
        birth_date=born,
        birth_date_precision=precision,
        deceased=resource.get("deceasedBoolean", False) or died_at is not None,
        deceased_at=died_at,
        marital_status=marital_status,
        marital_status_display=marital_status_display[:200],
    )
    parts = [part for kind in PARTS for part in _read_parts(kind, patient, resource)]
    registry.derive(patient, [part for part in parts if isinstance(part, PatientName)])
    patient.extra = leftover(resource, _columns(patient, parts))
    return patient, parts


def write(patient: Patient, parts: Iterable[PatientPart]) -> Json:
    """Return the patient as FHIR, with what only `extra` holds."""
    return merged(_columns(patient, parts), patient.extra, choices=["deceased"])


def _columns(patient: Patient, parts: Iterable[PatientPart]) -> Json:
    known: Json = {"deceasedBoolean": patient.deceased}
    if patient.deceased_at is not None:
        known = {"deceasedDateTime": written(patient.deceased_at)}
    columns = filled(
        {
            "active": patient.active,
            "gender": patient.gender,
            "birthDate": patient.birth_date_text,
            "maritalStatus": coded(
                MARITAL_STATUS, patient.marital_status, patient.marital_status_display
            ),
            **known,
        }
    )
    for part in parts:
        kind = next(kind for kind in PARTS if isinstance(part, kind.model))
        columns.setdefault(kind.element, []).append({**kind.write(part), **part.extra})
    return columns


def _birth_date(text: str) -> tuple[date | None, str]:
    if not text:
        return None, ""
    year, month, day = [*map(int, text.split("-")), 1, 1][:3]
    return date(year, month, day), {4: "Y", 7: "YM", 10: "YMD"}[len(text)]


def _read_parts(kind: PartKind, patient: Patient, resource: Json) -> Iterable[PatientPart]:
    for position, element in enumerate(resource.get(kind.element, [])):
        part = kind.read(element)
        setattr(part, "patient", patient)  # noqa: B010  # each kind has it, their base has not
        part.position = position
        part.extra = leftover(element, kind.write(part))
        yield part


def _identifier(element: Json) -> PatientIdentifier:
    _, code, words = concept(element.get("type"))
    period = element.get("period", {})
    identifier = PatientIdentifier(
        use=element.get("use", ""),
        type_code=code,
        type_display=words[:200],
        system=element.get("system", ""),
        value=element.get("value", ""),
        period_start=moment(period.get("start")),
        period_end=moment(period.get("end")),
    )
    registry.derive_identifier(identifier)
    return identifier


def _write_identifier(identifier: PatientIdentifier) -> Json:
    return filled(
        {
            "use": identifier.use,
            "type": coded(IDENTIFIER_TYPE, identifier.type_code, identifier.type_display),
            "system": identifier.system,
            "value": identifier.value,
            "period": filled(
                {
                    "start": written(identifier.period_start),
                    "end": written(identifier.period_end),
                }
            ),
        }
    )


def _name(element: Json) -> PatientName:
    return PatientName(
        use=element.get("use", ""),
        text=element.get("text", ""),
        family=element.get("family", ""),
        given=present(element.get("given")),
        prefix=present(element.get("prefix")),
        suffix=present(element.get("suffix")),
    )


def _write_name(name: PatientName) -> Json:
    return filled(
        {
            "use": name.use,
            "text": name.text,
            "family": name.family,
            "given": name.given,
            "prefix": name.prefix,
            "suffix": name.suffix,
        }
    )


def _telecom(element: Json) -> PatientTelecom:
    telecom = PatientTelecom(
        system=element.get("system", ""),
        use=element.get("use", ""),
        value=element.get("value", ""),
        rank=element.get("rank") if element.get("rank", 0) < 32768 else None,
    )
    registry.derive_telecom(telecom)
    return telecom


def _write_telecom(telecom: PatientTelecom) -> Json:
    return filled(
        {
            "system": telecom.system,
            "use": telecom.use,
            "value": telecom.value,
            "rank": telecom.rank,
        }
    )


def _address(element: Json) -> PatientAddress:
    return PatientAddress(
        use=element.get("use", ""),
        type=element.get("type", ""),
        text=element.get("text", "")[:500],
        line=present(element.get("line")),
        city=element.get("city", ""),
        district=element.get("district", ""),
        state=element.get("state", ""),
        postal_code=element.get("postalCode", ""),
        country=element.get("country", ""),
    )


def _write_address(address: PatientAddress) -> Json:
    return filled(
        {
            "use": address.use,
            "type": address.type,
            "text": address.text,
            "line": address.line,
            "city": address.city,
            "district": address.district,
            "state": address.state,
            "postalCode": address.postal_code,
            "country": address.country,
        }
    )


def _contact(element: Json) -> PatientContact:
    _, code, words = concept(first(element.get("relationship")))
    name = element.get("name", {})
    return PatientContact(
        relationship=code,
        relationship_display=words[:200],
        family=(name.get("family") or name.get("text", ""))[:200],
        given=joined(name.get("given"), 200),
        gender=element.get("gender", ""),
        phone=_telecom_value(element, "phone"),
        email=_telecom_value(element, "email"),
    )


def _telecom_value(element: Json, system: str) -> str:
    telecoms = element.get("telecom", [])
    return next((each.get("value", "") for each in telecoms if each.get("system") == system), "")


def _write_contact(contact: PatientContact) -> Json:
    telecoms = [("phone", contact.phone), ("email", contact.email)]
    relationship = coded(
        f"{TERMINOLOGY}v2-0131", contact.relationship, contact.relationship_display
    )
    return filled(
        {
            "relationship": [relationship] if relationship else [],
            "name": filled({"family": contact.family, "given": contact.given.split()}),
            "telecom": [{"system": system, "value": value} for system, value in telecoms if value],
            "gender": contact.gender,
        }
    )


def _communication(element: Json) -> PatientCommunication:
    _, code, words = concept(element.get("language"))
    return PatientCommunication(
        language=code,
        language_display=words[:200],
        preferred=element.get("preferred", False),
    )


def _write_communication(communication: PatientCommunication) -> Json:
    language = coded(LANGUAGE, communication.language, communication.language_display)
    if communication.preferred:
        return {"language": language, "preferred": True}
    return {"language": language}


class PartKind(NamedTuple):
    """A list of a Patient, and how each of its elements becomes a row and FHIR again."""

    element: str
    model: type[PatientPart]
    read: Callable[[Json], PatientPart]
    write: Callable[[Any], Json]


PARTS = [
    PartKind("identifier", PatientIdentifier, _identifier, _write_identifier),
    PartKind("name", PatientName, _name, _write_name),
    PartKind("telecom", PatientTelecom, _telecom, _write_telecom),
    PartKind("address", PatientAddress, _address, _write_address),
    PartKind("contact", PatientContact, _contact, _write_contact),
    PartKind("communication", PatientCommunication, _communication, _write_communication),
]
