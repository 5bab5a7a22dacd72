"""A session is its tenant's, whichever engine keeps it and whoever else it is kept with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends import db as djangos_db
from django.contrib.sessions.backends import signed_cookies as djangos_signed_cookies
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from tenancy import context
from tenancy.context import PLATFORM, Target
from tenancy.errors import CrossTenantAccess, NoActiveTenant
from tenancy.models import Organization
from tenancy.sessions import KEY, OwnedSession
from tenancy.testing import TenantClient
from tests.fixtures.clinics import PASSWORD

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
IN_ONE_PLACE = ["cache", "cached_db", "file"]

SIGN_IN = reverse("accounts:sign_in")
SIGN_OUT = reverse("accounts:sign_out")
HOME = reverse("admin:index")
NAME = "sam"

Store = type[OwnedSession]


@pytest.fixture
def everybodys(settings: Any, tmp_path: Path) -> None:
    """Sessions outside the database are all in one place, which knows no tenants."""
    settings.CACHES = {
        **settings.CACHES,
        "everybodys": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    settings.SESSION_CACHE_ALIAS = "everybodys"
    settings.SESSION_FILE_PATH = str(tmp_path)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(engine: str, everybodys: None, settings: Any) -> Iterator[Store]:
    """The engine's SessionStore, with the tenants' sessions in one place where it can."""
    settings.SESSION_ENGINE = f"tenancy.sessions.{engine}"
    module = import_module(settings.SESSION_ENGINE)
    yield module.SessionStore
    # Django remembers the folder from the first use on.
    if "_storage_path" in vars(module.SessionStore):
        del module.SessionStore._storage_path


@pytest.fixture
def elms(in_elm: Organization) -> Target:
    return in_elm.as_active()


@pytest.fixture
def oaks(elms: Target, oak: Organization) -> Target:
    return oak.as_active()


@pytest.fixture
def key(store: Store, elms: Target) -> str:
    """The key of a session that Elm has, in which there is a word."""
    session = store()
    session["word"] = "elm"
    session.save()
    assert session.session_key
    return session.session_key


def _word(store: Store, key: str) -> str | None:
    session = store(key)
    word: str | None = session.get("word")
    return word


class TestKey:
    def test_opens_the_session_where_it_began(self, store: Store, key: str) -> None:
        assert _word(store, key) == "elm"

    @pytest.mark.parametrize("away", ["oak", "platform"])
    def test_opens_nothing_anywhere_else(
        self, away: str, store: Store, key: str, oaks: Target
    ) -> None:
        with context.override(oaks if away == "oak" else PLATFORM):
            assert _word(store, key) is None

    @pytest.mark.parametrize("engine", [*IN_ONE_PLACE, "db"], indirect=True)
    @pytest.mark.parametrize(
        "use",
        [
            lambda session, key: session.flush(),
            lambda session, key: session.delete(key),
            lambda session, key: session.cycle_key(),
            lambda session, key: session.save(),
            lambda session, key: (session.update({"word": "oak"}), session.save()),
            lambda session, key: type(session).clear_expired(),
        ],
        ids=["flush", "delete", "cycle_key", "save", "update", "clear_expired"],
    )
    def test_changes_nothing_of_its_owners_from_elsewhere(
        self, use: Callable[[OwnedSession, str], object], store: Store, key: str, oaks: Target
    ) -> None:
        with context.override(oaks):
            assert not store().exists(key)
            use(store(key), key)

        assert _word(store, key) == "elm"

    @pytest.mark.parametrize("engine", [*IN_ONE_PLACE, "db"], indirect=True)
    def test_fits_into_its_column(self, store: Store, key: str) -> None:
        assert KEY.fullmatch(key)
        assert len(key) == Session._meta.get_field("session_key").max_length

    @pytest.mark.parametrize("engine", [*IN_ONE_PLACE, "db"], indirect=True)
    @pytest.mark.parametrize(
        "change",
        [
            lambda key: key[:32],
            lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
            lambda key: ("a" if key[0] != "a" else "b") + key[1:],
            lambda key: key.upper(),
            lambda key: key + "\n",
            lambda key: "\0" * 40,
            lambda key: "",
        ],
        ids=["unsealed", "seal", "name", "case", "newline", "nul", "empty"],
    )
    def test_that_was_changed_is_none(
        self, change: Callable[[str], str], store: Store, key: str
    ) -> None:
        assert store(change(key)).session_key is None

    def test_of_another_secret_is_none(self, store: Store, key: str, settings: Any) -> None:
        settings.SECRET_KEY = "another"

        assert _word(store, key) is None

    def test_of_the_secret_before_is_still_good(
        self, store: Store, key: str, settings: Any
    ) -> None:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another"

        assert _word(store, key) == "elm"

    @pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
    def test_of_another_costs_no_query(
        self, store: Store, key: str, oaks: Target, django_assert_num_queries: Any
    ) -> None:
        with context.override(oaks), django_assert_num_queries(0):
            assert _word(store, key) is None

    @pytest.mark.parametrize("engine", ["db"], indirect=True)
    def test_is_made_without_asking_whether_it_is_taken(
        self, store: Store, elms: Target, django_assert_num_queries: Any
    ) -> None:
        """
        What Django asks first, the INSERT answers: that, and its savepoint.
        """
        with django_assert_num_queries(3):
            store().create()

    def test_outlives_a_rename(self, store: Store, key: str, elms: Any, engine: str) -> None:
        renamed = type(elms)(id=elms.id, schema=elms.schema, slug="elm-street")

        with context.override(renamed):
            assert _word(store, key) == "elm"


class TestBeforeThereWereOwners:
    def test_a_row_is_no_session(self, elms: Target) -> None:
        session = djangos_db.SessionStore()
        session["word"] = "elm"
        session.save()
        store: Any = import_module("tenancy.sessions.db").SessionStore

        assert _word(store, session.session_key) is None

    def test_a_signed_cookie_is_no_session(self, elms: Target) -> None:
        session = djangos_signed_cookies.SessionStore()
        session["word"] = "elm"
        session.save()
        store: Any = import_module("tenancy.sessions.signed_cookies").SessionStore

        assert _word(store, session.session_key) is None


class TestNobody:
    @pytest.mark.parametrize(
        "use",
        [
            lambda store: store(),
            lambda store: store("a" * 40),
            lambda store: store.clear_expired(),
            lambda store: async_to_sync(store.aclear_expired)(),
        ],
        ids=["new", "opened", "clear_expired", "aclear_expired"],
    )
    def test_has_no_session(self, use: Callable[[Store], object], store: Store) -> None:
        with context.override(None), pytest.raises(NoActiveTenant):
            use(store)


class TestAnotherTenantsBlock:
    """A view works for another tenant for a moment; its own session waits outside."""

    USES: tuple[Callable[[OwnedSession], object], ...] = (
        lambda session: session.load(),
        lambda session: session.save(),
        lambda session: session.flush(),
        lambda session: session.cycle_key(),
        lambda session: async_to_sync(session.aload)(),
        lambda session: async_to_sync(session.asave)(),
        lambda session: async_to_sync(session.aflush)(),
        lambda session: async_to_sync(session.acycle_key)(),
    )

    @pytest.mark.parametrize("use", USES)
    def test_leaves_the_session_alone(
        self, use: Callable[[OwnedSession], object], store: Store, key: str, oaks: Target
    ) -> None:
        session = store(key)

        with context.override(oaks), pytest.raises(CrossTenantAccess, match=r"request\.user"):
            use(session)

        assert _word(store, key) == "elm"

    def test_may_read_what_was_read_before(self, store: Store, key: str, oaks: Target) -> None:
        session = store(key)
        session["another"] = session["word"]

        with context.override(oaks):
            assert session["another"] == "elm"


class TestAsynchronously:
    def test_is_as_it_is_otherwise(self, store: Store, elms: Target, oaks: Target) -> None:
        async def begin() -> str | None:
            session = store()
            await session.aset("word", "elm")
            await session.asave()
            return session.session_key

        async def word(key: str | None) -> object:
            return await store(key).aget("word")

        key = async_to_sync(begin)()

        assert async_to_sync(word)(key) == "elm"
        with context.override(oaks):
            assert async_to_sync(word)(key) is None


class TestClearExpired:
    @pytest.fixture
    def expired(self, store: Store, elms: Target, oaks: Target) -> dict[Target, str]:
        """The keys of a session of each clinic's that has expired."""
        keys = {}
        for target in (elms, oaks):
            with context.override(target):
                session = store()
                session.set_expiry(timezone.now() - timedelta(days=1))
                session.save()
                keys[target] = str(session.session_key)
        return keys

    @pytest.mark.parametrize("engine", ["db", "cached_db"], indirect=True)
    def test_deletes_rows_of_its_own_tenants_only(
        self, expired: dict[Target, str], oaks: Target
    ) -> None:
        call_command("clearsessions")

        assert Session.objects.count() == 0
        with context.override(oaks):
            assert Session.objects.get().session_key == expired[oaks]

    @pytest.mark.parametrize("engine", ["file"], indirect=True)
    def test_deletes_files_of_its_own_tenants_only(
        self, expired: dict[Target, str], oaks: Target, tmp_path: Path
    ) -> None:
        call_command("clearsessions")

        assert [each.name for each in tmp_path.iterdir()] == [f"sessionid{expired[oaks]}"]


