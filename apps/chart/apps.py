"""How Django finds the chart app."""

from __future__ import annotations

from django.apps import AppConfig


class ChartConfig(AppConfig):
    name = "apps.chart"
    label = "chart"
    default_auto_field = "django.db.models.BigAutoField"
