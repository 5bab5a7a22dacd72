"""
Tests: real servers, started by tests/fixtures/servers.py, which sets the addresses.
"""

from __future__ import annotations

from clinicx import env
from clinicx.settings.databases import caches, databases
from clinicx.settings.laptop import *  # noqa: F403  # what a settings module is for

SECRET_KEY = "only-for-tests"  # noqa: S105  # guards nothing
DATABASES = databases(
    app_url=env.required("DATABASE_URL"), ddl_url=env.required("DATABASE_DDL_URL")
)
CACHES = caches(redis_url=env.required("REDIS_URL"))
CELERY_BROKER_URL = env.required("TEST_BROKER_URL")

# PBKDF2 is slow on purpose, and the tests sign in hundreds of times.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
