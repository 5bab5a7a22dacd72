"""
Which addresses does a host answer, and with whose ids can they be filled?

Asked of Django's URL resolver, so that an address is known here the day it is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.apps import apps
from django.db import models
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve
from django.utils.regex_helper import normalize

from tenancy.testing.leaks.canaries import World

# Parts of an address that name no row, by the parameter's name.
WORDS: Mapping[str, list[str]] = {
    "app_label": [config.label for config in apps.get_app_configs()],
    "format": ["json"],
    "url": ["nowhere"],
}


@dataclass(frozen=True)
class Address:
    """A pattern of a URL configuration; `form` has a %(name)s for each of its parameters."""

    urlconf: str
    route: str
    form: str
    name: str
    parameters: tuple[str, ...]
    view: Any

    def __str__(self) -> str:
        return f"/{self.route}"

    def path(self, filling: Filling) -> str:
        return "/" + self.form % {name: part.value for name, part in filling.items()}

    def is_answered_at(self, path: str) -> bool:
        """Tell whether this pattern, and none before it, is what answers at `path`."""
        try:
            return resolve(path, self.urlconf).func is self.view
        except Resolver404:
            return False

    @property
    def wants_rows(self) -> bool:
        """Tell whether a part of the address is to be a row's id."""
        return any(name not in WORDS for name in self.parameters)

    @property
    def model(self) -> type[models.Model] | None:
        """The model that the view says it is about, if it does."""
        about = getattr(self.view, "model_admin", None) or getattr(
            self.view, "cls", getattr(self.view, "view_class", None)
        )
        queryset = getattr(about, "queryset", None)
        return getattr(queryset, "model", None) or getattr(about, "model", None)


@dataclass(frozen=True)
class Part:
    """What fills one parameter: a row's unique value, or a word."""

    value: str
    model: type[models.Model] | None = None
    field: str = ""

    def of(self, world: World) -> Part:
        """Return what the same row of another clinic, or one like it, would put here."""
        if self.model is None:
            return self
        if self.model in world.rows:
            return replace(self, value=str(getattr(world.rows[self.model], self.field)))
        alike = (str(row.pk) for row in world.rows.values() if _kind(str(row.pk)) == self.kind)
        return replace(self, value=next(alike, self.of_nobody().value))

    def of_nobody(self) -> Part:
        """Return a value of the same kind that no row has."""
        if self.model is None:
            return self
        return replace(self, value=NOBODYS[self.kind])

    @property
    def kind(self) -> str:
        return _kind(self.value)


NOBODYS = {"uuid": str(uuid4()), "number": "123456789", "text": uuid4().hex[:20]}


def _kind(value: str) -> str:
    if value.isdecimal():
        return "number"
    try:
        UUID(value)
    except ValueError:
        return "text"
    return "uuid"


Filling = Mapping[str, Part]


def list_addresses(urlconf: str) -> list[Address]:
    """Return every pattern of the URL configuration, those that it includes among them."""
    return list(_walk(get_resolver(urlconf), urlconf, "", "", ""))


def _walk(
    resolver: URLResolver, urlconf: str, route: str, form: str, namespace: str
) -> Iterator[Address]:
    for pattern in resolver.url_patterns:
        whole_route = f"{route}{pattern.pattern}"
        (part, _), *_ = normalize(pattern.pattern.regex.pattern.removeprefix("^"))
        whole_form = f"{form}{part}"
        if isinstance(pattern, URLPattern):
            yield Address(
                urlconf=urlconf,
                route=whole_route,
                form=whole_form,
                name=f"{namespace}{pattern.name}" if pattern.name else "",
                parameters=tuple(_list_parameters(whole_form)),
                view=pattern.callback,
            )
        else:
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern, urlconf, whole_route, whole_form, inner)


def _list_parameters(form: str) -> list[str]:
    class Asked(dict[str, str]):
        def __missing__(self, name: str) -> str:
            self[name] = ""
            return ""

    asked = Asked()
    _ = form % asked
    return list(asked)


def list_fillings(address: Address, world: World) -> Iterator[dict[str, Part]]:
    """
    Return the ways to fill the address with the rows of `world`, likely ones first.

    Only such as it is this address that answers then: where a UUID is wanted, no number.
    """
    yield from _fill(address, world, list(address.parameters), {})


def _fill(
    address: Address, world: World, names: list[str], filling: dict[str, Part]
) -> Iterator[dict[str, Part]]:
    if not names:
        if address.is_answered_at(address.path(filling)):
            yield filling
        return
    name, *others = names
    for part in _list_parts(address, name, world):
        yield from _fill(address, world, others, {**filling, name: part})


def _list_parts(address: Address, name: str, world: World) -> list[Part]:
    if name in WORDS:
        return [Part(word) for word in WORDS[name]]

    noun = name.removesuffix("_pk").removesuffix("_id")

    def unlikeliness(model: type[models.Model]) -> tuple[bool, ...]:
        return (
            model._meta.model_name != noun,
            model is not address.model,
            model._meta.app_label not in address.name.split(":"),
            not _is_beside(model, address.view),
        )

    return [
        Part(str(value), model, field.name)
        for model in sorted(world.rows, key=unlikeliness)
        for field in model._meta.concrete_fields
        if (field.primary_key or field.unique)
        and (value := getattr(world.rows[model], field.attname)) not in (None, "")
    ]


def _is_beside(model: type[models.Model], view: Any) -> bool:
    """Tell whether the view is written in the model's application."""
    return f"{view.__module__}.".startswith(f"{apps.get_app_config(model._meta.app_label).name}.")


def list_replacements(filling: Filling, world: World) -> Iterator[tuple[Filling, Filling]]:
    """
    Return the filling with one of its ids, and with all of them, replaced by those of the
    rows of `world`; each with its like for ids that nobody has.
    """
    ids = [name for name, part in filling.items() if part.model is not None]
    for names in [*([name] for name in ids if len(ids) > 1), ids]:
        theirs = {name: filling[name].of(world) for name in names}
        nobodys = {name: filling[name].of_nobody() for name in names}
        yield {**filling, **theirs}, {**filling, **nobodys}


def list_search_parameters(address: Address) -> list[str]:
    """Return the names of the query parameters by which the address may look for rows."""
    if hasattr(address.view, "model_admin") and not address.name.endswith("_changelist"):
        return []
    if getattr(address.view, "initkwargs", {}).get("detail"):
        return []
    filterset = getattr(getattr(address.view, "cls", None), "filterset_class", None)
    return list(getattr(filterset, "base_filters", ["q", "search"]))
