"""Who the clinic's patients are: FHIR's Patient as rows."""

from __future__ import annotations

import uuid
from datetime import date

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.patients.codes import (
    AddressType,
    AddressUse,
    BirthDatePrecision,
    Gender,
    IdentifierType,
    IdentifierUse,
    NameUse,
    TelecomSystem,
    TelecomUse,
    one_of,
)
from apps.patients.fields import ExactJSONField
from apps.patients.mrn import MrnField


class PatientQuerySet(models.QuerySet["Patient"]):
    def active(self) -> PatientQuerySet:
        """Leave out records that were closed, and people who have died."""
        return self.filter(active=True, deceased=False)


class Patient(models.Model):
    """
    A person in the care of this clinic.

    `family`, `given`, `sort_name` and `search_text` repeat what the names and numbers
    below say, so that a list needs one table. `apps.patients.registry` keeps them true:
    whoever changes a name, a telecom or an identifier calls `registry.refresh`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mrn = MrnField("MRN")
    active = models.BooleanField(default=True)
    family = models.CharField(max_length=200, blank=True)
    given = models.CharField(max_length=200, blank=True)
    gender = models.CharField(max_length=7, choices=Gender, blank=True)
    birth_date = models.DateField(
        null=True, blank=True, help_text="The first day of the month or year if only that is known."
    )
    birth_date_precision = models.CharField(
        max_length=3, choices=BirthDatePrecision, blank=True, default=""
    )
    deceased = models.BooleanField(default=False)
    deceased_at = models.DateTimeField(null=True, blank=True)
    marital_status = models.CharField(max_length=20, blank=True)
    marital_status_display = models.CharField(max_length=200, blank=True)

    sort_name = models.CharField(max_length=400, blank=True, editable=False)
    search_text = models.TextField(blank=True, editable=False)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering = ["sort_name", "id"]
        indexes = [
            models.Index(fields=["sort_name", "id"], name="patient_by_name"),
            models.Index(fields=["birth_date"], name="patient_by_birth_date"),
        ]
        constraints = [
            one_of("gender", Gender, name="patient_gender", optional=True),
            models.CheckConstraint(
                condition=Q(birth_date__isnull=True, birth_date_precision="")
                | Q(birth_date__isnull=False, birth_date_precision__in=BirthDatePrecision.values),
                name="patient_birth_date_precision",
            ),
            models.CheckConstraint(
                condition=Q(deceased=True) | Q(deceased_at__isnull=True),
                name="patient_deceased_at_means_deceased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.full_name} ({self.mrn})"

    @property
    def full_name(self) -> str:
        return f"{self.given} {self.family}".strip() or "Name not recorded"

    @property
    def birth_date_text(self) -> str:
        """Return the birth date as FHIR writes it, no more precisely than it is known."""
        if self.birth_date is None:
            return ""
        length = {"Y": 4, "YM": 7, "YMD": 10}[self.birth_date_precision]
        return self.birth_date.isoformat()[:length]

    def age(self, at: date | None = None) -> int | None:
        """
        Return the age in full years, today unless another day is given; at death for the dead.

        None when there is no birth date, or when death has no date. A birth date that is
        only a year or a month counts as its first day, so the age may be one too high.
        """
        if self.birth_date is None or (self.deceased and self.deceased_at is None):
            return None
        day = at or timezone.localdate()
        if self.deceased_at is not None:
            day = min(day, timezone.localdate(self.deceased_at))
        birthday_is_ahead = (day.month, day.day) < (self.birth_date.month, self.birth_date.day)
        return max(0, day.year - self.birth_date.year - birthday_is_ahead)


class PatientPart(models.Model):
    """What a patient has several of, in the order in which the record lists them."""

    position = models.PositiveSmallIntegerField(default=0)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )

    class Meta:
        abstract = True
        ordering = ["position", "id"]


class PatientIdentifier(PatientPart):
    """A number by which others know the patient. The clinic's own is `Patient.mrn`."""

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="identifiers")
    use = models.CharField(max_length=9, choices=IdentifierUse, blank=True)
    type_code = models.CharField(
        max_length=20, blank=True, help_text="HL7 v2 table 0203, for example MR, SS, DL or PPN."
    )
    type_display = models.CharField(max_length=200, blank=True)
    system = models.CharField(max_length=500, blank=True)
    value = models.CharField(max_length=500)
    search_value = models.CharField(max_length=500, editable=False, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)

    class Meta(PatientPart.Meta):
        indexes = [
            models.Index(
                fields=["search_value"],
                opclasses=["varchar_pattern_ops"],
                name="patient_identifier_search",
            ),
        ]
        constraints = [
            one_of("use", IdentifierUse, name="patient_identifier_use", optional=True),
        ]

    def __str__(self) -> str:
        return f"{self.type_label} {self.value}"

    @property
    def type_label(self) -> str:
        """Return what the number is called: the record's word, else the code list's."""
        known = dict(IdentifierType.choices)
        return self.type_display or str(known.get(self.type_code, "Identifier"))


