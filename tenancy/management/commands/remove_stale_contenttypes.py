"""`manage.py remove_stale_contenttypes`: Django's, for whoever is active."""

from __future__ import annotations

from django.contrib.contenttypes.management.commands import remove_stale_contenttypes

from tenancy.management.owners import OwnersCommand


class Command(OwnersCommand, remove_stale_contenttypes.Command):
    pass
