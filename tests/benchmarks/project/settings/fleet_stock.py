"""
The product on stock django-tenants, as the owner of the same schemas.
"""

from __future__ import annotations

import os

import dj_database_url

from tests.benchmarks.project.settings.fleet import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.fleet import INSTALLED_APPS as INSTALLED_APPS_OF_PRODUCT
from tests.benchmarks.project.settings.fleet import TENANT_APPS

CLINICS = "tests.benchmarks.project.clinics"

DATABASES = {
    "default": dj_database_url.parse(
        os.environ["BENCH_DDL_URL"], engine="django_tenants.postgresql_backend"
    )
}
TENANT_SYNC_ROUTER = "django_tenants.routers.TenantSyncRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware"]
SESSION_ENGINE = "django.contrib.sessions.backends.db"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SHARED_APPS = [
    "django_tenants",
    CLINICS,
    *[app for app in TENANT_APPS if app.startswith("django.") or app == "apps.accounts"],
]
# The pages are made for `tenancy` and have no tables.
WITHOUT = ("tenancy", "apps.ui")
INSTALLED_APPS = [CLINICS, *[app for app in INSTALLED_APPS_OF_PRODUCT if app not in WITHOUT]]
TENANT_MODEL = "clinics.Clinic"
TENANT_DOMAIN_MODEL = "clinics.Domain"
