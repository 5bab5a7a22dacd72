"""
`tenancy` as ClinicX sets it up.
"""

from __future__ import annotations

import os

from clinicx.settings.databases import caches
from tests.benchmarks.project.settings.base import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.base import (
    INSTALLED_APPS,
    MIDDLEWARE,
    RECORDS,
    ROOT_URLCONF,
    databases,
)

DATABASES = databases("tenancy.backend")
if "BENCH_DDL_URL" in os.environ:
    # The owner's address, for whoever makes the schemas; nothing that is measured has it.
    import dj_database_url

    DATABASES["ddl"] = dj_database_url.parse(os.environ["BENCH_DDL_URL"], engine="tenancy.backend")

CACHES = caches(redis_url=os.environ["REDIS_URL"])
TENANT_SYNC_ROUTER = "tenancy.router.TenancyRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
MIDDLEWARE = ["tenancy.middleware.TenantMiddleware", *MIDDLEWARE]
PUBLIC_SCHEMA_URLCONF = ROOT_URLCONF
SHARED_APPS = ["tenancy", "django_tenants", "django.contrib.contenttypes"]
TENANT_APPS = ["django.contrib.contenttypes", RECORDS]
INSTALLED_APPS = ["tenancy", "django_tenants", *INSTALLED_APPS]
TENANT_MODEL = "tenancy.Organization"
TENANT_DOMAIN_MODEL = "tenancy.Domain"
