"""
Where the leak kit works: two tenants with canaries, and who has asked what there already.

Elm has for each model a row with the same key as one of Oak's, its *twin*, and one with a key
that nobody else's row has, its *own*. Every text of both says that it is Elm's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import models, transaction
from django.http import HttpResponse

from tenancy import context, router, tenants
from tenancy.conf import settings
from tenancy.context import Target
from tenancy.testing.cases import TenantClient, working_for
from tenancy.testing.leaks.addresses import Address, Part
from tenancy.testing.leaks.canaries import Recipe, UnableToMake, World, snapshot

TWINS = 1_700_000_000
OWN = 1_800_000_000
STAMPS = {"elm": "elmcanary", "oak": "oakcanary"}


class NotCovered(Exception):
    """Something could not be looked at; the message says why, and what would change that."""


def leaked(message: str) -> None:
    """End the check: something of Elm's was found elsewhere."""
    pytest.fail(message, pytrace=False)


@dataclass
class Visit:
    """How a host answered, and what was written into the log meanwhile."""

    path: str
    status: int
    body: bytes
    headers: str
    logged: str


@dataclass
class Stage:
    """Elm, whose canaries are looked for, and Oak, where they must not be."""

    elm: Any
    oak: Any
    recipe: Recipe
    sign_in: Callable[[TenantClient, Any], bool | None]
    twins: dict[str, World] = field(default_factory=dict)
    own: World = field(default_factory=lambda: World(STAMPS["elm"]))
    uncovered: dict[type[models.Model], str] = field(default_factory=dict)
    clients: dict[tuple[str, bool], TenantClient] = field(default_factory=dict)
    visits: dict[tuple[str, bool, str, str], Visit] = field(default_factory=dict)
    entrances: dict[str, bool] = field(default_factory=dict)
    is_warm: bool = False
    fillings: dict[Address, list[Mapping[str, Part]]] = field(default_factory=dict)

    # Working for somebody

    def at(self, name: str) -> Any:
        """Work for "elm", "oak" or the "platform"."""
        return context.override(self.target(name))

    def target(self, name: str) -> Target:
        if name == "platform":
            return context.PLATFORM
        return tenants.as_active(getattr(self, name))

    @contextmanager
    def undone(self, name: str) -> Iterator[None]:
        """Work for somebody in a transaction that is rolled back; others may join in."""
        with working_for(self.target(name)), transaction.atomic():
            yield
            transaction.set_rollback(True)

    # Canaries

    def plant(self) -> None:
        """Make the rows of both, committed."""
        for name, stamp in STAMPS.items():
            self.twins[name] = World(stamp, first_pk=TWINS, twins=True, recipe=self.recipe)
            self._fill(name, self.twins[name])
        self.own = World(self.twins["elm"].stamp + "own", first_pk=OWN, recipe=self.recipe)
        self._fill("elm", self.own)

    def _fill(self, name: str, world: World) -> None:
        with self.at(name):
            for model in list_models():
                try:
                    world.get(model)
                except UnableToMake as error:
                    # A model may take a single row; the twin will do then.
                    if world is not self.own:
                        self.uncovered[model] = str(error)

    def operator(self, user_model: type[models.Model]) -> models.Model | None:
        """Return a row of the user model of the base domain, or None if none can be made."""
        with self.at("platform"):
            try:
                return World("operator", recipe=self.recipe).get(user_model)
            except UnableToMake:
                return None

    def require(self, model: type[models.Model]) -> None:
        """Raise NotCovered unless both have a row of `model`."""
        if model in self.uncovered:
            raise NotCovered(self.uncovered[model])

    def rows(self, model: type[models.Model]) -> list[models.Model]:
        """Return Elm's rows: the one that has a twin first."""
        worlds = (self.twins["elm"], self.own)
        return [world.rows[model] for world in worlds if model in world.rows]

    def marks(self, model: type[models.Model] | None = None) -> list[str]:
        """Return what gives Elm away in a text, and for one model also its own row's key."""
        stamps = [STAMPS["elm"]]
        if model is not None and model in self.own.rows:
            stamps.append(str(self.own.rows[model].pk))
        return stamps

    def find(self, seen: object, model: type[models.Model] | None = None) -> list[str]:
        """Return the marks of Elm's that are in what was `seen`."""
        text = render(seen)
        return [mark for mark in self.marks(model) if mark in text]

    @contextmanager
    def unchanged(self, model: type[models.Model], *, at: str = "elm") -> Iterator[None]:
        """Fail when the block leaves somebody's rows of `model` other than they were."""
        before = self.fingerprint([model], at=at)
        yield
        if self.fingerprint([model], at=at) != before:
            leaked(f"{model._meta.label}: rows at {at} were changed with another's.")

    def fingerprint(
        self, wanted: Iterable[type[models.Model]], *, at: str = "elm"
    ) -> Mapping[str, Any]:
        """Return every row that somebody has of the models, to be compared with later."""
        with context.override(self.target(at), in_transaction=True):
            return snapshot(wanted)

    @property
    def stamps(self) -> list[str]:
        """What every text of either contains."""
        return list(STAMPS.values())

    # Visits

    def can_enter(self, name: str) -> bool:
        """Tell whether there is somebody who can be signed in there."""
        if name not in self.entrances:
            try:
                self.entrances[name] = bool(self.client(name, signed_in=True))
            except NotCovered:
                self.entrances[name] = False
        return self.entrances[name]

    def client(self, name: str, *, signed_in: bool) -> TenantClient:
        """Return the one browser at the host of "elm", "oak" or the "platform"."""
        if (name, signed_in) not in self.clients:
            self.clients[name, signed_in] = self._make_client(name, signed_in)
        return self.clients[name, signed_in]

    def _make_client(self, name: str, signed_in: bool) -> TenantClient:
        tenant = getattr(self, name, None)
        host = "" if tenant is not None else settings.BASE_DOMAIN
        client = TenantClient(tenant, host=host, raise_request_exception=False)
        if signed_in:
            with context.override(self.target(name)):
                if not self.sign_in(client, tenant):
                    raise NotCovered(
                        f"Nobody could be signed in at {name}; the hook pytest_tenancy_sign_in may."
                    )
        return client

    def visit(self, name: str, path: str, *, signed_in: bool = True, method: str = "GET") -> Visit:
        """Return how the host answers; it is asked once for all checks of this process."""
        key = (name, signed_in, method, path)
        if key not in self.visits:
            client = self.client(name, signed_in=signed_in)
            if method in ("GET", "HEAD", "OPTIONS"):
                self.visits[key] = _ask(client, method, path)
            else:
                with self.undone(name):
                    self.visits[key] = _ask(client, method, path)
        return self.visits[key]


