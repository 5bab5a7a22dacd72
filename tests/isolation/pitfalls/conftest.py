"""What the pitfalls are tried with: both ways to the server, and rows that say whose they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from tenancy import context
from tenancy.models import Organization


@pytest.fixture
def at_elm(address: str, elm: Organization) -> Iterator[Organization]:
    """Elm is active, with real commits, at either address."""
    with context.override(elm.as_active()):
        connection.ensure_connection()
        yield elm


@pytest.fixture
def marks(elm: Organization, oak: Organization, committed: None) -> Iterator[None]:
    """Elm and Oak have one committed session each, whose key is the clinic's name."""
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            Session.objects.create(session_key=clinic.slug, expire_date=timezone.now())
    yield
    for clinic in (elm, oak):
        with context.override(clinic.as_active()):
            Session.objects.all().delete()
