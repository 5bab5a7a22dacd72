"""What a process remembers of one tenant is no other's, and does not grow with their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.migrations.state import ModelState, ProjectState
from django.test.utils import isolate_apps
from django.urls import get_script_prefix, get_urlconf, reverse
from psycopg import sql

from apps.accounts.models import User
from tenancy import context, process_cache
from tenancy.context import PLATFORM, ActiveTenant, Target
from tenancy.models import Organization
from tenancy.process_cache import PerTenantDict
from tenancy.rollout import executor
from tenancy.testing import TenantClient
from tests.fixtures import servers
from tests.tenancy.process_caches.ask import TENANTS, TURNS

SHIFT = 1_000_000
WAYS = ["ask_in_turn", "ask_in_threads", "ask_in_tasks"]
QUESTIONS = ["content type", "site"]

ELM = ActiveTenant(id=1, schema="tenant_elm")
OAK = ActiveTenant(id=2, schema="tenant_oak")

# As in a clinic that was there before one of its models was.
RENUMBER = """
    BEGIN;
    SET LOCAL session_replication_role = replica;
    UPDATE {schema}.auth_permission SET content_type_id = content_type_id + {by}
     WHERE content_type_id IN (SELECT id FROM {schema}.django_content_type
                                WHERE app_label = 'accounts' AND model = 'user');
    UPDATE {schema}.django_content_type SET id = id + {by}
     WHERE app_label = 'accounts' AND model = 'user';
    COMMIT
"""
MAKE_SITE = """
    CREATE TABLE {schema}.django_site (id integer PRIMARY KEY, domain text, name text);
    GRANT SELECT ON {schema}.django_site TO PUBLIC;
    INSERT INTO {schema}.django_site VALUES (1, {domain}, {domain})
"""
DROP_SITE = "DROP TABLE {schema}.django_site"


@contextmanager
def _superuser() -> Iterator[Callable[..., None]]:
    """A function that executes a statement for the schema of `tenant`."""
    address = os.environ["DATABASE_SUPERUSER_URL"]
    with psycopg.connect(address, dbname=servers.database_name(), autocommit=True) as server:

        def execute(statement: str, tenant: str, **values: Any) -> None:
            literals = {name: sql.Literal(value) for name, value in values.items()}
            schema = sql.Identifier(f"tenant_{tenant}")
            server.execute(sql.SQL(statement).format(schema=schema, **literals))

        yield execute


@pytest.fixture
def shifted(elm: Organization, oak: Organization, committed: None) -> Iterator[None]:
    """Oak numbers its content types otherwise, with real commits."""
    with _superuser() as execute:
        execute(RENUMBER, "oak", by=SHIFT)
        _forget()
        try:
            yield
        finally:
            execute(RENUMBER, "oak", by=-SHIFT)
            _forget()


def _forget() -> None:
    with context.override(None):
        ContentType.objects.clear_cache()


def _number() -> int:
    return int(ContentType.objects.get_for_model(User).pk)


@pytest.fixture(scope="class")
def answers(
    elm: Organization, oak: Organization, django_db_setup: None
) -> Iterator[dict[str, Any]]:
    with _superuser() as execute:
        execute(RENUMBER, "oak", by=SHIFT)
        for name in TENANTS:
            execute(MAKE_SITE, name, domain=f"{name}.example")
        try:
            yield {system: _ask(system) for system in ("stock", "ours")}
        finally:
            execute(RENUMBER, "oak", by=-SHIFT)
            for name in TENANTS:
                execute(DROP_SITE, name)


def _ask(system: str) -> Any:
    name = servers.database_name()
    owners = servers.database_url(name, "app")
    superusers = os.environ["DATABASE_SUPERUSER_URL"].rpartition("/")[0] + f"/{name}"
    done = subprocess.run(
        [sys.executable, "-m", "tests.tenancy.process_caches.ask"],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": f"tests.tenancy.process_caches.settings_{system}",
            "BENCH_DATABASE_URL": owners if system == "ours" else superusers,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestBeside:
    """The same questions to a process with django-tenants' backend and to one with ours."""

    def _right(self, question: str, answers: dict[str, Any]) -> bool:
        if question == "site":
            return bool(answers == {"elm": "elm.example", "oak": "oak.example"})
        return bool(answers["elm"] < SHIFT < answers["oak"])

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_ours_answers_each_tenant_with_its_own(
        self, question: str, way: str, answers: dict[str, Any]
    ) -> None:
        assert self._right(question, answers["ours"][f"{question}, {way}"]["answers"])

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_ours_asks_once_for_each_tenant(self, question: str, answers: dict[str, Any]) -> None:
        assert answers["ours"][f"{question}, ask_in_turn"]["queries"] == len(TENANTS)

    @pytest.mark.parametrize("way", ["ask_in_threads", "ask_in_tasks"])
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_django_tenants_mixes_them(
        self, question: str, way: str, answers: dict[str, Any]
    ) -> None:
        assert not self._right(question, answers["stock"][f"{question}, {way}"]["answers"])

    def test_django_tenants_asks_again_at_each_switch(self, answers: dict[str, Any]) -> None:
        in_turn = answers["stock"]["content type, ask_in_turn"]

        assert self._right("content type", in_turn["answers"])
        assert in_turn["queries"] == TURNS * len(TENANTS)

    def test_django_tenants_keeps_the_first_tenants_site(self, answers: dict[str, Any]) -> None:
        assert not self._right("site", answers["stock"]["site, ask_in_turn"]["answers"])


