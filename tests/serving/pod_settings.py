"""Production's settings, with pages that production has not, and files nobody collected."""

from __future__ import annotations

from datetime import timedelta

from clinicx import env
from clinicx.settings.production import *  # noqa: F403  # what a settings module is for
from clinicx.settings.production import STORAGES

ROOT_URLCONF = "tests.serving.urls"
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
# What is tried here is how it ends, and not how much may be asked for.
TENANCY_RATES: dict[str, str | None] = {"tenant": None, "client": None, "sign-in": None}
TENANCY_IN_FLIGHT: dict[str, int | None] = {"process": None, "tenant": None}
TENANCY_RESOLVER_MEMORY = timedelta(seconds=env.integer("TEST_RESOLVER_MEMORY", 30))
CELERY_IMPORTS = ["tests.serving.failing", "tests.serving.working"]
