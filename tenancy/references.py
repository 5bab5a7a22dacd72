"""
What would a schema look like that the code of today makes, and which of them wait unused?
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone


class ReferenceSchema(models.Model):
    """
    A reference schema as SQL: what makes its tables, and what its first rows are.

    The key stands for all that it depends on, the state of the migrations first of all, so
    that a release with others has another row.
    """

    objects: ClassVar[models.Manager[ReferenceSchema]]

    key = models.CharField(max_length=64, primary_key=True)
    script = models.TextField(help_text="Run with the schema as search_path.")
    fingerprint = models.CharField(max_length=64)
    fault = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="Why there is no script, and tenants are migrated from zero.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.key[:12]


class WarmSchema(models.Model):
    """A schema with its role that is complete and nobody's: a sign-up renames it."""

    objects: ClassVar[models.Manager[WarmSchema]]

    schema_name = models.CharField(max_length=63, primary_key=True)
    reference = models.CharField(max_length=64, help_text="The key of its reference schema.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.schema_name
