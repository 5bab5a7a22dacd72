"""
A clinic that is deleted, renamed or closed between the middleware and a query.

Other processes remember it for some seconds. Here eight threads ask without end, with what
they remembered before, while another process does it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from apps.accounts.models import User
from apps.patients.models import Patient
from tenancy import context, lifecycle, tenants
from tenancy.models import Organization
from tenancy.testing import TenantClient

CANARIES = {"birch": "Birchcanary", "elm": "Elmcanary"}
REQUESTS = 200
THREADS = 8

DEEDS: dict[str, tuple[Callable[[Organization], object], set[int]]] = {
    "deleted": (lifecycle.delete, {200, 410}),
    "renamed": (lambda birch: lifecycle.rename(birch, slug="beech"), {200, 503, 404}),
    "suspended": (lifecycle.suspend, {200, 503}),
}


@pytest.fixture
def birch(scratch: Any, settings: Any, tmp_path: Any, elm: Organization) -> Iterator[Organization]:
    """A clinic with a patient of its own; Elm has another, with the same primary key."""
    settings.MEDIA_ROOT = tmp_path
    settings.TENANCY_RATES = dict.fromkeys(settings.TENANCY_RATES)
    organization: Organization = scratch("birch")
    for clinic in (organization, elm):
        with context.override(clinic.as_active()):
            Patient.objects.create(
                pk="00000000-0000-4000-8000-000000000001",
                family=CANARIES[clinic.slug],
                given="Anna",
            )
    yield organization
    with context.override(elm.as_active()):
        Patient.objects.filter(family=CANARIES["elm"]).delete()


def ask(birch: Organization, remembered: dict[str, Any], cookies: Any) -> list[tuple[int, bytes]]:
    """Ask the API, and sign in, as a process that believes what it found before."""
    client = TenantClient(birch, raise_request_exception=False)
    client.cookies = cookies
    answers = []
    for number in range(REQUESTS // THREADS):
        tenants._found.update(remembered)
        if number % 5:
            response = client.get("/api/v1/patients/")
        else:
            other = TenantClient(birch, raise_request_exception=False)
            response = other.post("/sign-in/", {"username": "anna", "password": "clinicx"})
        answers.append((response.status_code, response.content))
    connections.close_all()
    return answers


def in_another_process(deed: Callable[[], object]) -> int:
    connections.close_all()
    child = os.fork()
    if not child:
        try:
            deed()
            os._exit(0)
        finally:
            os._exit(1)
    return child


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("deed", DEEDS)
def test_nobody_gets_anothers_rows_or_a_500(birch: Organization, deed: str, settings: Any) -> None:
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    do, expected = DEEDS[deed]
    client = TenantClient(birch)
    with context.override(birch.as_active()):
        user = User.objects.create_superuser("anna", password="clinicx")
        client.force_login(user)
    assert CANARIES["birch"].encode() in client.get("/api/v1/patients/").content
    # What was suspended is served to the end by whoever remembers it, and rightly so.
    remembered = {} if deed == "suspended" else dict(tenants._found)
    if deed == "suspended":
        settings.TENANCY_RESOLVER_MEMORY = timedelta(0)
        tenants.forget_all()

    answers: list[tuple[int, bytes]] = []
    child = in_another_process(lambda: do(birch))
    threads = [
        threading.Thread(
            target=lambda: answers.extend(ask(birch, remembered, client.cookies.copy()))
        )
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, status = os.waitpid(child, 0)
    logging.getLogger("django.request").setLevel(logging.NOTSET)

    assert status == 0
    assert len(answers) == REQUESTS
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= expected | {302, 401, 403}, statuses
    assert statuses.keys() & (expected - {200}), statuses
    assert not any(CANARIES["elm"].encode() in body for _, body in answers)
