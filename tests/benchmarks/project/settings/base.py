"""
What is the same for every system? Everything but how it comes to its schema.
"""

from __future__ import annotations

import os
from typing import Any

import dj_database_url

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ROOT_URLCONF = "tests.benchmarks.project.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
RECORDS = "tests.benchmarks.project.records"
# django-tenants' backend imports the first.
INSTALLED_APPS = ["django.contrib.contenttypes", "rest_framework", RECORDS]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 25,
    "UNAUTHENTICATED_USER": None,
}


def databases(engine: str) -> dict[str, Any]:
    """Return DATABASES with the one address that this process was given."""
    parsed = dj_database_url.parse(os.environ["BENCH_DATABASE_URL"], engine=engine)
    # Kept as long as the process lives, and not asked whether it still works: the
    # measurement is of queries, and every system could have that check.
    return {"default": {**parsed, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}}


# A request that fails shall say why.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"django": {"handlers": [], "propagate": True}},
}
