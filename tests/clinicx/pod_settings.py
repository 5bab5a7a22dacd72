"""Production's settings, with every periodic task due each second."""

from __future__ import annotations

from clinicx.settings.production import *  # noqa: F403  # what a settings module is for
from clinicx.settings.production import CELERY_BEAT_SCHEDULE

CELERY_BEAT_SCHEDULE = {
    name: {**entry, "schedule": 1.0} for name, entry in CELERY_BEAT_SCHEDULE.items()
}
