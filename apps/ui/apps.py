"""Where Django learns that the look of the pages is an app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class UiConfig(AppConfig):
    name = "apps.ui"
    label = "ui"

    def ready(self) -> None:
        # Django's own autodiscovery is off, as it belongs to a site that nobody enters.
        autodiscover_modules("admin")
