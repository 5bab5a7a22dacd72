"""How the resources of a chart become rows, and FHIR again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.chart.models import (
    AllergyIntolerance,
    AllergyReaction,
    Condition,
    Encounter,
    Immunization,
    MeasuredValue,
    MedicationRequest,
    Observation,
    ObservationComponent,
)
from apps.fhir.mapping.elements import (
    TERMINOLOGY,
    UCUM,
    Json,
    coded,
    concept,
    filled,
    first,
    leftover,
    linked,
    merged,
    moment,
    number,
    patient,
    present,
    reference,
    status,
    written,
)

ACT_CODE = f"{TERMINOLOGY}v3-ActCode"

# What a resolved reference is called, for columns that repeat a name.
Described = Callable[[str], Json]


def read_encounter(resource: Json, key: UUID, described: Described) -> tuple[Encounter, list[Any]]:
    type_system, type_code, type_display = concept(first(resource.get("type")))
    reason_system, reason_code, reason_display = concept(first(resource.get("reasonCode")))
    period = resource.get("period", {})
    encounter = Encounter(
        id=key,
        patient_id=patient(resource, "subject"),
        practitioner_id=_first_practitioner(resource),
        status=resource["status"],
        class_code=resource["class"].get("code", ""),
        type_system=type_system,
        type_code=type_code,
        type_display=type_display,
        reason_system=reason_system,
        reason_code=reason_code,
        reason_display=reason_display,
        period_start=moment(period.get("start")),
        period_end=moment(period.get("end")),
        service_provider=_name_of(resource.get("serviceProvider"), described)[:500],
    )
    encounter.extra = leftover(resource, _encounter(encounter))
    return encounter, []


def write_encounter(encounter: Encounter, _parts: Iterable[Any] = ()) -> Json:
    return merged(_encounter(encounter), encounter.extra)


def _encounter(encounter: Encounter) -> Json:
    person = reference("Practitioner", encounter.practitioner_id)
    type_ = coded(encounter.type_system, encounter.type_code, encounter.type_display)
    reason = coded(encounter.reason_system, encounter.reason_code, encounter.reason_display)
    return filled(
        {
            "status": encounter.status,
            "class": filled({"system": ACT_CODE, "code": encounter.class_code}),
            "type": [type_] if type_ else [],
            "subject": reference("Patient", encounter.patient_id),
            "participant": [{"individual": person}] if person else [],
            "period": filled(
                {"start": written(encounter.period_start), "end": written(encounter.period_end)}
            ),
            "reasonCode": [reason] if reason else [],
        }
    )


def _first_practitioner(resource: Json) -> UUID | None:
    people = (
        linked(participant.get("individual"), "Practitioner")
        for participant in resource.get("participant", [])
    )
    return next(filter(None, people), None)


def _name_of(link: Json | None, described: Described) -> str:
    """Return what the resource that is referred to is called, or the reference's own word."""
    if not link:
        return ""
    target = described(link.get("reference", ""))
    return str(target.get("name") or link.get("display", ""))


# Observations


def read_observation(
    resource: Json, key: UUID, described: Described
) -> tuple[Observation, list[ObservationComponent]]:
    system, code, display = concept(resource["code"])
    _, category, _ = concept(first(resource.get("category")))
    observation = Observation(
        id=key,
        patient_id=patient(resource, "subject"),
        encounter_id=linked(resource.get("encounter"), "Encounter"),
        status=resource["status"],
        category=category,
        code_system=system,
        code=code,
        display=display,
        effective_at=moment(
            resource.get("effectiveDateTime")
            or resource.get("effectiveInstant")
            or resource.get("effectivePeriod", {}).get("start")
        ),
        issued_at=moment(resource.get("issued")),
    )
    _read_value(observation, resource)
    components = [
        _component(observation, position, element)
        for position, element in enumerate(resource.get("component", []))
    ]
    observation.extra = leftover(resource, _observation(observation, components))
    return observation, components


def write_observation(observation: Observation, components: Iterable[ObservationComponent]) -> Json:
    return merged(
        _observation(observation, components), observation.extra, choices=["effective", "value"]
    )


