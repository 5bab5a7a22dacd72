"""
What does each address give away at Oak's host, and at the base domain, of what is Elm's?

An address is filled with the keys of Elm's rows, asked at Elm first, so that whatever a
process remembers of its answers is remembered, and then wherever it must show nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice, product
from typing import Any

from django.conf import settings as django_settings

from tenancy.testing.leaks.addresses import Address, Part, list_addresses, list_fillings
from tenancy.testing.leaks.stage import NotCovered, Stage, Visit, leaked

# In how many ways an address is filled to find one that shows something at Elm.
PATIENCE = 12
# How many of those that show nothing are looked at elsewhere.
GUESSES = 4
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
WAYS = ("signed in", "anonymous", "headers", "log", "unsafe methods")


def list_urlconfs() -> dict[str, str]:
    """Return the URL configurations by the name that their addresses have in the report."""
    found = {
        "tenant": django_settings.ROOT_URLCONF,
        "base": getattr(django_settings, "PUBLIC_SCHEMA_URLCONF", None),
    }
    return {name: urlconf for name, urlconf in found.items() if urlconf}


def list_all() -> list[Address]:
    """Return every address, those with the same route once."""
    found = {
        (address.urlconf, address.route): address
        for urlconf in dict.fromkeys(list_urlconfs().values())
        for address in list_addresses(urlconf)
    }
    return list(found.values())


def list_ways(address: Address) -> list[str]:
    """Return the ways in which this address is looked at."""
    # At the base domain there is no other tenant's answer to be taken for this one's.
    return [*WAYS, "ETag"] if _host_of(address) == "oak" else list(WAYS)


def name_of(address: Address) -> str:
    names = {urlconf: name for name, urlconf in list_urlconfs().items()}
    return f"{names[address.urlconf]}:{address}"


def warm_up(leaks: Stage) -> None:
    """Let Elm ask every address that is a tenant's, and read every model, once."""
    if leaks.is_warm:
        return
    leaks.is_warm = True
    for model in leaks.twins["elm"].rows:
        with leaks.at("elm"):
            list(model._default_manager.all())
    for address in list_all():
        with suppress(NotCovered):
            _warm_up(address, leaks)


def _warm_up(address: Address, leaks: Stage) -> list[Visit]:
    """Let Elm, or the platform, ask an address of its own."""
    name = "elm" if _host_of(address) == "oak" else "platform"
    return _list_visits(address, name, leaks, signed_in=leaks.can_enter(name))


def check(address: Address, way: str, leaks: Stage, *, may_send: Any) -> None:
    """Look at one address in one way."""
    own = _warm_up(address, leaks)
    name = _host_of(address)
    if way == "unsafe methods":
        _check_unsafe(address, leaks, may_send)
    elif way == "ETag":
        _check_tags(address, leaks)
    elif way == "log":
        _check_log([*own, *_list_visits_elsewhere(address, leaks)], leaks)
    elif way == "anonymous":
        _check_answers(_list_visits_elsewhere(address, leaks, anonymous=True), way, leaks)
    elif way == "signed in" and not leaks.can_enter(name):
        raise NotCovered(f"Nobody is signed in at {name}; the hook pytest_tenancy_sign_in may.")
    else:
        _check_answers(_list_visits_elsewhere(address, leaks), way, leaks)


def _check_answers(answers: list[Visit], way: str, leaks: Stage) -> None:
    for visit in answers:
        seen = visit.headers if way == "headers" else visit.body.decode(errors="replace")
        if marks := _list_marks(seen, visit, leaks):
            leaked(f"{visit.path}, {way}: {', '.join(marks)}, which is Elm's, was in the answer.")


def _check_tags(address: Address, leaks: Stage) -> None:
    """Two answers with one tag are one answer, to whatever stands in between."""
    elms, oaks = (
        _list_visits(address, name, leaks, signed_in=leaks.can_enter(name))
        for name in ("elm", "oak")
    )
    for one, other in zip(elms, oaks, strict=False):
        if (tag := _tag(one)) and tag == _tag(other) and one.body != other.body:
            leaked(f"{one.path}: Elm's and Oak's answers differ, and both have the ETag {tag}.")


