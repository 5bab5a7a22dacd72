"""
Plain Django: one schema, which its login has as its path.
"""

from __future__ import annotations

from tests.benchmarks.project.settings.base import *  # noqa: F403  # what a settings module is for
from tests.benchmarks.project.settings.base import databases

DATABASES = databases("django.db.backends.postgresql")
