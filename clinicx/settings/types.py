"""
For mypy's Django plugin only: settings that load without any server.
"""

from __future__ import annotations

from clinicx.settings.databases import caches, databases
from clinicx.settings.laptop import *  # noqa: F403  # what a settings module is for

SECRET_KEY = "never-used"  # noqa: S105  # no process serves with these settings
DATABASES = databases(app_url="postgres://localhost/none", ddl_url="postgres://localhost/none")
CACHES = caches(redis_url="redis://localhost/0")
CELERY_BROKER_URL = "redis://localhost/0"
