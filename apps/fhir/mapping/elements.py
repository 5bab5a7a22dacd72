"""
How FHIR's data types become columns, and columns FHIR again.

Each type that we have a table for is read and written by functions of the same module;
what writing does not give back is kept in the row's `extra`, so nothing is lost and
nothing is kept twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from django.db import models
from django.utils import timezone

from apps.fhir.problems import Problem

Json: TypeAlias = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T.+")


class Unmappable(Exception):
    """A valid resource has something that no column can hold; nothing was written."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


# Reading


def first(values: Any) -> Json:
    """Return the first object of a list, or an empty one."""
    return values[0] if values else {}


def concept(value: Json | None) -> tuple[str, str, str]:
    """Return a CodeableConcept's system, code and the words to show for it."""
    if not value:
        return "", "", ""
    coding = first(value.get("coding"))
    code = coding.get("code", "")
    words = value.get("text") or coding.get("display") or code
    return coding.get("system", ""), code, words[:1000]


def moment(text: str | None) -> datetime | None:
    """
    Return the instant of a dateTime; the first one of a year, a month or a day.

    A day without a time is that day where the clinic is. What was written stays in
    `extra` when it says less than the column seems to.
    """
    if not text:
        return None
    try:
        if "T" in text:
            # A leap second has no place in datetime; the second before it does.
            return datetime.fromisoformat(text.replace(":60", ":59")).astimezone(UTC)
        year, month, day = [*map(int, text.split("-")), 1, 1][:3]
        return timezone.make_aware(datetime(year, month, day))
    except (ValueError, OverflowError):
        raise Unmappable(Problem("has a date that is in no calendar")) from None


def number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def linked(reference: Json | None, resource_type: str) -> UUID | None:
    """Return the row that a resolved reference means, if it is of this type."""
    text = (reference or {}).get("reference", "")
    kind, _, key = text.partition("/")
    return UUID(key) if kind == resource_type and key else None


def patient(resource: Json, element: str) -> UUID:
    """Return the patient that `element` names, or raise Unmappable: a chart is somebody's."""
    key = linked(resource.get(element), "Patient")
    if key is None:
        path = f"{resource['resourceType']}.{element}"
        raise Unmappable(Problem("must refer to a Patient", path=path))
    return key


def joined(values: Iterable[str | None] | None, length: int) -> str:
    return " ".join(filter(None, values or []))[:length]


def present(values: Iterable[str | None] | None) -> list[str]:
    """Return a primitive list without the nulls that stand for extensions."""
    return [value for value in values or [] if value is not None]


# Writing


def filled(element: Mapping[str, Any]) -> Json:
    """Return `element` without what is empty; FHIR has no empty elements."""
    return {name: value for name, value in element.items() if value not in (None, "", [], {})}


def coded(system: str, code: str, words: str) -> Json:
    """Return the CodeableConcept that `concept` read."""
    if not code:
        return filled({"text": words})
    coding = filled({"system": system, "code": code, "display": words})
    return {"coding": [coding], "text": words}


def status(system: str, code: str) -> Json:
    """Return a CodeableConcept that is one code of a required value set."""
    return {"coding": [{"system": f"{TERMINOLOGY}{system}", "code": code}]} if code else {}


def reference(resource_type: str, key: UUID | None) -> Json:
    return {"reference": f"{resource_type}/{key}"} if key else {}


def written(at: datetime | None) -> str:
    return at.isoformat() if at else ""


# What is left


def leftover(original: Json, rendered: Json) -> Json:
    """Return the elements of `original` that `rendered` does not give back."""
    return {
        name: value
        for name, value in original.items()
        if name not in ("resourceType", "id") and not is_same(rendered.get(name), value)
    }


def merged(rendered: Json, extra: Json, choices: Iterable[str] = ()) -> Json:
    """
    Return a row's FHIR: its columns, and over them what only `extra` holds.

    `choices` are elements of which a resource has one form: an effectivePeriod kept in
    `extra` replaces the effectiveDateTime that was made of its start.
    """
    kept = {
        name: value
        for name, value in rendered.items()
        if not any(
            name.startswith(choice) and any(other.startswith(choice) for other in extra)
            for choice in choices
        )
    }
    return {**kept, **extra}


def is_same(rendered: Any, original: Any) -> bool:
    """
    Return whether two pieces of FHIR say the same.

    An instant may be written in another zone: which offset the source used is not kept.
    """
    if type(rendered) is not type(original):
        return isinstance(rendered, Decimal | int) and bool(rendered == original)
    if isinstance(rendered, dict):
        return rendered.keys() == original.keys() and all(
            is_same(value, original[name]) for name, value in rendered.items()
        )
    if isinstance(rendered, list):
        return len(rendered) == len(original) and all(map(is_same, rendered, original))
    if isinstance(rendered, Decimal):
        return bool(rendered.as_tuple() == original.as_tuple())
    if isinstance(rendered, str) and rendered != original:
        return _same_instant(rendered, original)
    return bool(rendered == original)


def _same_instant(rendered: str, original: str) -> bool:
    """Return whether two texts are one instant in two zones."""
    if not (_MOMENT.fullmatch(rendered) and _MOMENT.fullmatch(original)):
        return False
    try:
        return datetime.fromisoformat(rendered) == datetime.fromisoformat(original)
    except (ValueError, TypeError):
        return False


def check_lengths(row: models.Model) -> None:
    """Raise Unmappable if a text is longer than its column."""
    for field in row._meta.concrete_fields:
        if isinstance(field, models.CharField) and field.max_length:
            value = getattr(row, field.attname)
            if value and len(value) > field.max_length:
                raise Unmappable(
                    Problem(f"has a {field.name} of more than {field.max_length} characters")
                )
