"""
How does a host answer whom, and what does the answer give away?
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse

from tenancy.context import Target
from tenancy.testing import TenantClient
from tenancy.testing.leaks.addresses import Address, Filling, list_fillings
from tenancy.testing.leaks.canaries import World

# Who may do all that can be done at a host.
SUPERUSER = "superuser"

# In how many ways an address is filled to find out what opens it.
PATIENCE = 60


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
        with undone():
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
            "tenancy.testing.leaks.addresses; what a row lacks, pytest_tenancy_make_instance says."
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
        if response.status_code >= 400 or is_sign_in(response):
            return False
        if not address.wants_rows or response.get("Location", "").startswith(path):
            return True
        nobodys = {name: part.of_nobody() for name, part in opening.filling.items()}
        control = self.ask(address.path(nobodys), role=opening.role, method=opening.method)
        return answer_of(response, opening.filling) != answer_of(control, nobodys)

    def _is_closed(self, address: Address, opening: Opening) -> bool:
        """Tell whether the address refuses even who may do all, without looking at the ids."""
        path = address.path(opening.filling)
        response = self.ask(path, role=opening.role, method=opening.method)
        if response.status_code == 404:
            return bool(address.parameters) and not address.wants_rows
        return response.status_code == 403 or is_sign_in(response)


@contextmanager
def undone() -> Iterator[None]:
    """Roll back what the block writes, a sign-out for example."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def is_sign_in(response: HttpResponse) -> bool:
    """Tell whether this sends somebody away to sign in and come back."""
    path, _, query = response.get("Location", "").partition("?")
    return path == reverse("accounts:sign_in") and query.startswith("next=")


def answer_of(response: HttpResponse, filling: Filling) -> tuple[int, str, bytes]:
    """Return status, redirect and body, without the ids that were asked for."""
    asked = [part.value for part in filling.values()]
    location = response.get("Location", "")
    for value in asked:
        location = location.replace(value, "")
    return response.status_code, location, body_of(response, *asked)


def body_of(response: HttpResponse, *asked: str) -> bytes:
    """Return the body without what was asked for, and without tokens, which are never the same."""
    body: bytes = response.read
    for value in asked:
        body = body.replace(value.encode(), b"")
    return re.sub(rb'[A-Za-z0-9]{64}|(?<=nonce=")[^"]+', b"", body)


def list_marks(response: HttpResponse, world: World, *, asked: str = "") -> list[str]:
    """Return what in the answer gives rows of `world` away, the address that was asked aside."""
    body = body_of(response, asked) if asked else response.read
    return [mark for mark in world.marks if mark.encode() in body]