def list_models() -> list[type[models.Model]]:
    return router.list_models(tenants=True)


def _ask(client: TenantClient, method: str, path: str) -> Visit:
    # What a page set for the next one would make the order of visits matter.
    cookies = deepcopy(client.cookies)
    with listening() as logged:
        response: Any = client.generic(method, path, data="{}", content_type="application/json")
        body = _read(response)
    set_now = response.cookies.output()
    client.cookies = cookies
    headers = "\n".join(f"{name}: {value}" for name, value in response.items())
    return Visit(path, response.status_code, body, f"{headers}\n{set_now}", "\n".join(logged))


def _read(response: HttpResponse) -> bytes:
    streaming: Any = response
    if not response.streaming:
        return response.content
    # Django's client closes what it has read to its end.
    return b"".join(streaming)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what is logged in the block, whatever handlers the project has."""
    logged: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(f"{record.name}: {record.getMessage()} {record.exc_text or ''}")

    handler = Collect()
    logging.getLogger().addHandler(handler)
    try:
        yield logged
    finally:
        logging.getLogger().removeHandler(handler)


def render(seen: object) -> str:
    """Return as text whatever was seen: rows with all their columns."""
    if isinstance(seen, models.Model):
        # With what was annotated; without what is only remembered.
        values = {name: value for name, value in vars(seen).items() if not name.startswith("_")}
        cached = [each for each in seen._state.fields_cache.values() if each is not seen]
        return f"{values} {render(cached)}"
    if isinstance(seen, Mapping):
        return f"{render(seen.keys())} {render(seen.values())}"
    if isinstance(seen, bytes):
        return seen.decode(errors="replace")
    if isinstance(seen, str) or not isinstance(seen, Iterable):
        return str(seen)
    return " ".join(map(render, seen))
