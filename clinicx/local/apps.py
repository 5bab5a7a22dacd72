"""
Which commands exist on a laptop only? Those below `management`, when this app is installed.
"""

from __future__ import annotations

from django.apps import AppConfig


class LocalConfig(AppConfig):
    name = "clinicx.local"
    label = "local"
    verbose_name = "Local stack"