class PatientName(PatientPart):
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="names")
    use = models.CharField(max_length=9, choices=NameUse, blank=True)
    text = models.CharField(max_length=500, blank=True)
    family = models.CharField(max_length=200, blank=True)
    given = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    prefix = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    suffix = ArrayField(models.CharField(max_length=50), default=list, blank=True)

    class Meta(PatientPart.Meta):
        constraints = [one_of("use", NameUse, name="patient_name_use", optional=True)]

    def __str__(self) -> str:
        return self.text or " ".join([*self.prefix, *self.given, self.family, *self.suffix]).strip()


class PatientTelecom(PatientPart):
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="telecoms")
    system = models.CharField(max_length=5, choices=TelecomSystem, blank=True)
    use = models.CharField(max_length=6, choices=TelecomUse, blank=True)
    value = models.CharField(max_length=500)
    rank = models.PositiveSmallIntegerField(null=True, blank=True)
    reversed_digits = models.CharField(
        max_length=50,
        editable=False,
        blank=True,
        help_text="The number's digits, last first: people give the end of their number.",
    )

    class Meta(PatientPart.Meta):
        indexes = [
            models.Index(
                fields=["reversed_digits"],
                opclasses=["varchar_pattern_ops"],
                name="patient_telecom_tail",
            ),
        ]
        constraints = [
            one_of("system", TelecomSystem, name="patient_telecom_system", optional=True),
            one_of("use", TelecomUse, name="patient_telecom_use", optional=True),
        ]

    def __str__(self) -> str:
        return self.value


class PatientAddress(PatientPart):
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="addresses")
    use = models.CharField(max_length=7, choices=AddressUse, blank=True)
    type = models.CharField(max_length=8, choices=AddressType, blank=True)
    text = models.CharField(max_length=500, blank=True)
    line = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    city = models.CharField(max_length=200, blank=True)
    district = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=200, blank=True)
    postal_code = models.CharField(max_length=50, blank=True)
    country = models.CharField(max_length=100, blank=True)

    class Meta(PatientPart.Meta):
        verbose_name_plural = "patient addresses"
        constraints = [
            one_of("use", AddressUse, name="patient_address_use", optional=True),
            one_of("type", AddressType, name="patient_address_type", optional=True),
        ]

    def __str__(self) -> str:
        place = " ".join(filter(None, [self.postal_code, self.city]))
        return self.text or ", ".join(filter(None, [*self.line, place, self.state, self.country]))


class PatientContact(PatientPart):
    """A guardian, partner or friend: whom to call about the patient."""

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="contacts")
    relationship = models.CharField(
        max_length=20, blank=True, help_text="HL7 v2 table 0131 or v3 RoleCode."
    )
    relationship_display = models.CharField(max_length=200, blank=True)
    family = models.CharField(max_length=200, blank=True)
    given = models.CharField(max_length=200, blank=True)
    gender = models.CharField(max_length=7, choices=Gender, blank=True)
    phone = models.CharField(max_length=500, blank=True)
    email = models.CharField(max_length=500, blank=True)

    class Meta(PatientPart.Meta):
        constraints = [one_of("gender", Gender, name="patient_contact_gender", optional=True)]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        return f"{self.given} {self.family}".strip()


class PatientCommunication(PatientPart):
    """A language in which the patient can be spoken to."""

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="communications")
    language = models.CharField(max_length=35, blank=True, help_text="BCP 47, for example pt-PT.")
    language_display = models.CharField(max_length=200, blank=True)
    preferred = models.BooleanField(default=False)

    class Meta(PatientPart.Meta):
        pass

    def __str__(self) -> str:
        return self.language_display or self.language