def _observation(observation: Observation, components: Iterable[ObservationComponent]) -> Json:
    return filled(
        {
            "status": observation.status,
            "category": [status("observation-category", observation.category)]
            if observation.category
            else [],
            "code": coded(observation.code_system, observation.code, observation.display),
            "subject": reference("Patient", observation.patient_id),
            "encounter": reference("Encounter", observation.encounter_id),
            "effectiveDateTime": written(observation.effective_at),
            "issued": written(observation.issued_at),
            **_value(observation),
            "component": [
                merged(_write_component(each), each.extra, choices=["value"]) for each in components
            ],
        }
    )


def _component(observation: Observation, position: int, element: Json) -> ObservationComponent:
    system, code, display = concept(element["code"])
    component = ObservationComponent(
        observation=observation,
        position=position,
        code_system=system,
        code=code,
        display=display,
    )
    _read_value(component, element)
    component.extra = leftover(element, _write_component(component))
    return component


def _write_component(component: ObservationComponent) -> Json:
    return {
        "code": coded(component.code_system, component.code, component.display),
        **_value(component),
    }


def _read_value(row: MeasuredValue, element: Json) -> None:
    """Set the value's columns from whichever value[x] there is."""
    quantity = element.get("valueQuantity", {})
    row.value_quantity = number(quantity.get("value"))
    row.value_comparator = quantity.get("comparator", "")
    row.value_unit = (quantity.get("unit") or quantity.get("code", ""))[:100]
    row.value_unit_code = quantity.get("code", "") if quantity.get("system") == UCUM else ""
    row.value_code_system, row.value_code, row.value_text = concept(
        element.get("valueCodeableConcept")
    )
    if "valueString" in element:
        row.value_text = element["valueString"]
    elif "valueInteger" in element:
        row.value_quantity = Decimal(element["valueInteger"])
    elif not row.value_text and not quantity:
        row.value_text = _in_words(element)
    _, row.data_absent_reason, _ = concept(element.get("dataAbsentReason"))
    _, row.interpretation, _ = concept(first(element.get("interpretation")))


def _in_words(element: Json) -> str:
    """Return a value of one of the rarer types as text; `extra` keeps it whole."""
    if "valueBoolean" in element:
        return "yes" if element["valueBoolean"] else "no"
    for name in ("valueDateTime", "valueTime"):
        if name in element:
            return str(element[name])
    if value := element.get("valueRange"):
        return f"{_amount(value.get('low'))} to {_amount(value.get('high'))}"
    if value := element.get("valueRatio"):
        return f"{_amount(value.get('numerator'))} : {_amount(value.get('denominator'))}"
    if value := element.get("valuePeriod"):
        return f"{value.get('start', '')} to {value.get('end', '')}"
    return "recorded as a waveform" if "valueSampledData" in element else ""


def _amount(quantity: Json | None) -> str:
    if not quantity:
        return "?"
    unit = quantity.get("unit") or quantity.get("code", "")
    return f"{quantity.get('comparator', '')}{quantity.get('value', '?')} {unit}".strip()


def _value(row: MeasuredValue) -> Json:
    interpretation = status("v3-ObservationInterpretation", row.interpretation)
    return filled(
        {
            **_value_of_some_type(row),
            "dataAbsentReason": status("data-absent-reason", row.data_absent_reason),
            "interpretation": [interpretation] if interpretation else [],
        }
    )


def _value_of_some_type(row: MeasuredValue) -> Json:
    if row.value_quantity is not None:
        system = UCUM if row.value_unit_code else ""
        quantity = {
            "value": row.value_quantity,
            "comparator": row.value_comparator,
            "unit": row.value_unit,
            "system": system,
            "code": row.value_unit_code,
        }
        return {"valueQuantity": filled(quantity)}
    if row.value_code:
        return {
            "valueCodeableConcept": coded(row.value_code_system, row.value_code, row.value_text)
        }
    return {"valueString": row.value_text}


# Problems, allergies, medications, immunizations


def read_condition(resource: Json, key: UUID, described: Described) -> tuple[Condition, list[Any]]:
    system, code, display = concept(resource.get("code"))
    condition = Condition(
        id=key,
        patient_id=patient(resource, "subject"),
        encounter_id=linked(resource.get("encounter"), "Encounter"),
        clinical_status=_status(resource.get("clinicalStatus"), "condition-clinical"),
        verification_status=_status(resource.get("verificationStatus"), "condition-ver-status"),
        category=concept(first(resource.get("category")))[1],
        code_system=system,
        code=code,
        display=display,
        onset_at=moment(
            resource.get("onsetDateTime") or resource.get("onsetPeriod", {}).get("start")
        ),
        abatement_at=moment(
            resource.get("abatementDateTime") or resource.get("abatementPeriod", {}).get("end")
        ),
        recorded_at=moment(resource.get("recordedDate")),
    )
    condition.extra = leftover(resource, _condition(condition))
    return condition, []


