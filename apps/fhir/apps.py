"""How Django finds the fhir app."""

from __future__ import annotations

from django.apps import AppConfig


class FhirConfig(AppConfig):
    name = "apps.fhir"
    label = "fhir"
    default_auto_field = "django.db.models.BigAutoField"
