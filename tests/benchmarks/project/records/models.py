"""What is read: patients, as ClinicX has them, who say whose they are."""

from __future__ import annotations

import uuid

from django.db import models


class Patient(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The slug of the clinic in whose schema the row is: an answer says whose it was.
    clinic = models.CharField(max_length=41)
    mrn = models.CharField(max_length=20, unique=True)
    active = models.BooleanField(default=True)
    family = models.CharField(max_length=200, blank=True)
    given = models.CharField(max_length=200, blank=True)
    gender = models.CharField(max_length=7, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    deceased = models.BooleanField(default=False)
    marital_status = models.CharField(max_length=20, blank=True)
    sort_name = models.CharField(max_length=400, blank=True)
    extra = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["sort_name", "id"]
        indexes = [models.Index(fields=["sort_name", "id"], name="patient_by_name")]
