"""What is known of a patient's health: FHIR's clinical resources as rows."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.chart.codes import (
    AllergyCategory,
    AllergyClinicalStatus,
    AllergyCriticality,
    AllergyType,
    AllergyVerificationStatus,
    ConditionCategory,
    ConditionClinicalStatus,
    ConditionVerificationStatus,
    EncounterClass,
    EncounterStatus,
    ImmunizationStatus,
    MedicationRequestIntent,
    MedicationRequestStatus,
    ObservationCategory,
    ObservationStatus,
    QuantityComparator,
    ReactionSeverity,
)
from apps.patients.codes import one_of
from apps.patients.fields import ExactDecimalField, ExactJSONField
from apps.patients.models import Patient
from apps.scheduling.models import Practitioner

# How a record says that the patient was asked and has no allergy. HL7's own code (the
# International Patient Summary's) is the one we write; SNOMED CT's come with imports.
NO_KNOWN_ALLERGIES = "no-known-allergies"
ABSENT_OR_UNKNOWN = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_NO_KNOWN_ALLERGY_CODES = [NO_KNOWN_ALLERGIES, "716186003"]


class ChartEntry(models.Model):
    """One resource of a chart. Entries are never deleted with their patient by accident."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code_system = models.CharField(max_length=500, blank=True)
    code = models.CharField(max_length=100, blank=True)
    display = models.CharField(
        max_length=1000, blank=True, help_text="The record's own words, else the code's."
    )
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.display or self.code or str(self.id)