def write_condition(condition: Condition, _parts: Iterable[Any] = ()) -> Json:
    return merged(_condition(condition), condition.extra, choices=["onset", "abatement"])


def _condition(condition: Condition) -> Json:
    category = status("condition-category", condition.category)
    return filled(
        {
            "clinicalStatus": status("condition-clinical", condition.clinical_status),
            "verificationStatus": status("condition-ver-status", condition.verification_status),
            "category": [category] if category else [],
            "code": coded(condition.code_system, condition.code, condition.display),
            "subject": reference("Patient", condition.patient_id),
            "encounter": reference("Encounter", condition.encounter_id),
            "onsetDateTime": written(condition.onset_at),
            "abatementDateTime": written(condition.abatement_at),
            "recordedDate": written(condition.recorded_at),
        }
    )


def _status(value: Json | None, system: str) -> str:
    """Return the code that is of the required system, wherever in the list it stands."""
    codings = (value or {}).get("coding", [])
    wanted = f"{TERMINOLOGY}{system}"
    return next((coding["code"] for coding in codings if coding.get("system") == wanted), "")


def read_allergy(
    resource: Json, key: UUID, described: Described
) -> tuple[AllergyIntolerance, list[AllergyReaction]]:
    system, code, display = concept(resource.get("code"))
    allergy = AllergyIntolerance(
        id=key,
        patient_id=patient(resource, "patient"),
        encounter_id=linked(resource.get("encounter"), "Encounter"),
        clinical_status=_status(resource.get("clinicalStatus"), "allergyintolerance-clinical"),
        verification_status=_status(
            resource.get("verificationStatus"), "allergyintolerance-verification"
        ),
        type=resource.get("type", ""),
        categories=present(resource.get("category")),
        criticality=resource.get("criticality", ""),
        code_system=system,
        code=code,
        display=display,
        onset_at=moment(
            resource.get("onsetDateTime") or resource.get("onsetPeriod", {}).get("start")
        ),
        recorded_at=moment(resource.get("recordedDate")),
    )
    reactions = [
        _reaction(allergy, position, element)
        for position, element in enumerate(resource.get("reaction", []))
    ]
    allergy.extra = leftover(resource, _allergy(allergy, reactions))
    return allergy, reactions


def write_allergy(allergy: AllergyIntolerance, reactions: Iterable[AllergyReaction]) -> Json:
    return merged(_allergy(allergy, reactions), allergy.extra, choices=["onset"])


def _allergy(allergy: AllergyIntolerance, reactions: Iterable[AllergyReaction]) -> Json:
    return filled(
        {
            "clinicalStatus": status("allergyintolerance-clinical", allergy.clinical_status),
            "verificationStatus": status(
                "allergyintolerance-verification", allergy.verification_status
            ),
            "type": allergy.type,
            "category": allergy.categories,
            "criticality": allergy.criticality,
            "code": coded(allergy.code_system, allergy.code, allergy.display),
            "patient": reference("Patient", allergy.patient_id),
            "encounter": reference("Encounter", allergy.encounter_id),
            "onsetDateTime": written(allergy.onset_at),
            "recordedDate": written(allergy.recorded_at),
            "reaction": [{**_write_reaction(each), **each.extra} for each in reactions],
        }
    )


def _reaction(allergy: AllergyIntolerance, position: int, element: Json) -> AllergyReaction:
    reaction = AllergyReaction(
        allergy=allergy,
        position=position,
        substance=concept(element.get("substance"))[2],
        manifestations=[concept(each)[2] for each in element.get("manifestation", [])],
        description=element.get("description", ""),
        onset_at=moment(element.get("onset")),
        severity=element.get("severity", ""),
    )
    reaction.extra = leftover(element, _write_reaction(reaction))
    return reaction


def _write_reaction(reaction: AllergyReaction) -> Json:
    return filled(
        {
            "substance": filled({"text": reaction.substance}),
            "manifestation": [{"text": text} for text in reaction.manifestations],
            "description": reaction.description,
            "onset": written(reaction.onset_at),
            "severity": reaction.severity,
        }
    )


