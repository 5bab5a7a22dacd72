"""The Django application `clinics`: django-tenants' tenants."""

from __future__ import annotations

from django.apps import AppConfig


class ClinicsConfig(AppConfig):
    name = "tests.benchmarks.project.clinics"
    label = "clinics"