class Encounter(models.Model):
    """A visit, a stay or a call."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="encounters", db_index=False
    )
    practitioner = models.ForeignKey(
        Practitioner,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="encounters",
        help_text="The first person named as taking part.",
    )
    status = models.CharField(max_length=16, choices=EncounterStatus)
    class_code = models.CharField("class", max_length=20, choices=EncounterClass)
    type_system = models.CharField(max_length=500, blank=True)
    type_code = models.CharField(max_length=100, blank=True)
    type_display = models.CharField(max_length=1000, blank=True)
    reason_system = models.CharField(max_length=500, blank=True)
    reason_code = models.CharField(max_length=100, blank=True)
    reason_display = models.CharField(max_length=1000, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    service_provider = models.CharField(
        max_length=500, blank=True, help_text="The name of the organization responsible."
    )
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = [models.F("period_start").desc(nulls_last=True), "id"]
        indexes = [
            models.Index(fields=["patient", "-period_start"], name="encounter_of_patient"),
        ]
        constraints = [one_of("status", EncounterStatus, name="encounter_status")]

    def __str__(self) -> str:
        return self.type_display or self.get_class_code_display()


class ObservationQuerySet(models.QuerySet["Observation"]):
    def valid(self) -> ObservationQuerySet:
        """Leave out what was withdrawn."""
        return self.exclude(
            status__in=[ObservationStatus.ENTERED_IN_ERROR, ObservationStatus.CANCELLED]
        )

    def vital_signs(self) -> ObservationQuerySet:
        return self.filter(category=ObservationCategory.VITAL_SIGNS)

    def latest_of_each_code(self) -> ObservationQuerySet:
        """Return one observation of each code: the one that holds for the latest moment."""
        return self.order_by(
            "code_system", "code", models.F("effective_at").desc(nulls_last=True), "-id"
        ).distinct("code_system", "code")


class MeasuredValue(models.Model):
    """
    An observation's value, or one of its components' values.

    A number is in `value_quantity` with its comparator and unit, anything else in
    `value_text` as it is to be read; a coded value has its code beside the text.
    """

    value_quantity = ExactDecimalField(null=True, blank=True)
    value_comparator = models.CharField(max_length=2, choices=QuantityComparator, blank=True)
    value_unit = models.CharField(max_length=100, blank=True, help_text="As it is to be read.")
    value_unit_code = models.CharField(max_length=100, blank=True, help_text="In UCUM.")
    value_code_system = models.CharField(max_length=500, blank=True)
    value_code = models.CharField(max_length=100, blank=True)
    value_text = models.TextField(blank=True)
    data_absent_reason = models.CharField(max_length=100, blank=True)
    interpretation = models.CharField(
        max_length=20, blank=True, help_text="HL7 v3: LL, L, N, H, HH, A, AA ..."
    )

    class Meta:
        abstract = True


class Observation(ChartEntry, MeasuredValue):
    """Something measured, counted or asked: a vital sign, a laboratory result, a habit."""

    patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, related_name="observations", db_index=False
    )
    encounter = models.ForeignKey(
        Encounter, on_delete=models.PROTECT, null=True, blank=True, related_name="observations"
    )
    status = models.CharField(max_length=16, choices=ObservationStatus)
    category = models.CharField(
        max_length=50, choices=ObservationCategory, blank=True, help_text="The first one given."
    )
    effective_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was true of the patient; a period's start."
    )
    issued_at = models.DateTimeField(null=True, blank=True)

    objects = ObservationQuerySet.as_manager()

    class Meta:
        ordering = [models.F("effective_at").desc(nulls_last=True), "id"]
        indexes = [
            models.Index(fields=["patient", "code", "-effective_at"], name="observation_by_code"),
            models.Index(
                fields=["patient", "category", "-effective_at"], name="observation_by_category"
            ),
        ]
        constraints = [
            one_of("status", ObservationStatus, name="observation_status"),
            one_of(
                "value_comparator",
                QuantityComparator,
                name="observation_value_comparator",
                optional=True,
            ),
        ]


class ObservationComponent(MeasuredValue):
    """A part of an observation that has a code and a value of its own, such as a diastole."""

    observation = models.ForeignKey(
        Observation, on_delete=models.CASCADE, related_name="components"
    )
    position = models.PositiveSmallIntegerField(default=0)
    code_system = models.CharField(max_length=500, blank=True)
    code = models.CharField(max_length=100, blank=True)
    display = models.CharField(max_length=1000, blank=True)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            one_of(
                "value_comparator",
                QuantityComparator,
                name="observation_component_value_comparator",
                optional=True,
            ),
        ]

    def __str__(self) -> str:
        return self.display or self.code


class ConditionQuerySet(models.QuerySet["Condition"]):
    def valid(self) -> ConditionQuerySet:
        """Leave out what was refuted or entered in error."""
        return self.exclude(
            verification_status__in=[
                ConditionVerificationStatus.REFUTED,
                ConditionVerificationStatus.ENTERED_IN_ERROR,
            ]
        )

    def current(self) -> ConditionQuerySet:
        """Return what the patient has now."""
        return self.valid().filter(
            clinical_status__in=[
                ConditionClinicalStatus.ACTIVE,
                ConditionClinicalStatus.RECURRENCE,
                ConditionClinicalStatus.RELAPSE,
            ]
        )


class Condition(ChartEntry):
    """A problem or a diagnosis."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="conditions")
    encounter = models.ForeignKey(
        Encounter, on_delete=models.PROTECT, null=True, blank=True, related_name="conditions"
    )
    clinical_status = models.CharField(max_length=10, choices=ConditionClinicalStatus, blank=True)
    verification_status = models.CharField(
        max_length=16, choices=ConditionVerificationStatus, blank=True
    )
    category = models.CharField(max_length=50, choices=ConditionCategory, blank=True)
    onset_at = models.DateTimeField(null=True, blank=True)
    abatement_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField(null=True, blank=True)

    objects = ConditionQuerySet.as_manager()

    class Meta:
        ordering = [models.F("onset_at").desc(nulls_last=True), "id"]
        constraints = [
            one_of(
                "clinical_status",
                ConditionClinicalStatus,
                name="condition_clinical_status",
                optional=True,
            ),
            one_of(
                "verification_status",
                ConditionVerificationStatus,
                name="condition_verification_status",
                optional=True,
            ),
        ]


class AllergyIntoleranceQuerySet(models.QuerySet["AllergyIntolerance"]):
    def valid(self) -> AllergyIntoleranceQuerySet:
        """Leave out what was refuted or entered in error."""
        return self.exclude(
            verification_status__in=[
                AllergyVerificationStatus.REFUTED,
                AllergyVerificationStatus.ENTERED_IN_ERROR,
            ]
        )

    def current(self) -> AllergyIntoleranceQuerySet:
        """
        Return the allergies to warn of.

        One without a clinical status counts: not knowing is no reason to be silent.
        """
        return (
            self.valid()
            .filter(clinical_status__in=[AllergyClinicalStatus.ACTIVE, ""])
            .exclude(code__in=_NO_KNOWN_ALLERGY_CODES)
        )

    def none_known(self) -> AllergyIntoleranceQuerySet:
        """Return the entries by which someone recorded that there is no known allergy."""
        return self.valid().filter(
            clinical_status__in=[AllergyClinicalStatus.ACTIVE, ""],
            code__in=_NO_KNOWN_ALLERGY_CODES,
        )


