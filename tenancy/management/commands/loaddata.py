"""`manage.py loaddata`: Django's, for whoever is active."""

from __future__ import annotations

from django.core.management.commands import loaddata

from tenancy.management.owners import OwnersCommand


class Command(OwnersCommand, loaddata.Command):
    pass