class TestRequest:
    """Who is signed in at Elm brings the cookie along to Oak."""

    @pytest.fixture
    def people(self, store: Store, elms: Target, oaks: Target) -> Iterator[None]:
        """At each clinic there is a Sam, with the same number and the same password."""
        for target in (elms, oaks):
            with context.override(target):
                User.objects.create_superuser(NAME, pk=424_242, password=PASSWORD)
        with context.override(None):
            yield

    @pytest.fixture
    def at_elm(self, people: None) -> TenantClient:
        return self._sign_in("elm.localhost")

    def _sign_in(self, host: str, cookie: str | None = None) -> TenantClient:
        client = TenantClient(host=host)
        if cookie:
            client.cookies["sessionid"] = cookie
        client.post(SIGN_IN, {"username": NAME, "password": PASSWORD})
        return client

    def _is_signed_in(self, client: TenantClient) -> bool:
        return client.get(HOME).status_code == 200

    def _carry_to_oak(self, client: TenantClient) -> TenantClient:
        carried = TenantClient(host="oak.localhost")
        carried.cookies["sessionid"] = client.cookies["sessionid"].value
        return carried

    def test_is_nobodys_at_oak(self, at_elm: TenantClient) -> None:
        at_oak = self._carry_to_oak(at_elm)

        assert not self._is_signed_in(at_oak)
        assert self._is_signed_in(at_elm)

    def test_does_not_prolong_it(self, at_elm: TenantClient, settings: Any) -> None:
        settings.SESSION_SAVE_EVERY_REQUEST = True
        brought = at_elm.cookies["sessionid"].value

        answer = self._carry_to_oak(at_elm).get(SIGN_IN)

        assert answer.status_code == 200
        assert answer.cookies["sessionid"].value != brought

    def test_leaves_no_cookie_at_oak(self, at_elm: TenantClient) -> None:
        answer = self._carry_to_oak(at_elm).get(SIGN_IN)

        assert answer.cookies["sessionid"].value == ""
        assert answer.cookies["sessionid"]["max-age"] == 0

    def test_does_not_end_it(self, at_elm: TenantClient) -> None:
        self._carry_to_oak(at_elm).post(SIGN_OUT)

        assert self._is_signed_in(at_elm)

    def test_fixes_nothing(self, at_elm: TenantClient) -> None:
        """
        Who signs in at Oak with a cookie that was planted gets another, and Elm's stays Elm's.
        """
        planted = at_elm.cookies["sessionid"].value

        victim = self._sign_in("oak.localhost", planted)

        assert self._is_signed_in(victim)
        assert victim.cookies["sessionid"].value != planted
        assert self._is_signed_in(at_elm)
        assert not self._is_signed_in(self._carry_to_oak(at_elm))

    @pytest.mark.parametrize("cookie", ['"a\\000b"', "a" * 40, "x" * 5000, "é", "a:b:c"])
    def test_with_any_cookie_is_answered(self, cookie: str, people: None) -> None:
        client = TenantClient(host="oak.localhost")

        assert client.get(HOME, headers={"cookie": f"sessionid={cookie}"}).status_code == 302
