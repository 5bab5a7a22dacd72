"""The project's settings, with django-prometheus' wrapper under ours."""

from __future__ import annotations

from clinicx.settings.test import *  # noqa: F403  # what a settings module is for

ORIGINAL_BACKEND = "django_prometheus.db.backends.postgresql"
