"""
Is this JSON a FHIR R4 resource?

The shape is checked by fhir.resources, with R4B's classes: for what clinics exchange R4B
is R4. That library does not look at codes and, following pydantic, takes "1" for a
number; both are done here, in one walk along its own description of each element.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, TypeAlias

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ValidationError

from apps.chart import codes
from apps.fhir.problems import Problem, at

Json: TypeAlias = dict[str, Any]

# Required value sets that the library's description cuts short with a plus sign.
_OBSERVATION = frozenset(codes.ObservationStatus.values)
_REQUIRED_CODES: dict[tuple[str, str], frozenset[str]] = {
    ("Encounter", "status"): frozenset(codes.EncounterStatus.values),
    ("EncounterStatusHistory", "status"): frozenset(codes.EncounterStatus.values),
    ("Observation", "status"): _OBSERVATION,
    ("RiskAssessment", "status"): _OBSERVATION,
    ("DetectedIssue", "status"): _OBSERVATION,
    ("DiagnosticReport", "status"): _OBSERVATION | {"partial", "appended"},
    ("Quantity", "comparator"): frozenset(codes.QuantityComparator.values),
    ("DeviceUseStatement", "status"): frozenset(
        ["active", "completed", "entered-in-error", "intended", "stopped", "on-hold"]
    ),
    ("SupplyRequest", "status"): frozenset(
        ["draft", "active", "suspended", "cancelled", "completed", "entered-in-error", "unknown"]
    ),
    ("Task", "status"): frozenset(
        [
            "draft",
            "requested",
            "received",
            "accepted",
            "rejected",
            "ready",
            "cancelled",
            "in-progress",
            "on-hold",
            "failed",
            "completed",
            "entered-in-error",
        ]
    ),
    ("DeviceUdiCarrier", "entryType"): frozenset(
        ["barcode", "rfid", "manual", "card", "self-reported", "unknown"]
    ),
    ("QuestionnaireItem", "type"): frozenset(
        [
            "group",
            "display",
            "boolean",
            "decimal",
            "integer",
            "date",
            "dateTime",
            "time",
            "string",
            "text",
            "url",
            "choice",
            "open-choice",
            "attachment",
            "reference",
            "quantity",
        ]
    ),
}

# CodeableConcepts whose binding is required: one of the codings must be of this system.
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_REQUIRED_CONCEPTS: dict[tuple[str, str], tuple[str, frozenset[str]]] = {
    ("Condition", "clinicalStatus"): (
        f"{_TERMINOLOGY}condition-clinical",
        frozenset(codes.ConditionClinicalStatus.values),
    ),
    ("Condition", "verificationStatus"): (
        f"{_TERMINOLOGY}condition-ver-status",
        frozenset(codes.ConditionVerificationStatus.values),
    ),
    ("AllergyIntolerance", "clinicalStatus"): (
        f"{_TERMINOLOGY}allergyintolerance-clinical",
        frozenset(codes.AllergyClinicalStatus.values),
    ),
    ("AllergyIntolerance", "verificationStatus"): (
        f"{_TERMINOLOGY}allergyintolerance-verification",
        frozenset(codes.AllergyVerificationStatus.values),
    ),
}

# What the library says, in words that do not depend on its version or on the value.
_REASONS = {
    "missing": "is required",
    "model_field_validation.missing": "is required",
    "extra_forbidden": "is not an element of this type",
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
}
_REASONS_BY_BEGINNING = {
    "Value error, DateTime ": "is not a date and time",
    "Value error, Date ": "is not a date",
    "Value error, Instant ": "is not an instant",
    "Value error, Time ": "is not a time of day",
    "Value error, Decimal ": "is not a number",
    "Value error, Any of one field ": "has more than one of a choice's elements",
}

_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "must be true or false"),
    int: ((int,), "must be a whole number"),
    Decimal: ((int, Decimal), "must be a number"),
}


@dataclass(frozen=True, slots=True)
class _Element:
    """What may stand in one element: another type, or a primitive with its codes."""

    type_name: str = ""
    types: tuple[type, ...] = (str,)
    complaint: str = "must be text"
    codes: frozenset[str] = frozenset()
    concept: tuple[str, frozenset[str]] | None = None


def check(resource: Json) -> list[Problem]:
    """Return what is wrong with `resource`, as R4 sees it; nothing if all is well."""
    resource_type = resource.get("resourceType")
    if not isinstance(resource_type, str) or not resource_type.isalnum():
        return [Problem("is required", path="resourceType")]
    model = _model(resource_type)
    if model is None or not _is_resource(model):
        return [Problem("is not a resource type of FHIR R4", path="resourceType")]

    try:
        model.model_validate(resource)
    except ValidationError as error:
        return [_problem(resource_type, details) for details in error.errors(include_url=False)]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        # The library itself stumbles over a contained resource of no known type, or
        # whose type is no text, and over what is nested without end.
        return [Problem("contains something that is not FHIR R4", path=resource_type)]

    problems: list[Problem] = []
    _walk(resource, resource_type, (), resource_type, problems)
    return problems


@cache
def _model(type_name: str) -> type[BaseModel] | None:
    try:
        model: type[BaseModel] = get_fhir_model_class(type_name)
    except (ValueError, KeyError):
        return None
    return model


def _is_resource(model: type[BaseModel]) -> bool:
    return "implicitRules" in model.model_fields


def _problem(resource_type: str, details: Any) -> Problem:
    reason = _REASONS.get(details["type"])
    for beginning, words in _REASONS_BY_BEGINNING.items():
        if details["msg"].startswith(beginning):
            reason = words
    if reason is None:
        reason = "is empty or not valid"
    return Problem(reason, path=at(resource_type, details["loc"]))


def _walk(
    node: Json,
    type_name: str,
    path: tuple[str | int, ...],
    resource_type: str,
    problems: list[Problem],
) -> None:
    elements = _elements(type_name)
    for name, value in node.items():
        element = elements.get(name)
        if element is None:
            continue  # resourceType, and the _element beside a primitive
        if isinstance(value, list):
            for position, item in enumerate(value):
                step = (*path, name, position)
                # A primitive that is only an extension is a null with a partner beside it.
                if item is not None or f"_{name}" not in node:
                    _check(item, element, step, resource_type, problems)
        else:
            _check(value, element, (*path, name), resource_type, problems)


def _check(
    value: Any,
    element: _Element,
    path: tuple[str | int, ...],
    resource_type: str,
    problems: list[Problem],
) -> None:
    def complain(reason: str) -> None:
        problems.append(Problem(reason, path=at(resource_type, path)))

    if value is None:
        complain("must not be null")
    elif element.type_name:
        if not isinstance(value, dict):
            complain("must be an object")
            return
        type_name = element.type_name
        if type_name == "Resource":
            type_name = value.get("resourceType", "")
        _walk(value, type_name, path, resource_type, problems)
        if element.concept and not _is_coded(value, *element.concept):
            complain(f"has no coding of {element.concept[0]} with one of its codes")
    elif not isinstance(value, element.types) or (
        isinstance(value, bool) and bool not in element.types
    ):
        complain(element.complaint)
    elif isinstance(value, str) and not _can_be_stored(value):
        complain("holds a character that no text may hold")
    elif element.codes and value not in element.codes:
        complain(f"is not one of {', '.join(sorted(element.codes))}")


def _is_coded(concept: Json, system: str, allowed: frozenset[str]) -> bool:
    return any(
        coding.get("system") == system and coding.get("code") in allowed
        for coding in concept.get("coding") or []
        if isinstance(coding, dict)
    )


def _can_be_stored(text: str) -> bool:
    """Return False for a NUL, which PostgreSQL refuses, and for half of a surrogate pair."""
    if text.isascii():
        return "\x00" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


@cache
def _elements(type_name: str) -> dict[str, _Element]:
    model = _model(type_name)
    if model is None:
        return {}
    return {
        field.alias or name: _describe(type_name, field.alias or name, field)
        for name, field in model.model_fields.items()
        if not (field.alias or name).startswith("_") and name != "fhir_comments"
    }


def _describe(type_name: str, name: str, field: Any) -> _Element:
    leaves = [leaf for leaf in _leaves(field.annotation) if leaf is not NoneType]
    for leaf in leaves:
        if isinstance(leaf, type) and leaf.__name__.endswith("Type"):
            concept = _REQUIRED_CONCEPTS.get((type_name, name))
            return _Element(type_name=leaf.__name__.removesuffix("Type"), concept=concept)
    for leaf in leaves:
        if leaf in _KINDS:
            types, complaint = _KINDS[leaf]
            return _Element(types=types, complaint=complaint)

    listed = (field.json_schema_extra or {}).get("enum_values", ())
    is_complete = all(code[0].isalpha() and "." not in code for code in listed)
    complete = frozenset(listed) if is_complete else frozenset()
    return _Element(codes=_REQUIRED_CODES.get((type_name, name), complete))


def _leaves(annotation: Any) -> typing.Iterator[Any]:
    """Yield the plain types inside Optional, list and Annotated."""
    arguments = typing.get_args(annotation)
    if not arguments:
        yield annotation
    elif typing.get_origin(annotation) is typing.Annotated:
        yield from _leaves(arguments[0])
    else:
        for argument in arguments:
            yield from _leaves(argument)
