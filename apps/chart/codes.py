"""
Which codes a chart may carry: FHIR R4's required value sets, verbatim.

Codes that FHIR lets a country extend (an encounter's class, an observation's category)
are listed for their labels only; the database takes others too.
"""

from __future__ import annotations

from django.db import models


class EncounterStatus(models.TextChoices):
    PLANNED = "planned", "Planned"
    ARRIVED = "arrived", "Arrived"
    TRIAGED = "triaged", "Triaged"
    IN_PROGRESS = "in-progress", "In progress"
    ON_LEAVE = "onleave", "On leave"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"
    UNKNOWN = "unknown", "Unknown"


class EncounterClass(models.TextChoices):
    """HL7 v3 ActCode; extensible."""

    AMBULATORY = "AMB", "Ambulatory"
    EMERGENCY = "EMER", "Emergency"
    FIELD = "FLD", "Field"
    HOME_HEALTH = "HH", "Home health"
    INPATIENT = "IMP", "Inpatient"
    INPATIENT_ACUTE = "ACUTE", "Inpatient, acute"
    INPATIENT_NON_ACUTE = "NONAC", "Inpatient, non-acute"
    OBSERVATION = "OBSENC", "Observation"
    PRE_ADMISSION = "PRENC", "Pre-admission"
    SHORT_STAY = "SS", "Short stay"
    VIRTUAL = "VR", "Virtual"


class ObservationStatus(models.TextChoices):
    REGISTERED = "registered", "Registered"
    PRELIMINARY = "preliminary", "Preliminary"
    FINAL = "final", "Final"
    AMENDED = "amended", "Amended"
    CORRECTED = "corrected", "Corrected"
    CANCELLED = "cancelled", "Cancelled"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"
    UNKNOWN = "unknown", "Unknown"


class ObservationCategory(models.TextChoices):
    """Preferred, so others may come."""

    SOCIAL_HISTORY = "social-history", "Social history"
    VITAL_SIGNS = "vital-signs", "Vital signs"
    IMAGING = "imaging", "Imaging"
    LABORATORY = "laboratory", "Laboratory"
    PROCEDURE = "procedure", "Procedure"
    SURVEY = "survey", "Survey"
    EXAM = "exam", "Exam"
    THERAPY = "therapy", "Therapy"
    ACTIVITY = "activity", "Activity"


class QuantityComparator(models.TextChoices):
    LESS = "<", "less than"
    LESS_OR_EQUAL = "<=", "at most"
    GREATER_OR_EQUAL = ">=", "at least"
    GREATER = ">", "more than"


class ConditionClinicalStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    RECURRENCE = "recurrence", "Recurrence"
    RELAPSE = "relapse", "Relapse"
    INACTIVE = "inactive", "Inactive"
    REMISSION = "remission", "Remission"
    RESOLVED = "resolved", "Resolved"


class ConditionVerificationStatus(models.TextChoices):
    UNCONFIRMED = "unconfirmed", "Unconfirmed"
    PROVISIONAL = "provisional", "Provisional"
    DIFFERENTIAL = "differential", "Differential"
    CONFIRMED = "confirmed", "Confirmed"
    REFUTED = "refuted", "Refuted"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"


class ConditionCategory(models.TextChoices):
    """Extensible."""

    PROBLEM_LIST_ITEM = "problem-list-item", "Problem list item"
    ENCOUNTER_DIAGNOSIS = "encounter-diagnosis", "Encounter diagnosis"


class AllergyClinicalStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    INACTIVE = "inactive", "Inactive"
    RESOLVED = "resolved", "Resolved"


class AllergyVerificationStatus(models.TextChoices):
    UNCONFIRMED = "unconfirmed", "Unconfirmed"
    CONFIRMED = "confirmed", "Confirmed"
    REFUTED = "refuted", "Refuted"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"


class AllergyType(models.TextChoices):
    ALLERGY = "allergy", "Allergy"
    INTOLERANCE = "intolerance", "Intolerance"


class AllergyCategory(models.TextChoices):
    FOOD = "food", "Food"
    MEDICATION = "medication", "Medication"
    ENVIRONMENT = "environment", "Environment"
    BIOLOGIC = "biologic", "Biologic"


class AllergyCriticality(models.TextChoices):
    LOW = "low", "Low"
    HIGH = "high", "High"
    UNABLE_TO_ASSESS = "unable-to-assess", "Unable to assess"


class ReactionSeverity(models.TextChoices):
    MILD = "mild", "Mild"
    MODERATE = "moderate", "Moderate"
    SEVERE = "severe", "Severe"


class MedicationRequestStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    ON_HOLD = "on-hold", "On hold"
    CANCELLED = "cancelled", "Cancelled"
    COMPLETED = "completed", "Completed"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"
    STOPPED = "stopped", "Stopped"
    DRAFT = "draft", "Draft"
    UNKNOWN = "unknown", "Unknown"


class MedicationRequestIntent(models.TextChoices):
    PROPOSAL = "proposal", "Proposal"
    PLAN = "plan", "Plan"
    ORDER = "order", "Order"
    ORIGINAL_ORDER = "original-order", "Original order"
    REFLEX_ORDER = "reflex-order", "Reflex order"
    FILLER_ORDER = "filler-order", "Filler order"
    INSTANCE_ORDER = "instance-order", "Instance order"
    OPTION = "option", "Option"


class ImmunizationStatus(models.TextChoices):
    COMPLETED = "completed", "Completed"
    ENTERED_IN_ERROR = "entered-in-error", "Entered in error"
    NOT_DONE = "not-done", "Not done"
