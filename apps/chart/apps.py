"""How Django finds the chart app."""

from __future__ import annotations

from django.apps import AppConfig


class ChartConfig(AppConfig):
    name = "apps.chart"
    label = "chart"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.chart.page import contribute
        from apps.patients.page import add_contributor

        add_contributor(contribute)