class TestPerTenantDict:
    @pytest.fixture
    def cache(self) -> PerTenantDict:
        cache = PerTenantDict()
        for target in (ELM, OAK, PLATFORM):
            with context.override(target):
                cache["whose"] = str(target)
        return cache

    def _whose(self, cache: PerTenantDict, target: Target | None) -> object:
        with context.override(target):
            return cache.get("whose")

    def test_is_each_tenants_own(self, cache: PerTenantDict) -> None:
        found = [self._whose(cache, target) for target in (ELM, OAK, PLATFORM)]

        assert found == ["tenant_elm", "tenant_oak", "the platform"]

    def test_keeps_nothing_for_nobody(self, cache: PerTenantDict) -> None:
        with context.override(None):
            cache["whose"] = "nobody's"
            assert "whose" not in cache
            assert len(cache) == 0

    def test_may_have_a_place_for_nobody(self) -> None:
        cache = PerTenantDict(for_nobody=True)
        with context.override(None):
            cache["whose"] = "nobody's"

        assert self._whose(cache, None) == "nobody's"
        assert self._whose(cache, ELM) is None

    def test_is_cleared_for_the_active_tenant(self, cache: PerTenantDict) -> None:
        with context.override(ELM):
            cache.clear()

        assert self._whose(cache, ELM) is None
        assert self._whose(cache, OAK) == "tenant_oak"

    def test_is_cleared_for_everybody_when_nobody_is_active(self, cache: PerTenantDict) -> None:
        with context.override(None):
            cache.clear()

        assert {self._whose(cache, target) for target in (ELM, OAK, PLATFORM)} == {None}

    def test_is_forgotten_wherever_it_is(self, cache: PerTenantDict) -> None:
        process_cache.forget(ELM)

        assert self._whose(cache, ELM) is None
        assert self._whose(cache, OAK) == "tenant_oak"

    @pytest.mark.parametrize(
        "another",
        [ActiveTenant(id=9, schema="tenant_elm"), ActiveTenant(id=1, schema="tenant_elm_street")],
        ids=["of its schema", "of its id"],
    )
    def test_is_not_of_another(self, another: ActiveTenant, cache: PerTenantDict) -> None:
        assert self._whose(cache, another) is None

    def test_knows_the_tenant_by_nothing_that_may_change(self, cache: PerTenantDict) -> None:
        renamed = ActiveTenant(id=1, schema="tenant_elm", slug="elm", name="Elm Street")

        assert self._whose(cache, renamed) == "tenant_elm"

    def test_remembers_as_many_tenants_as_the_setting_says(self, settings: Any) -> None:
        settings.TENANCY_PROCESS_CACHE_TENANTS = 10
        cache = PerTenantDict()
        for number in range(5_000):
            with context.override(ActiveTenant(id=number, schema=f"tenant_{number}")):
                cache["whose"] = number
            self._whose(cache, ActiveTenant(id=0, schema="tenant_0"))

        assert self._whose(cache, ActiveTenant(id=0, schema="tenant_0")) == 0
        kept = [
            number
            for number in range(5_000)
            if self._peek(cache, ActiveTenant(id=number, schema=f"tenant_{number}"))
        ]
        assert kept == [0, *range(4_991, 5_000)]

    def _peek(self, cache: PerTenantDict, target: ActiveTenant) -> bool:
        return (target.id, target.schema) in cache._by_owner

    def test_is_each_tenants_own_in_many_threads(self, settings: Any) -> None:
        settings.TENANCY_PROCESS_CACHE_TENANTS = 3
        cache = PerTenantDict()

        def work(number: int) -> set[object]:
            found = set()
            with context.override(ActiveTenant(id=number, schema="tenant")):
                for _ in range(2_000):
                    cache.setdefault("whose", number)
                    found.add(cache.get("whose", number))
            return found

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [{number} for number in range(8)]


