"""
What was taken in from elsewhere, and under which names its source knows it.

Clinical rows live in `patients`, `scheduling` and `chart`. Here are the resources that
have no table there, and for every imported resource the names and the digest by which a
second import recognises it.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.patients.fields import ExactJSONField
from apps.patients.models import Patient


class RawResource(models.Model):
    """A resource that ClinicX has no table for, as JSON, beside its patient if it has one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    resource_type = models.CharField(max_length=64)
    patient = models.ForeignKey(
        Patient,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="raw_resources",
        db_index=False,
    )
    content = ExactJSONField(
        help_text="As imported, but each reference names the row of this clinic it resolved to."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["resource_type", "id"]
        indexes = [
            models.Index(fields=["patient", "resource_type"], name="raw_resource_of_patient"),
            models.Index(fields=["resource_type"], name="raw_resource_by_type"),
        ]

    def __str__(self) -> str:
        return f"{self.resource_type}/{self.id}"


class ImportedResource(models.Model):
    """
    A row of this clinic that came from elsewhere. It has the row's own id.

    The last digest is that of the source's JSON when it was last written, so that what
    has not changed there is left alone here, whatever staff have done to it since.
    Practitioners and organizations come again and again in slightly different words; of
    those every digest is kept, and no version is written twice.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    resource_type = models.CharField(max_length=64)
    digests = ArrayField(models.UUIDField(), default=list)
    imported_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.resource_type}/{self.id}"


class SourceName(models.Model):
    """
    One name under which a source knows a resource.

    `Patient/123` is its address there, with the server's base in front if the source told
    it; `Patient?identifier=system|value` is a business identifier. A business identifier
    may belong to more than one resource; what then refers to it is refused as ambiguous.
    """

    name = models.CharField(max_length=600)
    resource = models.ForeignKey(ImportedResource, on_delete=models.CASCADE, related_name="names")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "resource"], name="source_name_once"),
        ]

    def __str__(self) -> str:
        return self.name
