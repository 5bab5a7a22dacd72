"""What is done about accounts while nobody waits."""

from __future__ import annotations

from importlib import import_module

from celery import shared_task
from django.conf import settings


@shared_task
def clear_expired_sessions() -> None:
    """Delete the sessions of whoever is active that have ended by themselves."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
