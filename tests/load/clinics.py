"""
How are clinics made for a load test, asked for their patients, and removed?
"""

from __future__ import annotations

import io

from django.core.management import call_command

from apps.accounts.models import User
from apps.patients.models import Patient
from tenancy import context
from tenancy.models import Organization, State
from tests.load.roster import OURS, Clinic

PATIENTS = 50
# Who signs in; seed_demo makes them.
SIGN_IN = "receptionist"


def make(number: int) -> None:
    """Have `number` clinics of ours, with staff and invented patients."""
    active = [each.slug for each in _organizations() if _is_ours(each) and _is_served(each)]
    # A name that was deleted is nobody's for a year, so the numbers only go up.
    taken = [int(each.slug.removeprefix("load-")) for each in _organizations() if _is_ours(each)]
    for each in range(number - len(active)):
        new = max(taken, default=0) + 1 + each
        slug = f"load-{new}"
        _call("create_tenant", slug, name=f"Load Test {new}")
        active.append(slug)
    for slug in active:
        _call("seed_demo", slug, patients=PATIENTS)


def remove() -> list[str]:
    """Delete the clinics that `make` made, with all that was registered there; return which."""
    ours = [each.slug for each in _organizations() if _is_ours(each) and _is_served(each)]
    for slug in ours:
        _call("delete_tenant", slug, now=True, confirm=slug)
    return ours


def find() -> list[Clinic]:
    """Return the clinics with demo staff, each with the ids of its patients, as its role reads."""
    served = filter(_is_served, _organizations())
    return [clinic for clinic in map(_read, served) if clinic is not None]


def _organizations() -> list[Organization]:
    with context.override(context.PLATFORM):
        return list(Organization.objects.order_by("slug"))


def _is_served(organization: Organization) -> bool:
    return organization.state == State.ACTIVE


def _is_ours(organization: Organization) -> bool:
    return OURS.fullmatch(organization.slug) is not None


def _read(organization: Organization) -> Clinic | None:
    with context.override(organization.as_active()):
        if not User.objects.filter(username=SIGN_IN).exists():
            return None
        rows = Patient.objects.values_list("pk", "family").order_by("pk")
        patients = {str(key): family for key, family in rows}
        return Clinic(organization.slug, organization.name, patients)


def _call(command: str, *arguments: str, **options: object) -> None:
    call_command(command, *arguments, stdout=io.StringIO(), **options)
