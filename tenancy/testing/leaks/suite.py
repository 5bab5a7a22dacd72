"""
The checks as pytest runs them: `leaks::model[patients.Patient::list]`, and so on.

Each function is a kind of check, and its cases are asked of the project: of the app
registry, the URL configurations, CACHES, STORAGES, the Celery application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import models
from django.test import override_settings

from tenancy import context, router, tenants
from tenancy.testing.cases import TenantClient
from tenancy.testing.leaks import memory, rows, server, stores, visits, work
from tenancy.testing.leaks.addresses import Address
from tenancy.testing.leaks.stage import Stage

STORAGES = stores.list_storages()


def _each(
    things: Iterable[tuple[str, Any]], ways: Callable[[Any], Iterable[str]] = lambda thing: [""]
) -> pytest.MarkDecorator:
    """Return one case for each of the things and its ways, named `thing::way`."""
    return pytest.mark.parametrize(
        ("thing", "way"),
        [
            pytest.param(thing, way, id=f"{name}::{way}".removesuffix("::"))
            for name, thing in things
            for way in ways(thing)
        ],
    )


def _labelled(found: Iterable[type[models.Model]]) -> list[tuple[str, type[models.Model]]]:
    return [(model._meta.label, model) for model in found]


@_each(_labelled(router.list_models(tenants=True)), rows.list_ways)
def model(thing: type[models.Model], way: str, leaks: Stage) -> None:
    rows.check(thing, way, leaks)


@_each(_labelled(server.list_shared_models()))
def shared(thing: type[models.Model], way: str, leaks: Stage) -> None:
    visits.warm_up(leaks)
    server.check_shared(thing, leaks)


@_each(((visits.name_of(each), each) for each in visits.list_all()), visits.list_ways)
def url(thing: Address, way: str, leaks: Stage, pytestconfig: pytest.Config) -> None:
    visits.check(thing, way, leaks, may_send=pytestconfig.hook.pytest_tenancy_may_send)


@_each(((alias, alias) for alias in django_settings.CACHES), lambda alias: stores.CACHE_WAYS)
def cache(thing: str, way: str, leaks: Stage) -> None:
    stores.check_cache(thing, way, leaks)


@_each(((name, name) for name in STORAGES), lambda name: stores.STORAGE_WAYS)
def storage(thing: str, way: str, leaks: Stage) -> None:
    stores.check_storage(STORAGES[thing](), thing, way, leaks)


@_each((name, name) for name in stores.SESSION_CHECKS)
def session(thing: str, way: str, leaks: Stage) -> None:
    stores.SESSION_CHECKS[thing](leaks)


@_each(((name, name) for name in work.list_tasks()), work.list_ways)
def task(thing: str, way: str, leaks: Stage) -> None:
    work.check(thing, way, leaks)


@_each((name, name) for name in memory.list_packages())
def process(thing: str, way: str, leaks: Stage) -> None:
    memory.check(thing, leaks)


@_each((name, name) for name in server.CHECKS)
def catalogue(thing: str, way: str, leaks: Stage) -> None:
    server.check(thing, leaks)


_ALL: list[Any] = [model, shared, url, cache, storage, session, task, process, catalogue]
# Where there is nothing of a kind, there is nothing to be said of it.
KINDS = [kind for kind in _ALL if kind.pytestmark[0].args[1]]


# What they stand on


@pytest.fixture(scope="session")
def stage(
    elm: Any,
    oak: Any,
    django_db_blocker: Any,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Elm and Oak with their canaries, committed; files go where nobody minds."""
    hook = pytestconfig.hook

    def recipe(model: type[models.Model], world: Any) -> Any:
        return hook.pytest_tenancy_make_instance(model=model, world=world)

    def sign_in(client: TenantClient, tenant: Any) -> bool | None:
        signed_in: bool | None = hook.pytest_tenancy_sign_in(client=client, tenant=tenant)
        return _sign_superuser_in(client, tenant, made) if signed_in is None else signed_in

    made = Stage(elm, oak, recipe, sign_in)
    files = tmp_path_factory.mktemp("leaks")
    with django_db_blocker.unblock(), override_settings(MEDIA_ROOT=files):
        made.plant()
        yield made


@pytest.fixture
def leaks(
    stage: Stage, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Iterator[Stage]:
    """The stage, with nobody active; what is not covered is said."""
    if reason := pytestconfig.hook.pytest_tenancy_excuse(check=request.node.name):
        pytest.skip(f"not covered: {reason}")
    with context.override(None):
        yield stage


def _sign_superuser_in(client: TenantClient, tenant: Any, leaks: Stage) -> bool:
    """Sign a user of Django's in who may do everything, where there are such users."""
    user = _superuser(tenant, leaks) if apps.is_installed("django.contrib.auth") else None
    if user is None or not apps.is_installed("django.contrib.sessions"):
        return False
    for flag in ("is_active", "is_staff", "is_superuser"):
        if hasattr(user, flag):
            setattr(user, flag, True)
    with context.override(tenants.as_active(tenant) if tenant is not None else context.PLATFORM):
        user.save()
        client.force_login(user)
    return True


def _superuser(tenant: Any, leaks: Stage) -> Any:
    user_model: Any = get_user_model()
    if tenant is None:
        return leaks.operator(user_model) if router.is_shared(user_model) else None
    if not router.is_tenants(user_model) or user_model in leaks.uncovered:
        return None
    name = next(name for name in leaks.twins if leaks.target(name) == tenants.as_active(tenant))
    return leaks.twins[name].rows[user_model]
