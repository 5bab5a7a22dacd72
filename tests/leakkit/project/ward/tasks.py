"""What is done while nobody waits."""

from __future__ import annotations

import celery
from django.conf import settings

from ward.celery import app
from ward.models import Note


# The mistake: a base that knows no tenant.
@app.task(**({"base": celery.Task} if "task" in settings.PLANTED else {}))
def read_notes() -> int:
    return Note.objects.count()
