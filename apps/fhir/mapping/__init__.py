"""
Which resources have tables, and what reads and writes each.

Order matters: a type comes after those whose rows its own point to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import models

from apps.chart import models as chart_models
from apps.fhir.mapping import chart, patient, practitioner
from apps.fhir.mapping.chart import Described
from apps.fhir.mapping.elements import Json
from apps.patients import models as patient_models
from apps.scheduling import models as scheduling_models

Rows = tuple[Any, list[Any]]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A resource type with tables: its row, and the rows of what it has several of."""

    model: type[models.Model]
    read: Callable[[Json, UUID, Described], Rows]
    write: Callable[[Any, Any], Json]
    # Each part's model, and its foreign key to the row.
    parts: dict[type[models.Model], str] = field(default_factory=dict)


TYPES: dict[str, Mapped] = {
    "Practitioner": Mapped(
        scheduling_models.Practitioner,
        lambda resource, key, _: practitioner.read(resource, key),
        practitioner.write,
        parts={scheduling_models.PractitionerIdentifier: "practitioner"},
    ),
    "Patient": Mapped(
        patient_models.Patient,
        lambda resource, key, _: patient.read(resource, key),
        patient.write,
        parts={kind.model: "patient" for kind in patient.PARTS},
    ),
    "Encounter": Mapped(chart_models.Encounter, chart.read_encounter, chart.write_encounter),
    "Condition": Mapped(chart_models.Condition, chart.read_condition, chart.write_condition),
    "AllergyIntolerance": Mapped(
        chart_models.AllergyIntolerance,
        chart.read_allergy,
        chart.write_allergy,
        parts={chart_models.AllergyReaction: "allergy"},
    ),
    "Observation": Mapped(
        chart_models.Observation,
        chart.read_observation,
        chart.write_observation,
        parts={chart_models.ObservationComponent: "observation"},
    ),
    "MedicationRequest": Mapped(
        chart_models.MedicationRequest,
        chart.read_medication_request,
        chart.write_medication_request,
    ),
    "Immunization": Mapped(
        chart_models.Immunization, chart.read_immunization, chart.write_immunization
    ),
}