def _check_log(answers: list[Visit], leaks: Stage) -> None:
    for visit in answers:
        if marks := [mark for mark in leaks.stamps if mark in visit.logged.replace(visit.path, "")]:
            leaked(f"{visit.path}: {', '.join(marks)} was written into the log.")


def _check_unsafe(address: Address, leaks: Stage, may_send: Any) -> None:
    methods = [each for each in UNSAFE if may_send(method=each, address=address)]
    if not methods:
        raise NotCovered(
            f"{', '.join(UNSAFE)} were not sent; pytest_tenancy_may_send may allow it."
        )
    name = _host_of(address)
    models = list(leaks.own.rows)
    before = leaks.fingerprint(models)
    for path, method in product(_list_paths(address, leaks), methods):
        visit = leaks.visit(name, path, signed_in=leaks.can_enter(name), method=method)
        _check_answers([visit], method, leaks)
    if leaks.fingerprint(models) != before:
        leaked(f"{address}: {', '.join(methods)} at {name} changed rows of Elm's.")


def _list_visits_elsewhere(
    address: Address, leaks: Stage, *, anonymous: bool = False
) -> list[Visit]:
    name = _host_of(address)
    signed_in = not anonymous and leaks.can_enter(name)
    visits = _list_visits(address, name, leaks, signed_in=signed_in)
    return visits + [
        leaks.visit(name, visit.path, signed_in=signed_in, method=method)
        for visit, method in product(visits, ("HEAD", "OPTIONS"))
    ]


def _list_visits(address: Address, name: str, leaks: Stage, *, signed_in: bool) -> list[Visit]:
    return [leaks.visit(name, path, signed_in=signed_in) for path in _list_paths(address, leaks)]


def _host_of(address: Address) -> str:
    """Return who answers at this address, Elm aside."""
    return "oak" if address.urlconf == django_settings.ROOT_URLCONF else "platform"


def _list_paths(address: Address, leaks: Stage) -> list[str]:
    """Return the address with keys that rows of Elm's and Oak's have in common, and with Elm's."""
    if address not in leaks.fillings:
        leaks.fillings[address] = _choose_fillings(address, leaks)
    paths = []
    for filling in leaks.fillings[address]:
        own = {name: part.of(leaks.own) for name, part in filling.items()}
        paths += [address.path(filling), address.path(own)]
    if not paths:
        raise NotCovered(f"No row's key fits into {address}.")
    return list(dict.fromkeys(paths))


def _choose_fillings(address: Address, leaks: Stage) -> list[Mapping[str, Part]]:
    """Return the filling for which Elm is shown its canary, or else some that are answered."""
    fillings: list[Mapping[str, Part]] = []
    fillings += islice(list_fillings(address, leaks.twins["elm"]), PATIENCE)
    if not address.parameters or _host_of(address) == "platform":
        return fillings[:1]
    answered = []
    for filling in fillings:
        path = address.path(filling)
        visit = leaks.visit("elm", path, signed_in=leaks.can_enter("elm"))
        if leaks.find(visit.body):
            return [filling]
        answered.append((visit.status, filling))
    answered.sort(key=lambda each: each[0])
    return [filling for _, filling in answered[:GUESSES]]


def _list_marks(seen: str, visit: Visit, leaks: Stage) -> list[str]:
    """Return Elm's marks in what was seen, what was asked for aside."""
    for part in [visit.path, *visit.path.split("/")]:
        if len(part) > 1:
            seen = seen.replace(part, "")
    return leaks.find(seen)


def _tag(visit: Visit) -> str:
    lines = (line.partition(": ") for line in visit.headers.splitlines())
    return next((value for name, _, value in lines if name.lower() == "etag"), "")
