"""Where Django learns that the look of the pages is an app."""

from __future__ import annotations

from django.apps import AppConfig


class UiConfig(AppConfig):
    name = "apps.ui"
    label = "ui"