class TestContentTypes:
    ASKS: tuple[Callable[[], ContentType], ...] = (
        lambda: ContentType.objects.get_for_model(User),
        lambda: ContentType.objects.get_for_models(User)[User],
        lambda: ContentType.objects.get_by_natural_key("accounts", "user"),
        lambda: ContentType.objects.db_manager("default").get_for_model(User),
        lambda: ContentType.objects.get_for_id(_number()),
    )

    @pytest.mark.parametrize("ask", ASKS)
    def test_are_each_tenants_own(
        self, ask: Callable[[], ContentType], shifted: None, elm: Organization, oak: Organization
    ) -> None:
        numbers = []
        for clinic in (elm, oak, elm, oak):
            with context.override(clinic.as_active()):
                numbers.append(ask().pk)

        assert numbers[:2] == numbers[2:]
        assert numbers[0] < SHIFT < numbers[1]

    def test_of_another_tenants_number_are_none(
        self, shifted: None, elm: Organization, oak: Organization
    ) -> None:
        with context.override(oak.as_active()):
            number = _number()

        with context.override(elm.as_active()), pytest.raises(ContentType.DoesNotExist):
            ContentType.objects.get_for_id(number)

    def test_are_each_tenants_own_in_the_admins_and_proxies_managers(
        self, shifted: None, elm: Organization, oak: Organization
    ) -> None:
        with isolate_apps("apps.patients"):

            class Kind(ContentType):
                class Meta:
                    proxy = True
                    app_label = "patients"

        state = ProjectState()
        state.add_model(ModelState.from_model(ContentType))
        historical = state.apps.get_model("contenttypes", "ContentType")
        for manager in (Kind.objects, historical.objects):
            numbers = []
            for clinic in (elm, oak):
                with context.override(clinic.as_active()):
                    numbers.append(manager.get_by_natural_key("accounts", "user").pk)
            assert numbers[0] < SHIFT < numbers[1]

    def test_are_each_tenants_own_asynchronously(
        self, shifted: None, elm: Organization, oak: Organization
    ) -> None:
        async def ask(clinic: Organization) -> int:
            with context.override(clinic.as_active()):
                found = await Permission.objects.select_related("content_type").aget(
                    codename="view_user"
                )
                return int(found.content_type_id)

        numbers = [async_to_sync(ask)(clinic) for clinic in (elm, oak)]

        for clinic, number in zip((elm, oak), numbers, strict=True):
            with context.override(clinic.as_active()):
                assert _number() == number

    def test_cost_one_query_for_each_tenant(
        self,
        shifted: None,
        elm: Organization,
        oak: Organization,
        django_assert_num_queries: Any,
    ) -> None:
        with django_assert_num_queries(2):
            for clinic in (elm, oak) * 5:
                with context.override(clinic.as_active()):
                    _number()

    def test_are_forgotten_when_their_tenant_is_migrated(
        self, scratch: Any, django_assert_num_queries: Any
    ) -> None:
        birch = scratch("birch").as_active()
        with context.override(birch):
            _number()

        executor.migrate(birch)

        with context.override(birch), django_assert_num_queries(1):
            _number()

    def test_are_forgotten_when_their_tenant_is_deleted(self, in_elm: Organization) -> None:
        _number()
        kept = ContentType.objects._cache._by_owner  # type: ignore[attr-defined]
        key = (in_elm.id, in_elm.schema_name)
        assert key in kept

        with context.override(PLATFORM, in_transaction=True), transaction.atomic():
            Organization.objects.get(pk=in_elm.pk).delete()
            transaction.set_rollback(True)

        assert key not in kept


class TestUrls:
    def test_of_a_request_are_left_to_nobody(
        self, in_elm: Organization, elm_client: TenantClient, platform_client: TenantClient
    ) -> None:
        """
        A thread that has answered at the base domain reverses like any other.
        """
        with context.override(None):
            for client in (platform_client, elm_client, platform_client):
                client.get("/")
                assert (get_urlconf(), get_script_prefix()) == (None, "/")

        assert reverse("patients:list")
