"""
What a patient's own row repeats of the names and numbers beside it.

A list of patients is drawn, ordered and searched from one table. `derive` is the only
place that decides what that table says; call `refresh` after any change of a patient's
names, identifiers or telecoms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils import timezone

from apps.patients.codes import NameUse, TelecomSystem
from apps.patients.folding import fold, fold_number, phone_digits
from apps.patients.models import Patient, PatientIdentifier, PatientName, PatientTelecom

# By which name a person is listed. One without a use may well be the official one.
_PREFERENCE = [
    NameUse.OFFICIAL,
    NameUse.USUAL,
    "",
    NameUse.NICKNAME,
    NameUse.TEMP,
    NameUse.ANONYMOUS,
    NameUse.MAIDEN,
    NameUse.OLD,
]

_CALLED = {TelecomSystem.PHONE, TelecomSystem.SMS, TelecomSystem.FAX, TelecomSystem.PAGER, ""}


def derive(patient: Patient, names: Sequence[PatientName]) -> None:
    """Set on `patient`, unsaved, what its row repeats of `names`."""
    listed = min(names, key=lambda name: _PREFERENCE.index(name.use), default=None)
    patient.family, patient.given = _split(listed)
    patient.sort_name = fold(f"{patient.family} {patient.given}")
    patient.search_text = _search_text(patient, names)


def derive_identifier(identifier: PatientIdentifier) -> None:
    identifier.search_value = fold_number(identifier.value)


def derive_telecom(telecom: PatientTelecom) -> None:
    digits = phone_digits(telecom.value) if telecom.system in _CALLED else ""
    telecom.reversed_digits = digits[::-1][:50]


@transaction.atomic
def refresh(patients: Iterable[Patient]) -> None:
    """
    Write again what the rows of `patients` and of their numbers repeat.

    They count as updated: whoever asks what has changed asks their rows alone.
    """
    now = timezone.now()
    chosen = list(
        Patient.objects.filter(pk__in=[patient.pk for patient in patients])
        .select_for_update()
        .prefetch_related("names", "identifiers", "telecoms")
    )
    for patient in chosen:
        derive(patient, list(patient.names.all()))
        patient.updated_at = now
    identifiers = [each for patient in chosen for each in patient.identifiers.all()]
    for identifier in identifiers:
        derive_identifier(identifier)
    telecoms = [each for patient in chosen for each in patient.telecoms.all()]
    for telecom in telecoms:
        derive_telecom(telecom)

    Patient.objects.bulk_update(
        chosen, ["family", "given", "sort_name", "search_text", "updated_at"]
    )
    PatientIdentifier.objects.bulk_update(identifiers, ["search_value"])
    PatientTelecom.objects.bulk_update(telecoms, ["reversed_digits"])


def _split(name: PatientName | None) -> tuple[str, str]:
    if name is None:
        return "", ""
    family, given = name.family, " ".join(name.given)
    if not family and not given:
        family = name.text  # a name that came in one piece
    return family[:200], given[:200]


def _search_text(patient: Patient, names: Iterable[PatientName]) -> str:
    """
    Return every word of every name once, each with a space before it.

    The space lets a search ask for the beginning of a word. A family name of several
    words is also there in one, for those who write Delacruz.
    """
    words: dict[str, None] = dict.fromkeys(patient.sort_name.split())
    for name in names:
        family = fold(name.family).split()
        words |= dict.fromkeys([*family, "".join(family)])
        words |= dict.fromkeys(fold(" ".join([*name.given, *name.suffix, name.text])).split())
    return "".join(f" {word}" for word in words if word)
