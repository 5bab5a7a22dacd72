"""
The product on `tenancy`.
"""

from __future__ import annotations

import os

from clinicx.settings.databases import caches, databases
from tests.benchmarks.project.settings.fleet import *  # noqa: F403  # what a settings module is for

DATABASES = databases(app_url=os.environ["BENCH_DATABASE_URL"], ddl_url=os.environ["BENCH_DDL_URL"])
CACHES = caches(redis_url=os.environ["REDIS_URL"])
