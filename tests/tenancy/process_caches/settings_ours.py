"""`tenancy`, with a site for each tenant."""

from __future__ import annotations

from tests.benchmarks.project.settings.ours import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.ours import INSTALLED_APPS, TENANT_APPS

SITES = "django.contrib.sites"
SITE_ID = 1
INSTALLED_APPS = [*INSTALLED_APPS, SITES]
TENANT_APPS = [*TENANT_APPS, SITES]
