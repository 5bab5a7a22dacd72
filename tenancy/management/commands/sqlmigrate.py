"""`manage.py sqlmigrate`: Django's, for whoever is active."""

from __future__ import annotations

from django.core.management.commands import sqlmigrate

from tenancy.management.owners import OwnersCommand


class Command(OwnersCommand, sqlmigrate.Command):
    pass