def read_medication_request(
    resource: Json, key: UUID, described: Described
) -> tuple[MedicationRequest, list[Any]]:
    system, code, display = concept(_medication(resource, described))
    request = MedicationRequest(
        id=key,
        patient_id=patient(resource, "subject"),
        encounter_id=linked(resource.get("encounter"), "Encounter"),
        requester_id=linked(resource.get("requester"), "Practitioner"),
        status=resource["status"],
        intent=resource["intent"],
        code_system=system,
        code=code,
        display=display,
        authored_at=moment(resource.get("authoredOn")),
        dosage_text="; ".join(filter(None, map(_dosage, resource.get("dosageInstruction", [])))),
    )
    request.extra = leftover(resource, _medication_request(request))
    return request, []


def write_medication_request(request: MedicationRequest, _parts: Iterable[Any] = ()) -> Json:
    return merged(_medication_request(request), request.extra, choices=["medication"])


def _medication_request(request: MedicationRequest) -> Json:
    return filled(
        {
            "status": request.status,
            "intent": request.intent,
            "medicationCodeableConcept": coded(request.code_system, request.code, request.display),
            "subject": reference("Patient", request.patient_id),
            "encounter": reference("Encounter", request.encounter_id),
            "authoredOn": written(request.authored_at),
            "requester": reference("Practitioner", request.requester_id),
            "dosageInstruction": [{"text": request.dosage_text}] if request.dosage_text else [],
        }
    )


def _medication(resource: Json, described: Described) -> Json:
    """Return what is ordered, also where it is a resource of its own."""
    if "medicationCodeableConcept" in resource:
        return dict(resource["medicationCodeableConcept"])
    link = resource.get("medicationReference", {})
    text = link.get("reference", "")
    inside = (each for each in resource.get("contained", []) if f"#{each.get('id')}" == text)
    medication = next(inside, None) or described(text)
    return medication.get("code") or filled({"text": link.get("display", "")})


def _dosage(instruction: Json) -> str:
    """Return a dosage as it is to be read, made of its parts where it has no text."""
    if text := instruction.get("text"):
        return str(text)
    dose = first(instruction.get("doseAndRate")).get("doseQuantity")
    parts = [_amount(dose) if dose else "", _frequency(instruction.get("timing", {}))]
    if instruction.get("asNeededBoolean") or "asNeededCodeableConcept" in instruction:
        parts.append("as needed")
    return " ".join(filter(None, parts))


_PERIODS = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "wk": "week",
    "mo": "month",
    "a": "year",
}


def _frequency(timing: Json) -> str:
    repeat = timing.get("repeat", {})
    unit = _PERIODS.get(repeat.get("periodUnit", ""))
    if not unit or "period" not in repeat:
        return concept(timing.get("code"))[2]
    times = repeat.get("frequency", 1)
    often = {1: "once", 2: "twice"}.get(times, f"{times} times")
    period = repeat["period"]
    return f"{often} a {unit}" if period == 1 else f"{often} every {period} {unit}s"


def read_immunization(
    resource: Json, key: UUID, described: Described
) -> tuple[Immunization, list[Any]]:
    system, code, display = concept(resource["vaccineCode"])
    immunization = Immunization(
        id=key,
        patient_id=patient(resource, "patient"),
        encounter_id=linked(resource.get("encounter"), "Encounter"),
        status=resource["status"],
        code_system=system,
        code=code,
        display=display,
        occurrence_at=moment(resource.get("occurrenceDateTime")),
        occurrence_text=resource.get("occurrenceString", "")[:500],
        primary_source=resource.get("primarySource"),
        lot_number=resource.get("lotNumber", ""),
    )
    immunization.extra = leftover(resource, _immunization(immunization))
    return immunization, []


def write_immunization(immunization: Immunization, _parts: Iterable[Any] = ()) -> Json:
    return merged(_immunization(immunization), immunization.extra, choices=["occurrence"])


def _immunization(immunization: Immunization) -> Json:
    return filled(
        {
            "status": immunization.status,
            "vaccineCode": coded(immunization.code_system, immunization.code, immunization.display),
            "patient": reference("Patient", immunization.patient_id),
            "encounter": reference("Encounter", immunization.encounter_id),
            "occurrenceDateTime": written(immunization.occurrence_at),
            "occurrenceString": immunization.occurrence_text,
            "primarySource": immunization.primary_source,
            "lotNumber": immunization.lot_number,
        }
    )
