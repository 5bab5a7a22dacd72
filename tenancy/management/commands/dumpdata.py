"""`manage.py dumpdata`: Django's, for whoever is active."""

from __future__ import annotations

from django.core.management.commands import dumpdata

from tenancy.management.owners import OwnersCommand


class Command(OwnersCommand, dumpdata.Command):
    pass
