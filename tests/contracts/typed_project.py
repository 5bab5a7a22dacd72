"""
What a project writes that uses tenancy, with the types that it is told.

mypy reads this in test_typing.py; nothing runs it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import reveal_type

from django.core.cache import cache
from django.http import HttpResponse
from django.test import TestCase

from tenancy import context, lifecycle, locks, names, provisioning, tenants
from tenancy.cache import make_key
from tenancy.conf import Settings
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.errors import NoActiveTenant, TenancyError
from tenancy.management import execute_from_command_line
from tenancy.middleware import TenantMiddleware, TenantRequest
from tenancy.models import Domain, Organization
from tenancy.router import TenancyRouter
from tenancy.testing import ForTenant, TenantClient, working_for


def work(organization: Organization) -> None:
    active = organization.as_active()
    reveal_type(active)  # ActiveTenant
    reveal_type(active.schema)  # str
    reveal_type(organization.host)  # str

    with context.override(active):
        reveal_type(context.get_current())  # ActiveTenant | Platform | None
        reveal_type(context.require_tenant())  # ActiveTenant
        cache.set("greeting", "Hello")
    with context.override(PLATFORM, in_transaction=True):
        reveal_type(context.require_current())  # ActiveTenant | Platform
    with context.override(None):
        reveal_type(context.is_tenant_active())  # bool
    with organization as entered:
        reveal_type(entered)  # Organization


@context.carry
def add(one: int, *, other: float) -> float:
    return one + other


reveal_type(add)  # def (one: int, *, other: float) -> float


def look_after() -> None:
    organization = provisioning.provision(slug="elm", name="Elm Street Clinic")
    reveal_type(organization)  # Organization
    reveal_type(provisioning.get_by_slug("elm"))  # Organization
    reveal_type(tenants.find(organization.pk))  # ActiveTenant
    reveal_type(names.schema_for("elm"))  # str
    lifecycle.suspend(organization, reason="The contract ended in May.")
    locks.acquire("nightly", timeout=timedelta(seconds=1))
    reveal_type(locks.try_acquire("nightly"))  # bool
    reveal_type(Organization.objects.get(slug="elm"))  # Organization
    reveal_type(Domain.objects.first())  # Domain | None
    reveal_type(make_key("greeting", "clinicx", 1))  # str
    reveal_type(Settings.CONN_MAX_TENANTS)  # int | None
    reveal_type(TenancyRouter().db_for_read(Organization))  # str | None


def answer(target: Target) -> str:
    """Every kind of target has been dealt with, or mypy would ask for a return."""
    match target:
        case ActiveTenant(slug=slug):
            return slug
        case context.Platform.PLATFORM:
            return "nobody's"


class TestPatients(ForTenant, TestCase):
    @classmethod
    def get_target(cls) -> Target:
        return provisioning.get_by_slug("elm").as_active()

    def test_page(self) -> None:
        client = TenantClient(provisioning.get_by_slug("elm"))
        reveal_type(client.organization)  # Organization | None
        with working_for(PLATFORM):
            pass


def manage() -> None:
    try:
        execute_from_command_line(["manage.py", "check"])
    except NoActiveTenant as error:
        reveal_type(error.args)  # tuple[Any, ...]
    reveal_type(TenancyError())  # TenancyError


def serve(request: TenantRequest) -> None:
    TenantMiddleware(lambda request: HttpResponse())(request)
    if request.tenant is None:
        return
