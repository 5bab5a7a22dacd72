"""No address of a host gives away what belongs to another: every URL there is, filled both ways."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.http import HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.patients.models import Patient
from tenancy import context, router
from tenancy.context import Target
from tenancy.models import Organization
from tenancy.testing import TenantClient, working_for
from tests.isolation.addresses import (
    Address,
    Filling,
    Part,
    list_addresses,
    list_fillings,
    list_replacements,
    list_search_parameters,
)
from tests.isolation.rows import World, snapshot

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
SUPERUSER = "superuser"

MALFORMED = ["0", "-1", "nobody", "9" * 40, "\0", "é' OR 1=1--"]

# In how many ways an address is filled to find out what opens it.
PATIENCE = 60


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


@dataclass(frozen=True)
class Opening:
    """How an address was opened: in which role, by which method, with whose ids."""

    role: str
    method: str
    filling: Filling
    is_closed: bool = False


@dataclass
class Host:
    """A host with its own rows and people, and with another's rows, which it must not show."""

    name: str
    own: World
    other: World
    other_target: Target
    sessions: dict[str, str]
    openings: dict[Address, Opening] = field(default_factory=dict)
    answers: dict[tuple[str, str | None], HttpResponse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = TenantClient(host=self.name)

    def ask(self, path: str, *, role: str | None, method: str = "GET") -> HttpResponse:
        """Return the answer to whoever is signed in as `role`; a GET is asked once for all."""
        if method != "GET":
            return self._ask(path, role, method)
        if (path, role) not in self.answers:
            self.answers[path, role] = self._ask(path, role, method)
        return self.answers[path, role]

    def _ask(self, path: str, role: str | None, method: str) -> HttpResponse:
        self.client.cookies.clear()
        if role is not None:
            self.client.cookies["sessionid"] = self.sessions[role]
        # A GET writes too: what the next page is to say, into the session.
        with _undone():
            response = self.client.generic(method, path, data="{}", content_type="application/json")
            response.read = b"".join(response) if response.streaming else response.content
        assert response.status_code < 500, (method, path)
        return response

    def opening(self, address: Address) -> Opening:
        """Return how the address opens for somebody here; fail the test if it never does."""
        if address not in self.openings:
            self.openings[address] = self._find_opening(address)
        return self.openings[address]

    def _find_opening(self, address: Address) -> Opening:
        for filling in islice(list_fillings(address, self.own), PATIENCE):
            for role in self.sessions:
                method = self._choose_method(address, filling, role)
                opening = Opening(role, method, filling)
                if self._opens(address, opening):
                    return opening
                if role == SUPERUSER and self._is_closed(address, opening):
                    return replace(opening, is_closed=True)
        pytest.fail(
            f"{address} ({address.name}) opened for nobody at {self.name} with any row there. Its "
            f"parameters are {address.parameters}: one that names no row belongs into WORDS in "
            "tests/isolation/addresses.py; what a row lacks, into RECIPES in rows.py."
        )

    def _choose_method(self, address: Address, filling: Filling, role: str) -> str:
        """Return GET, or where that is not allowed the first of what is."""
        response = self.ask(address.path(filling), role=role)
        if response.status_code != 405:
            return "GET"
        allowed = response["Allow"].replace(" ", "").split(",")
        return next(method for method in allowed if method not in ("HEAD", "OPTIONS"))

    def _opens(self, address: Address, opening: Opening) -> bool:
        path = address.path(opening.filling)
        response = self.ask(path, role=opening.role, method=opening.method)
        if response.status_code >= 400 or _is_sign_in(response):
            return False
        if not address.wants_rows or response.get("Location", "").startswith(path):
            return True
        nobodys = {name: part.of_nobody() for name, part in opening.filling.items()}
        control = self.ask(address.path(nobodys), role=opening.role, method=opening.method)
        return _answer(response, opening.filling) != _answer(control, nobodys)

    def _is_closed(self, address: Address, opening: Opening) -> bool:
        """Tell whether the address refuses even who may do all, without looking at the ids."""
        path = address.path(opening.filling)
        response = self.ask(path, role=opening.role, method=opening.method)
        if response.status_code == 404:
            return not address.wants_rows
        return response.status_code == 403 or _is_sign_in(response)


@contextmanager
def _undone() -> Iterator[None]:
    """Roll back what the block writes, a sign-out for example."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


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
    with django_db_blocker.unblock(), working_for(elm.as_active()), _undone():
        with context.override(oak.as_active()):
            oaks = World("oakcanary", first_pk=1_800_000_000).fill(tenant_models)
        elms = World("elmcanary", first_pk=900_000_000).fill(tenant_models)
        staff = {role: _sign_in(elm.host, user) for role, user in _people().items()}
        with context.override(context.PLATFORM):
            platforms = World("basecanary").put(elm).fill(shared_models)
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
            assert _list_marks(response, host.own) != []

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
            assert _answer(response, theirs) == _answer(control, nobodys), (role, method)
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

            assert _list_marks(response, host.own, asked=path) == []
            assert response.get("Location", "/").startswith("/")
            if address.name not in OPEN_TO_STRANGERS and method != "OPTIONS":
                assert response.status_code in (301, 302, 401, 403, 404, 405), method

    @each_address()
    def test_shows_nothing_of_others(self, address: Address, host: Host):
        path = address.path(host.opening(address).filling)

        for role in [*host.sessions, None]:
            response = host.ask(path, role=role)

            assert _list_marks(response, host.other) == [], role

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
                assert _body(response, theirs) == _body(control, nobodys), parameter


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
        assert _list_marks(others, host.other) == []
        if others.status_code == 200:
            assert _list_marks(own, host.own) != []
            assert others.json()["results"] == []


def _list_askers(host: Host, opening: Opening) -> list[tuple[str | None, str]]:
    """Return everybody who looks, and by every method whoever may open the address."""
    return [
        *((opening.role, method) for method in METHODS),
        *((role, "GET") for role in [*host.sessions, None] if role != opening.role),
    ]


def _is_sign_in(response: HttpResponse) -> bool:
    """Tell whether this sends somebody away to sign in and come back."""
    path, _, query = response.get("Location", "").partition("?")
    return path == reverse("accounts:sign_in") and query.startswith("next=")


def _says_not_found(address: Address, response: HttpResponse, path: str) -> bool:
    """Tell whether this is a 404, or what Django's admin, or a redirect within it, does instead."""
    location = response.get("Location", "")
    is_admins = hasattr(address.view, "model_admin") and location in (
        reverse("admin:index", urlconf=address.urlconf),
        f"{path}change/",
    )
    return response.status_code == 404 or is_admins


def _answer(response: HttpResponse, filling: Filling) -> tuple[int, str, bytes]:
    """Return status, redirect and body, without the ids that were asked for."""
    asked = [part.value for part in filling.values()]
    location = response.get("Location", "")
    for value in asked:
        location = location.replace(value, "")
    return response.status_code, location, _body(response, *asked)


def _body(response: HttpResponse, *asked: str) -> bytes:
    """Return the body without what was asked for, and without tokens, which are never the same."""
    body: bytes = response.read
    for value in asked:
        body = body.replace(value.encode(), b"")
    return re.sub(rb'[A-Za-z0-9]{64}|(?<=nonce=")[^"]+', b"", body)


def _list_marks(response: HttpResponse, world: World, *, asked: str = "") -> list[str]:
    """Return what in the answer gives rows of `world` away, the address that was asked aside."""
    body = _body(response, asked) if asked else response.read
    return [mark for mark in world.marks if mark.encode() in body]
