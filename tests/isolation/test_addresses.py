"""No address of a host gives away what belongs to another: every URL there is, filled both ways."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.db import models
from django.http import HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.patients.models import Patient
from tenancy import audit, context, router
from tenancy.audit import AuditEvent
from tenancy.models import Organization
from tenancy.testing import TenantClient, working_for
from tenancy.testing.leaks.addresses import (
    Address,
    Part,
    list_addresses,
    list_replacements,
    list_search_parameters,
)
from tenancy.testing.leaks.canaries import World, snapshot
from tests.isolation.hosts import (
    SUPERUSER,
    Host,
    Opening,
    answer_of,
    body_of,
    list_marks,
    undone,
)

CLINIC = "clinicx.urls.tenant"
PLATFORM = "clinicx.urls.public"
ADDRESSES = [*list_addresses(CLINIC), *list_addresses(PLATFORM)]

# Whoever opens an address to people who have not signed in says so here, and why.
OPEN_TO_STRANGERS = {
    "accounts:sign_in": "it is where one signs in",
    "api:schema": "it describes the API and holds nothing of any clinic",
    "api:docs": "it describes the API and holds nothing of any clinic",
}

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
MALFORMED = ["0", "-1", "nobody", "9" * 40, "\0", "é' OR 1=1--"]


pytestmark = pytest.mark.usefixtures("owned_keys")


def each_address(*, filled: bool = False) -> pytest.MarkDecorator:
    chosen = [each for each in ADDRESSES if each.wants_rows or not filled]
    return pytest.mark.parametrize(
        "address", chosen, ids=lambda each: f"{each.urlconf.rpartition('.')[2]}:{each}"
    )


def _list_admins_foreign_keys() -> list[models.ForeignKey[Any, Any]]:
    """Return the foreign keys of the models that have pages in the clinics' admin."""
    admins = {getattr(each.view, "model_admin", None) for each in list_addresses(CLINIC)} - {None}
    return [
        field
        for model in sorted({admin.model for admin in admins}, key=str)
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
    ]


def _sign_in(host: str, user: User) -> str:
    client = TenantClient(host=host)
    client.force_login(user)
    return client.cookies["sessionid"].value


def _people() -> dict[str, User]:
    """Return a member of the active clinic's staff for each role, and one who may do all."""
    people = {SUPERUSER: User.objects.create_superuser("isolation.superuser")}
    for role in ROLES:
        people[role] = User.objects.create(
            username=f"isolation.{role}", is_staff=role == "clinic_admin"
        )
        people[role].groups.add(Group.objects.get(name=role))
    return people


