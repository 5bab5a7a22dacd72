"""
The local stack: the servers that `make run` started, or those that the environment names.
"""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

from clinicx import env, local
from clinicx.settings.databases import caches, databases
from clinicx.settings.laptop import *  # noqa: F403  # what a settings module is for

_stack = local.environment()


def _address(name: str) -> str:
    address = os.environ.get(name) or _stack.get(name)
    if not address:
        raise ImproperlyConfigured(
            f"{name} is not set and no local stack was started. Type `make run`, or set "
            "DATABASE_URL, DATABASE_DDL_URL, REDIS_URL and SECRET_KEY."
        )
    return address


DEBUG = env.boolean("DEBUG", False)
SECRET_KEY = _address("SECRET_KEY")
DATABASES = databases(app_url=_address("DATABASE_URL"), ddl_url=_address("DATABASE_DDL_URL"))
CACHES = caches(redis_url=_address("REDIS_URL"))
CELERY_BROKER_URL = _address("REDIS_URL")
