"""
What the patient page shows of the chart, ready to render.

Each function makes the same number of queries and returns a bounded number of rows,
however long the chart is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from uuid import UUID

from django.db.models import Case, F, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from apps.chart import vitals
from apps.chart.codes import (
    AllergyCategory,
    ConditionVerificationStatus,
    EncounterClass,
    EncounterStatus,
    ImmunizationStatus,
    MedicationRequestStatus,
)
from apps.chart.models import (
    AllergyIntolerance,
    Condition,
    Encounter,
    Immunization,
    MedicationRequest,
    Observation,
)
from apps.ui import wording
from tenancy import context

# More than these of one kind are read in the record itself, not on its first page.
MOST_ENTRIES = 200
RECENT_ENCOUNTERS = 8
READINGS_OF_EACH_VITAL = 12

_OPEN = [
    EncounterStatus.PLANNED,
    EncounterStatus.ARRIVED,
    EncounterStatus.TRIAGED,
    EncounterStatus.IN_PROGRESS,
    EncounterStatus.ON_LEAVE,
]
_NEVER_TAKEN = [
    MedicationRequestStatus.ENTERED_IN_ERROR,
    MedicationRequestStatus.DRAFT,
    MedicationRequestStatus.CANCELLED,
]

# SNOMED CT says in brackets what kind of thing a term is; on a chart the place says it.
_SEMANTIC_TAG = re.compile(
    r" \((?:disorder|finding|procedure|situation|event|substance|product|regime/therapy"
    r"|morphologic abnormality|environment)\)$"
)


@dataclass(frozen=True, kw_only=True)
class Allergy:
    name: str
    is_severe: bool
    kind: str
    reactions: str
    recorded: date | None


@dataclass(frozen=True, kw_only=True)
class Allergies:
    """One of three: a list; asked and none known; nobody has asked."""

    listed: tuple[Allergy, ...]
    none_known: bool

    @property
    def further(self) -> int:
        """Return how many come after the first three, which is what a phone has room for."""
        return max(0, len(self.listed) - 3)


@dataclass(frozen=True, kw_only=True)
class Problem:
    name: str
    since: str
    until: str
    doubt: str


@dataclass(frozen=True, kw_only=True)
class Problems:
    active: tuple[Problem, ...]
    past: tuple[Problem, ...]
    are_more: bool


@dataclass(frozen=True, kw_only=True)
class Medication:
    name: str
    dosage: str
    since: str
    since_month: str
    status: str
    requester: str
    is_due_for_review: bool
    is_on_hold: bool


@dataclass(frozen=True, kw_only=True)
class Medications:
    active: tuple[Medication, ...]
    past: tuple[Medication, ...]
    are_more: bool

    @property
    def due_for_review(self) -> int:
        return sum(medication.is_due_for_review for medication in self.active)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """An encounter; of its kind, state and place only what is not to be expected anyway."""

    id: UUID
    what: str
    reason: str
    kind: str
    status: str
    is_open: bool
    start: datetime | None
    practitioner: str
    place: str

    @property
    def note(self) -> str:
        return " · ".join(filter(None, [self.kind, self.practitioner, self.place]))


@dataclass(frozen=True, kw_only=True)
class Visits:
    recent: tuple[Visit, ...]
    count: int

    @property
    def earlier(self) -> int:
        return self.count - len(self.recent)


@dataclass(frozen=True, kw_only=True)
class Vaccine:
    """All doses of one vaccine."""

    name: str
    doses: int
    last: str


@dataclass(frozen=True, kw_only=True)
class Vaccines:
    given: tuple[Vaccine, ...]


@dataclass(frozen=True, kw_only=True)
class Vitals:
    latest: tuple[vitals.Vital, ...]


def get_allergies(patient_id: UUID) -> Allergies:
    """Return what to warn of; two queries."""
    entries = AllergyIntolerance.objects.filter(patient=patient_id)
    current = list(
        (entries.current() | entries.none_known())
        .prefetch_related("reactions")
        .order_by(Case(When(criticality="high", then=Value(0)), default=Value(1)), "display", "id")[
            :MOST_ENTRIES
        ]
    )
    return Allergies(
        listed=tuple(_allergy(entry) for entry in current if not entry.says_none_known),
        none_known=any(entry.says_none_known for entry in current),
    )


def get_problems(patient_id: UUID) -> Problems:
    """Return what the patient has, and what they had; two queries."""
    entries = Condition.objects.filter(patient=patient_id).valid()
    current = list(entries.current()[:MOST_ENTRIES])
    past = list(entries.exclude(pk__in=[entry.pk for entry in current])[: MOST_ENTRIES + 1])
    return Problems(
        active=tuple(map(_problem, current)),
        past=tuple(map(_problem, past[:MOST_ENTRIES])),
        are_more=len(past) > MOST_ENTRIES,
    )


def get_medications(patient_id: UUID, *, at: datetime) -> Medications:
    """Return what the patient takes, and what they took; one query."""
    current = [MedicationRequestStatus.ACTIVE, MedicationRequestStatus.ON_HOLD]
    found = list(
        MedicationRequest.objects.filter(patient=patient_id)
        .exclude(status__in=_NEVER_TAKEN)
        .select_related("requester")
        .order_by(
            Case(When(status__in=current, then=Value(0)), default=Value(1)),
            F("authored_at").desc(nulls_last=True),
            "id",
        )[: MOST_ENTRIES + 1]
    )
    shown = found[:MOST_ENTRIES]
    return Medications(
        active=tuple(_medication(entry, at) for entry in shown if entry.status in current),
        past=tuple(_medication(entry, at) for entry in shown if entry.status not in current),
        are_more=len(found) > MOST_ENTRIES,
    )


def get_visits(patient_id: UUID) -> Visits:
    """Return the latest encounters, and how many there are; two queries."""
    entries = Encounter.objects.filter(patient=patient_id).exclude(
        status=EncounterStatus.ENTERED_IN_ERROR
    )
    recent = entries.select_related("practitioner")[:RECENT_ENCOUNTERS]
    return Visits(recent=tuple(map(_visit, recent)), count=entries.count())


def get_vitals(patient_id: UUID) -> Vitals:
    """Return the latest reading of each vital sign, with its trend; two queries."""
    place = Window(
        RowNumber(),
        partition_by=[F("code")],
        order_by=[F("effective_at").desc(nulls_last=True), F("id").asc()],
    )
    readings = (
        Observation.objects.filter(patient=patient_id)
        .valid()
        .vital_signs()
        .annotate(place=place)
        .filter(place__lte=READINGS_OF_EACH_VITAL)
        .prefetch_related("components")
        .order_by("code", "place")
    )
    by_code = {code: list(group) for code, group in groupby(readings, lambda entry: entry.code)}
    summaries = (vitals.summarize(by_code[code]) for code in sorted(by_code, key=vitals.position))
    return Vitals(latest=tuple(vital for vital in summaries if vital))


def get_vaccines(patient_id: UUID) -> Vaccines:
    """Return the vaccines that were given, the latest first; one query."""
    given = Immunization.objects.filter(
        patient=patient_id, status=ImmunizationStatus.COMPLETED
    ).order_by(F("occurrence_at").desc(nulls_last=True), "id")[:MOST_ENTRIES]
    doses: dict[tuple[str, str], list[Immunization]] = {}
    for dose in given:
        doses.setdefault((dose.code_system, dose.code or dose.display), []).append(dose)
    return Vaccines(given=tuple(_vaccine(same) for same in doses.values()))


def _allergy(entry: AllergyIntolerance) -> Allergy:
    reactions = (
        ", ".join(filter(None, [str(reaction), reaction.get_severity_display().lower()]))
        for reaction in entry.reactions.all()
    )
    kinds = [AllergyCategory(code).label.lower() for code in entry.categories]
    return Allergy(
        name=_plain(str(entry)),
        is_severe=entry.is_severe,
        kind=", ".join([entry.get_type_display() or "Allergy", *kinds]),
        reactions="; ".join(filter(None, reactions)),
        recorded=_local_day(entry.recorded_at),
    )


def _problem(entry: Condition) -> Problem:
    uncertain = entry.verification_status not in ("", ConditionVerificationStatus.CONFIRMED)
    return Problem(
        name=_plain(str(entry)),
        since=wording.day(entry.onset_at),
        until=wording.day(entry.abatement_at),
        doubt=entry.get_verification_status_display() if uncertain else "",
    )


def _medication(entry: MedicationRequest, at: datetime) -> Medication:
    return Medication(
        name=str(entry),
        dosage=entry.dosage_text,
        since=wording.day(entry.authored_at),
        since_month=wording.month(entry.authored_at),
        status=entry.get_status_display(),
        requester=entry.requester.full_name if entry.requester else "",
        is_due_for_review=entry.is_due_for_review(at=at),
        is_on_hold=entry.status == MedicationRequestStatus.ON_HOLD,
    )


def _visit(entry: Encounter) -> Visit:
    return Visit(
        id=entry.pk,
        what=_plain(str(entry)),
        reason=_plain(entry.reason_display),
        kind=""
        if entry.class_code == EncounterClass.AMBULATORY
        else entry.get_class_code_display(),
        status="" if entry.status == EncounterStatus.FINISHED else entry.get_status_display(),
        is_open=entry.status in _OPEN,
        start=entry.period_start,
        practitioner=entry.practitioner.full_name if entry.practitioner else "",
        place=""
        if entry.service_provider == context.require_tenant().name
        else entry.service_provider,
    )


def _vaccine(doses: list[Immunization]) -> Vaccine:
    latest = doses[0]
    return Vaccine(
        name=str(latest),
        doses=len(doses),
        last=wording.day(latest.occurrence_at) or latest.occurrence_text or "Date not recorded",
    )


def _plain(term: str) -> str:
    """Return a SNOMED CT term without the bracket that says what kind of thing it is."""
    return _SEMANTIC_TAG.sub("", term)


def _local_day(moment: datetime | None) -> date | None:
    return timezone.localdate(moment) if moment else None