@pytest.fixture(scope="module")
def unlogged() -> Iterator[None]:
    """Thousands of refusals, each logged with a traceback, take longer than all the rest."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def hosts(
    elm: Organization, oak: Organization, django_db_blocker: Any, unlogged: None
) -> Iterator[dict[str, Host]]:
    """
    Elm's host, which must not show what is Oak's, and the base domain, which must not
    show what is Elm's. All in one transaction that is rolled back.
    """
    tenant_models = router.list_models(tenants=True)
    shared_models = router.list_models(shared=True)
    with django_db_blocker.unblock(), working_for(elm.as_active()), undone():
        with context.override(oak.as_active()):
            oaks = World("oakcanary", first_pk=1_800_000_000).fill(tenant_models)
        elms = World("elmcanary", first_pk=900_000_000).fill(tenant_models)
        staff = {role: _sign_in(elm.host, user) for role, user in _people().items()}
        with context.override(context.PLATFORM):
            platforms = World("basecanary").put(elm).fill(shared_models)
            # No table of Django's: it is not among the models that were filled.
            audit.record("basecanary.seen", actor="basecanary")
            platforms.put(AuditEvent.objects.latest("seq"))
            operator = User.objects.create_superuser("isolation.operator")
            operators = {SUPERUSER: _sign_in("localhost", operator)}
        yield {
            CLINIC: Host(elm.host, elms, oaks, oak.as_active(), staff),
            PLATFORM: Host("localhost", platforms, elms, elm.as_active(), operators),
        }


@pytest.fixture
def host(hosts: dict[str, Host], address: Address) -> Host:
    """The host at which the address is answered."""
    return hosts[address.urlconf]


class TestAddress:
    @each_address()
    def test_opens_for_somebody(self, address: Address, host: Host):
        """
        Otherwise it would prove nothing that the ids of others do not. What refuses even
        a superuser, before any id is looked at, need not.
        """
        opening = host.opening(address)

        assert opening.role in host.sessions

    @each_address(filled=True)
    def test_shows_what_it_was_opened_for(self, address: Address, host: Host):
        """
        The marks by which a leak is recognised below do turn up where they should.
        """
        opening = host.opening(address)

        response = host.ask(address.path(opening.filling), role=opening.role, method=opening.method)

        if response.status_code == 200:
            assert list_marks(response, host.own) != []

    @each_address(filled=True)
    def test_does_not_know_the_ids_of_others(self, address: Address, host: Host):
        """
        Whoever asks, by whatever method, is answered as for an id that nobody has.
        """
        opening = host.opening(address)
        with context.override(host.other_target):
            before = snapshot(host.other.rows)

        *singly, wholly = list_replacements(opening.filling, host.other)
        asked = [(wholly, role, method) for role, method in _list_askers(host, opening)]
        asked += [(each, opening.role, opening.method) for each in singly]
        for (theirs, nobodys), role, method in asked:
            response = host.ask(address.path(theirs), role=role, method=method)
            control = host.ask(address.path(nobodys), role=role, method=method)
            assert answer_of(response, theirs) == answer_of(control, nobodys), (role, method)
            if (role, method) == (opening.role, opening.method) and not opening.is_closed:
                assert _says_not_found(address, response, address.path(theirs))

        with context.override(host.other_target):
            assert snapshot(host.other.rows) == before

    @each_address(filled=True)
    def test_takes_an_id_that_is_none(self, address: Address, host: Host):
        """
        Whatever is typed there is no error of ours: `ask` refuses a status of 500 or more.
        """
        opening = host.opening(address)

        for value, name in product(MALFORMED, opening.filling):
            malformed = {**opening.filling, name: Part(quote(value, safe=""))}
            host.ask(address.path(malformed), role=opening.role, method=opening.method)

    @each_address()
    def test_lets_no_stranger_in(self, address: Address, host: Host):
        path = address.path(host.opening(address).filling)

        for method in METHODS:
            response = host.ask(path, role=None, method=method)

            assert list_marks(response, host.own, asked=path) == []
            assert response.get("Location", "/").startswith("/")
            if address.name not in OPEN_TO_STRANGERS and method != "OPTIONS":
                assert response.status_code in (301, 302, 401, 403, 404, 405), method

    @each_address()
    def test_shows_nothing_of_others(self, address: Address, host: Host):
        path = address.path(host.opening(address).filling)

        for role in [*host.sessions, None]:
            response = host.ask(path, role=role)

            assert list_marks(response, host.other) == [], role

    @each_address()
    def test_finds_nothing_of_others(self, address: Address, host: Host):
        """
        To look for what another has is to look for what nobody has.
        """
        opening = host.opening(address)
        path = address.path(opening.filling)

        for parameter in list_search_parameters(address):
            for theirs in (host.other.stamp, str(host.other.rows[Patient].pk)):
                nobodys = re.sub("[a-z0-9]", "0", theirs)
                response = host.ask(f"{path}?{parameter}={theirs}", role=opening.role)
                control = host.ask(f"{path}?{parameter}={nobodys}", role=opening.role)
                assert response.status_code == control.status_code, parameter
                assert body_of(response, theirs) == body_of(control, nobodys), parameter


class TestAutocomplete:
    """The admin's one address that takes the name of a model and of a field, and searches there."""

    @pytest.mark.parametrize("field", _list_admins_foreign_keys(), ids=str)
    def test_finds_nothing_of_others(
        self, field: models.ForeignKey[Any, Any], hosts: dict[str, Host]
    ):
        host = hosts[CLINIC]
        where = {
            "app_label": field.model._meta.app_label,
            "model_name": field.model._meta.model_name,
            "field_name": field.name,
        }

        own, others = (
            host.ask(
                f"{reverse('admin:autocomplete')}?{urlencode({**where, 'term': stamp})}",
                role=SUPERUSER,
            )
            for stamp in (host.own.stamp, host.other.stamp)
        )

        assert own.status_code == others.status_code
        assert list_marks(others, host.other) == []
        if others.status_code == 200:
            assert list_marks(own, host.own) != []
            assert others.json()["results"] == []


def _list_askers(host: Host, opening: Opening) -> list[tuple[str | None, str]]:
    """Return everybody who looks, and by every method whoever may open the address."""
    return [
        *((opening.role, method) for method in METHODS),
        *((role, "GET") for role in [*host.sessions, None] if role != opening.role),
    ]


def _says_not_found(address: Address, response: HttpResponse, path: str) -> bool:
    """Tell whether this is a 404, or what Django's admin, or a redirect within it, does instead."""
    location = response.get("Location", "")
    is_admins = hasattr(address.view, "model_admin") and location in (
        reverse("admin:index", urlconf=address.urlconf),
        f"{path}change/",
    )
    return response.status_code == 404 or is_admins
