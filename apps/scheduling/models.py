"""Who works with patients here: FHIR's Practitioner as rows."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.patients.codes import Gender, IdentifierUse, one_of
from apps.patients.fields import ExactJSONField


class Practitioner(models.Model):
    """A doctor, nurse or therapist who is named in a chart, with or without a sign-in here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    active = models.BooleanField(default=True)
    family = models.CharField(max_length=200, blank=True)
    given = models.CharField(max_length=200, blank=True)
    prefix = models.CharField(max_length=100, blank=True)
    suffix = models.CharField(max_length=100, blank=True)
    gender = models.CharField(max_length=7, choices=Gender, blank=True)
    qualifications = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["family", "given", "id"]
        constraints = [one_of("gender", Gender, name="practitioner_gender", optional=True)]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        parts = [self.prefix, self.given, self.family, self.suffix]
        return " ".join(filter(None, parts)) or "Name not recorded"


class PractitionerIdentifier(models.Model):
    """A number by which others know the practitioner, such as an NPI or a licence."""

    practitioner = models.ForeignKey(
        Practitioner, on_delete=models.CASCADE, related_name="identifiers"
    )
    position = models.PositiveSmallIntegerField(default=0)
    use = models.CharField(max_length=9, choices=IdentifierUse, blank=True)
    type_code = models.CharField(max_length=20, blank=True)
    type_display = models.CharField(max_length=200, blank=True)
    system = models.CharField(max_length=500, blank=True)
    value = models.CharField(max_length=500)
    extra = ExactJSONField(
        default=dict, blank=True, editable=False, help_text="FHIR elements that have no column."
    )

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            one_of("use", IdentifierUse, name="practitioner_identifier_use", optional=True),
        ]

    def __str__(self) -> str:
        return self.value
