"""
The product itself, with the applications that every clinic has: the fleet's schemas are real.

BENCH_CHANGE names what the wards' migrations bring; without it there are no wards.
"""

from __future__ import annotations

import os

from clinicx.settings.base import *  # noqa: F403  # what a settings module is for
from clinicx.settings.base import INSTALLED_APPS as INSTALLED_APPS_OF_PRODUCT
from clinicx.settings.base import TENANT_APPS as TENANT_APPS_OF_PRODUCT

SECRET_KEY = "only-for-tests"
CHANGE = os.environ.get("BENCH_CHANGE", "")
WARDS = ["tests.benchmarks.project.wards"] if CHANGE else []
MIGRATION_MODULES = {"wards": f"tests.benchmarks.project.wards.{CHANGE}"} if CHANGE else {}

TENANT_APPS = [*TENANT_APPS_OF_PRODUCT, *WARDS]
INSTALLED_APPS = [*INSTALLED_APPS_OF_PRODUCT, *WARDS]
LOGGING = {"version": 1, "disable_existing_loggers": False}
