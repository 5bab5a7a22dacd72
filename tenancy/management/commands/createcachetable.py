"""`manage.py createcachetable`: Django's, for whoever is active."""

from __future__ import annotations

from django.core.management.commands import createcachetable

from tenancy.management.owners import OwnersCommand


class Command(OwnersCommand, createcachetable.Command):
    pass