class AllergyIntolerance(ChartEntry):
    """
    What the patient must not be given.

    A patient has one of three states: allergies in the list, an entry that says none are
    known (`says_none_known`), or no entry at all, which means that nobody has asked.
    """

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="allergies")
    encounter = models.ForeignKey(
        Encounter, on_delete=models.PROTECT, null=True, blank=True, related_name="allergies"
    )
    clinical_status = models.CharField(max_length=8, choices=AllergyClinicalStatus, blank=True)
    verification_status = models.CharField(
        max_length=16, choices=AllergyVerificationStatus, blank=True
    )
    type = models.CharField(max_length=11, choices=AllergyType, blank=True)
    categories = ArrayField(
        models.CharField(max_length=11, choices=AllergyCategory), default=list, blank=True
    )
    criticality = models.CharField(max_length=16, choices=AllergyCriticality, blank=True)
    onset_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField(null=True, blank=True)

    objects = AllergyIntoleranceQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "allergies and intolerances"
        ordering = [models.F("recorded_at").desc(nulls_last=True), "id"]
        constraints = [
            one_of(
                "clinical_status",
                AllergyClinicalStatus,
                name="allergy_clinical_status",
                optional=True,
            ),
            one_of(
                "verification_status",
                AllergyVerificationStatus,
                name="allergy_verification_status",
                optional=True,
            ),
            one_of("type", AllergyType, name="allergy_type", optional=True),
            one_of("criticality", AllergyCriticality, name="allergy_criticality", optional=True),
            models.CheckConstraint(
                condition=Q(categories__contained_by=AllergyCategory.values),
                name="allergy_categories",
            ),
        ]

    @property
    def says_none_known(self) -> bool:
        return self.code in _NO_KNOWN_ALLERGY_CODES

    @property
    def is_severe(self) -> bool:
        return self.criticality == AllergyCriticality.HIGH


class AllergyReaction(models.Model):
    """What happened once when the patient met the substance."""

    allergy = models.ForeignKey(
        AllergyIntolerance, on_delete=models.CASCADE, related_name="reactions"
    )
    position = models.PositiveSmallIntegerField(default=0)
    substance = models.CharField(max_length=1000, blank=True)
    manifestations = ArrayField(models.CharField(max_length=1000), default=list, blank=True)
    description = models.TextField(blank=True)
    onset_at = models.DateTimeField(null=True, blank=True)
    severity = models.CharField(max_length=8, choices=ReactionSeverity, blank=True)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            one_of("severity", ReactionSeverity, name="allergy_reaction_severity", optional=True),
        ]

    def __str__(self) -> str:
        return ", ".join(self.manifestations) or self.description


class MedicationRequestQuerySet(models.QuerySet["MedicationRequest"]):
    def current(self) -> MedicationRequestQuerySet:
        """Return the orders that are in force, or on hold."""
        return self.filter(
            status__in=[MedicationRequestStatus.ACTIVE, MedicationRequestStatus.ON_HOLD]
        )


class MedicationRequest(ChartEntry):
    """A prescription, or a medication that someone asked for."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="medications")
    encounter = models.ForeignKey(
        Encounter, on_delete=models.PROTECT, null=True, blank=True, related_name="medications"
    )
    requester = models.ForeignKey(
        Practitioner, on_delete=models.PROTECT, null=True, blank=True, related_name="prescriptions"
    )
    status = models.CharField(max_length=16, choices=MedicationRequestStatus)
    intent = models.CharField(max_length=14, choices=MedicationRequestIntent)
    authored_at = models.DateTimeField(null=True, blank=True)
    dosage_text = models.TextField(blank=True)

    objects = MedicationRequestQuerySet.as_manager()

    class Meta:
        ordering = [models.F("authored_at").desc(nulls_last=True), "id"]
        constraints = [
            one_of("status", MedicationRequestStatus, name="medication_request_status"),
            one_of("intent", MedicationRequestIntent, name="medication_request_intent"),
        ]

    def is_due_for_review(self, *, at: datetime) -> bool:
        """
        Return whether an order still counts as active a year after it was written.

        Most such orders were forgotten, not continued, so a page should ask.
        """
        return (
            self.status == MedicationRequestStatus.ACTIVE
            and self.authored_at is not None
            and (at - self.authored_at).days > 365
        )


class Immunization(ChartEntry):
    """A vaccine given, or deliberately not given."""

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="immunizations")
    encounter = models.ForeignKey(
        Encounter, on_delete=models.PROTECT, null=True, blank=True, related_name="immunizations"
    )
    status = models.CharField(max_length=16, choices=ImmunizationStatus)
    occurrence_at = models.DateTimeField(null=True, blank=True)
    occurrence_text = models.CharField(
        max_length=500, blank=True, help_text="When there is no date, such as 'as a child'."
    )
    primary_source = models.BooleanField(null=True, blank=True)
    lot_number = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = [models.F("occurrence_at").desc(nulls_last=True), "id"]
        constraints = [one_of("status", ImmunizationStatus, name="immunization_status")]
