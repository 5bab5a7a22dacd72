"""
`tenancy` as ClinicX sets it up, counted by django-prometheus as its documentation sets it up.
"""

from __future__ import annotations

from tests.benchmarks.project.settings.ours import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.ours import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = ["django_prometheus", *INSTALLED_APPS]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    *MIDDLEWARE,
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ORIGINAL_BACKEND = "django_prometheus.db.backends.postgresql"
PROMETHEUS_EXPORT_MIGRATIONS = False
