"""
django-tenants as its documentation sets it up.
"""

from __future__ import annotations

from tests.benchmarks.project.settings.base import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.base import INSTALLED_APPS, MIDDLEWARE, RECORDS, databases

CLINICS = "tests.benchmarks.project.clinics"

DATABASES = databases("django_tenants.postgresql_backend")
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware", *MIDDLEWARE]
SHARED_APPS = ["django_tenants", CLINICS, "django.contrib.contenttypes"]
TENANT_APPS = [RECORDS]
INSTALLED_APPS = ["django_tenants", CLINICS, *INSTALLED_APPS]
TENANT_MODEL = "clinics.Clinic"
TENANT_DOMAIN_MODEL = "clinics.Domain"
