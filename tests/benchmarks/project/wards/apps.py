"""The Django application `wards`: what the benchmarks' migrations change, in every schema."""

from __future__ import annotations

from django.apps import AppConfig


class WardsConfig(AppConfig):
    name = "tests.benchmarks.project.wards"
    label = "wards"
    default_auto_field = "django.db.models.BigAutoField"
