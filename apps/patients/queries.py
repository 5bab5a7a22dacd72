"""What the list of patients and the patient page show, ready to render."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from uuid import UUID

from django.db.models import Max, Prefetch, Q, QuerySet
from django.utils import timezone

from apps.patients.codes import BirthDatePrecision, NameUse, TelecomSystem, TelecomUse
from apps.patients.models import Patient, PatientAddress, PatientTelecom
from apps.ui import wording
from tenancy.query_cache import cached_query

_CALLED = (TelecomSystem.PHONE, TelecomSystem.SMS, "")

# The chart stands above this app, so its encounters are named, not imported.
_TOOK_PLACE = ~Q(encounters__status__in=["planned", "cancelled", "entered-in-error"])

_Part = TypeVar("_Part", PatientTelecom, PatientAddress)


@dataclass(frozen=True, kw_only=True)
class PatientRow:
    """A patient in the list."""

    id: UUID
    family: str
    given: str
    initials: str
    age: str
    sex: str
    born: str
    phone: str
    mrn: str
    last_visit: date | None
    is_deceased: bool
    is_inactive: bool

    @property
    def is_past(self) -> bool:
        return self.is_deceased or self.is_inactive


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Who the patient is: enough that nobody takes one person for another."""

    name: str
    initials: str
    age: str
    sex: str
    born: str
    died: str
    mrn: str
    phone: str
    email: str
    address: str
    is_deceased: bool
    is_inactive: bool

    @property
    def is_past(self) -> bool:
        return self.is_deceased or self.is_inactive


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One line of the details: what it is, and what it says."""

    label: str
    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Details:
    """What the front desk asks for: how to reach the patient, and who else to call."""

    reach: tuple[Detail, ...]
    person: tuple[Detail, ...]
    contacts: tuple[Detail, ...]
    identifiers: tuple[Detail, ...]


@cached_query(Patient)
def count_all() -> int:
    """Return how many patients the clinic has: what is at the foot of its list."""
    return Patient.objects.count()


def in_list() -> QuerySet[Patient]:
    """Return the patients with the columns that a row shows, and no others."""
    return Patient.objects.only(
        "id",
        "mrn",
        "active",
        "family",
        "given",
        "gender",
        "birth_date",
        "birth_date_precision",
        "deceased",
        "deceased_at",
        "sort_name",
    )


def list_rows(patients: Iterable[Patient], *, today: date) -> list[PatientRow]:
    """Return the rows of a page of patients, in two queries whatever its length."""
    page = list(patients)
    phones = _phones_of(page)
    visits = _last_visits_of(page)
    return [
        PatientRow(
            id=patient.pk,
            family=patient.family,
            given=patient.given,
            initials=wording.initials(patient.full_name),
            age=_age(patient, today),
            sex=patient.get_gender_display(),
            born=_born(patient),
            phone=phones.get(patient.pk, ""),
            mrn=patient.mrn,
            last_visit=visits.get(patient.pk),
            is_deceased=patient.deceased,
            is_inactive=not patient.active,
        )
        for patient in page
    ]


def with_details() -> QuerySet[Patient]:
    """Return the patients with all that the patient page says of the person."""
    return Patient.objects.prefetch_related(
        Prefetch("telecoms", queryset=PatientTelecom.objects.order_by("rank", "position", "id")),
        "addresses",
        "contacts",
        "identifiers",
        "names",
        "communications",
    )


def get_banner(patient: Patient, *, today: date) -> Banner:
    """Return the banner of a patient from `with_details`; it makes no query."""
    telecoms = list(patient.telecoms.all())
    return Banner(
        name=patient.full_name,
        initials=wording.initials(patient.full_name),
        age=_age(patient, today),
        sex=patient.get_gender_display() or "Sex not recorded",
        born=_born(patient),
        died=wording.day(patient.deceased_at),
        mrn=patient.mrn,
        phone=_first_value(telecoms, _CALLED),
        email=_first_value(telecoms, (TelecomSystem.EMAIL,)),
        address=_first_address(patient.addresses.all()),
        is_deceased=patient.deceased,
        is_inactive=not patient.active,
    )


def get_details(patient: Patient) -> Details:
    """Return the details of a patient from `with_details`; it makes no query."""
    reach = [
        Detail(
            label=telecom.get_system_display() or "Phone",
            text=telecom.value,
            note=telecom.get_use_display(),
        )
        for telecom in _still_valid_first(patient.telecoms.all())
    ]
    reach += [
        Detail(label="Address", text=str(address), note=address.get_use_display())
        for address in _still_valid_first(patient.addresses.all())
    ]
    return Details(
        reach=tuple(reach),
        person=tuple(_about_the_person(patient)),
        contacts=tuple(
            Detail(
                label=contact.relationship_display or "Contact",
                text=contact.full_name or "Name not recorded",
                note=", ".join(filter(None, [contact.phone, contact.email])),
            )
            for contact in patient.contacts.all()
        ),
        identifiers=tuple(
            Detail(label=identifier.type_label, text=identifier.value)
            for identifier in patient.identifiers.all()
        ),
    )


def _about_the_person(patient: Patient) -> Iterable[Detail]:
    for name in patient.names.all():
        if name.use not in ("", NameUse.OFFICIAL):
            yield Detail(label=name.get_use_display(), text=str(name))
    for language in patient.communications.all():
        note = "preferred" if language.preferred else ""
        yield Detail(label="Language", text=str(language), note=note)
    if patient.marital_status_display:
        yield Detail(label="Marital status", text=patient.marital_status_display)


def _phones_of(patients: Sequence[Patient]) -> dict[UUID, str]:
    telecoms = PatientTelecom.objects.filter(patient__in=patients, system__in=_CALLED)
    phones: dict[UUID, str] = {}
    for telecom in _still_valid_first(telecoms.order_by("rank", "position", "id")):
        phones.setdefault(telecom.patient_id, telecom.value)
    return phones


def _last_visits_of(patients: Sequence[Patient]) -> dict[UUID, date]:
    visited = (
        Patient.objects.filter(pk__in=[patient.pk for patient in patients])
        .order_by()
        .annotate(last_visit_at=Max("encounters__period_start", filter=_TOOK_PLACE))
        .values_list("pk", "last_visit_at")
    )
    return {pk: timezone.localdate(at) for pk, at in visited if at}


def _age(patient: Patient, today: date) -> str:
    """Return the age in words; of the dead, the age they reached."""
    if patient.birth_date is None or (patient.deceased and patient.deceased_at is None):
        return ""
    end = timezone.localdate(patient.deceased_at) if patient.deceased_at else today
    age = wording.span(patient.birth_date, end)
    if patient.birth_date_precision == BirthDatePrecision.DAY:
        return age
    return f"about {age}"


def _born(patient: Patient) -> str:
    return wording.part_of_date(patient.birth_date, precision=patient.birth_date_precision)


def _first_value(telecoms: Iterable[PatientTelecom], systems: Sequence[str]) -> str:
    fitting = (
        telecom.value for telecom in _still_valid_first(telecoms) if telecom.system in systems
    )
    return next(fitting, "")


def _first_address(addresses: Iterable[PatientAddress]) -> str:
    return next((str(address) for address in _still_valid_first(addresses)), "")


def _still_valid_first(parts: Iterable[_Part]) -> list[_Part]:
    """A number or an address that no longer holds comes after all that do."""
    return sorted(parts, key=lambda part: part.use == TelecomUse.OLD)
