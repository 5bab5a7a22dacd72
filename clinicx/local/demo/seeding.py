"""How the demo's staff and patients get into a clinic, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from random import Random
from uuid import UUID, uuid5

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone
from faker import Faker

from apps.accounts.models import User
from apps.patients import mrn, registry
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
from apps.scheduling.models import Practitioner, PractitionerIdentifier
from clinicx.local.demo import people
from clinicx.local.demo.charts import Chart, Rows
from clinicx.local.demo.people import Person
from tenancy import context

PASSWORD = "clinicx"  # noqa: S105  # everybody knows it; it opens the local stack only

# Sign-in name: role.
STAFF: Mapping[str, str] = {
    "receptionist": "receptionist",
    "nurse": "nurse",
    "doctor": "doctor",
    "billing": "billing",
    "admin": "clinic_admin",
}

_DOCTORS = 4
_SOCIAL_SECURITY = "http://hl7.org/fhir/sid/us-ssn"
_NATIONAL_PROVIDER = "http://hl7.org/fhir/sid/us-npi"


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many of each were made; what was there already is not counted."""

    staff: int
    patients: int
    encounters: int
    observations: int

    @property
    def is_nothing(self) -> bool:
        return not any(astuple(self))


@transaction.atomic
def seed(*, patients: int, seed: str, now: datetime) -> Seeded:
    """
    Put staff and `patients` people into the active clinic, all of them or none.

    The same seed invents the same people, so whoever is there already is left alone, and a
    second time nobody is made.
    """
    clinic = context.require_tenant()
    staff = _seed_staff(seed)
    keys = {_key(f"{seed}/patient/{number}"): number for number in range(patients)}
    known = set(Patient.objects.filter(pk__in=keys).values_list("pk", flat=True))
    missing = {key: number for key, number in keys.items() if key not in known}
    if not missing:
        return Seeded(staff, 0, 0, 0)

    doctors = _seed_practitioners(seed)
    rows = Rows()
    today = timezone.localdate(now)
    invented = [
        (people.invent(number=number, seed=seed, today=today), key)
        for key, number in missing.items()
    ]
    registered = _register(invented)
    for (person, _), patient in zip(invented, registered, strict=True):
        Chart(
            person, patient, doctors=doctors, clinic=clinic.name, seed=seed, now=now, rows=rows
        ).write()
    _save(rows)
    return Seeded(staff, len(registered), len(rows.encounters), len(rows.observations))


def _key(name: str) -> UUID:
    """Return an id that is the same each time, and another one at another clinic."""
    clinic = context.require_tenant().id
    assert isinstance(clinic, UUID)  # noqa: S101  # what provisioning gives
    return uuid5(clinic, f"demo/{name}")


def _seed_staff(seed: str) -> int:
    """Make the accounts that are missing; one hash does for all, as they share the password."""
    known = set(User.objects.filter(username__in=STAFF).values_list("username", flat=True))
    missing = {username: role for username, role in STAFF.items() if username not in known}
    if not missing:
        return 0

    password = make_password(PASSWORD)
    groups = {group.name: group for group in Group.objects.filter(name__in=STAFF.values())}
    fake = Faker("en_US", use_weighting=False)
    for username, role in missing.items():
        fake.seed_instance(f"{seed}/{username}")
        user = User.objects.create(
            username=username,
            password=password,
            first_name=fake.first_name(),
            last_name=fake.last_name(),
            email=f"{username}@example.org",
            is_staff=role == "clinic_admin",
        )
        user.groups.add(groups[role])
    return len(missing)


def _seed_practitioners(seed: str) -> list[Practitioner]:
    """Return the clinic's doctors; the first is the one who can sign in."""
    fake = Faker("en_US", use_weighting=False)
    account = User.objects.get(username="doctor")
    doctors = []
    for number in range(_DOCTORS):
        fake.seed_instance(f"{seed}/doctor/{number}")
        family, given = fake.last_name(), fake.first_name()
        if number == 0:
            family, given = account.last_name, account.first_name
        doctor, is_new = Practitioner.objects.get_or_create(
            id=_key(f"{seed}/doctor/{number}"),
            defaults={"family": family, "given": given, "prefix": "Dr."},
        )
        if is_new:
            digits = Random(f"{seed}/{number}").randrange(10**8, 10**9)  # noqa: S311  # not secret
            PractitionerIdentifier.objects.create(
                practitioner=doctor, system=_NATIONAL_PROVIDER, value=f"9{digits}"
            )
        doctors.append(doctor)
    return doctors


def _register(invented: list[tuple[Person, UUID]]) -> list[Patient]:
    numbers = mrn.next_mrns(len(invented))
    patients: list[Patient] = []
    parts: list[PatientPart] = []
    for (person, key), number in zip(invented, numbers, strict=True):
        patient = Patient(
            id=key,
            mrn=number,
            gender=person.gender,
            birth_date=person.birth_date,
            birth_date_precision=person.precision,
            deceased=person.deceased_at is not None,
            deceased_at=person.deceased_at,
            marital_status=person.marital_status[0],
            marital_status_display=person.marital_status[1],
        )
        names = _names(person, patient)
        registry.derive(patient, names)
        patients.append(patient)
        parts += [*names, *_numbers(person, patient), *_home(person, patient)]
    Patient.objects.bulk_create(patients)
    for model in {type(part) for part in parts}:
        model._default_manager.bulk_create([part for part in parts if type(part) is model])
    return patients


def _names(person: Person, patient: Patient) -> list[PatientName]:
    names = [PatientName(patient=patient, use="official", family=person.family, given=person.given)]
    if person.maiden:
        names.append(
            PatientName(
                patient=patient,
                use="maiden",
                family=person.maiden,
                given=person.given,
                position=1,
            )
        )
    return names


def _numbers(person: Person, patient: Patient) -> list[PatientPart]:
    telecoms = [
        PatientTelecom(
            patient=patient, system="phone", use="mobile", value=person.phone, rank=1, position=0
        )
    ]
    if person.email:
        telecoms.append(
            PatientTelecom(patient=patient, system="email", value=person.email, position=1)
        )
    for telecom in telecoms:
        registry.derive_telecom(telecom)
    if not person.social_security:
        return [*telecoms]

    identifier = PatientIdentifier(
        patient=patient,
        type_code="SS",
        type_display="Social Security number",
        system=_SOCIAL_SECURITY,
        value=person.social_security,
    )
    registry.derive_identifier(identifier)
    return [*telecoms, identifier]


def _home(person: Person, patient: Patient) -> list[PatientPart]:
    language, words = person.language
    rows: list[PatientPart] = [
        PatientAddress(
            patient=patient,
            use="home",
            line=[person.street],
            city=person.city,
            state=person.state,
            postal_code=person.postal_code,
            country="US",
        ),
        PatientCommunication(
            patient=patient, language=language, language_display=words, preferred=True
        ),
    ]
    if relative := person.relative:
        rows.append(
            PatientContact(
                patient=patient,
                relationship=relative.relationship,
                relationship_display=relative.relationship_display,
                family=relative.family,
                given=relative.given,
                gender=relative.gender,
                phone=relative.phone,
            )
        )
    return rows


def _save(rows: Rows) -> None:
    """Write the charts in the order of their foreign keys."""
    for table in (
        rows.encounters,
        rows.observations,
        rows.components,
        rows.conditions,
        rows.allergies,
        rows.reactions,
        rows.medications,
        rows.immunizations,
    ):
        if table:
            type(table[0])._default_manager.bulk_create(table)  # type: ignore[arg-type]  # one model's
