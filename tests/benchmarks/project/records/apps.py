"""The Django application `records`."""

from __future__ import annotations

from django.apps import AppConfig


class RecordsConfig(AppConfig):
    name = "tests.benchmarks.project.records"
    label = "records"
