"""Who is signed in at one host is a stranger at every other."""

from __future__ import annotations

import base64
from io import StringIO
from itertools import permutations
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.http import HttpResponse
from django.urls import reverse

from apps.accounts.models import User
from tenancy import context
from tenancy.context import Target
from tenancy.errors import NoActiveTenant
from tenancy.models import Organization
from tenancy.testing import TenantClient
from tests.fixtures.clinics import PASSWORD

SIGN_IN = reverse("accounts:sign_in")
SIGN_OUT = reverse("accounts:sign_out")
API = reverse("api:patients-list")

pytestmark = pytest.mark.usefixtures("owned_keys")

# A page for those who are signed in, at each of the hosts.
PAGES = {
    "elm.localhost": reverse("patients:list"),
    "oak.localhost": reverse("patients:list"),
    "localhost": reverse("admin:index"),
}
HOSTS = list(PAGES)

each_way = pytest.mark.parametrize(("home", "away"), list(permutations(HOSTS, 2)))

# The same at every host: number, name, password and even the password's salt, of which
# a session's signature is made.
NUMBER = 424_242
NAME = "sam"
HASH = make_password(PASSWORD, salt="same" * 8)


@pytest.fixture
def targets(outside: list[Organization]) -> dict[str, Target]:
    """Whom each host works for; at each of them somebody is called Sam."""
    elm, oak = outside
    targets: dict[str, Target] = {
        "elm.localhost": elm.as_active(),
        "oak.localhost": oak.as_active(),
        "localhost": context.PLATFORM,
    }
    for target in targets.values():
        with context.override(target):
            sam = User.objects.create_superuser(NAME, pk=NUMBER)
            User.objects.filter(pk=NUMBER).update(password=HASH)
            if target is not context.PLATFORM:
                sam.groups.add(Group.objects.get(name="doctor"))
    return targets


def _sign_in(host: str, name: str = NAME, password: str = PASSWORD, **options: Any) -> TenantClient:
    client = TenantClient(host=host, **options)
    client.post(SIGN_IN, {"username": name, "password": password})
    return client


def _is_signed_in(client: TenantClient, host: str) -> bool:
    response = client.get(PAGES[host])
    assert response.status_code in (200, 302)
    return response.status_code == 200


def _with_cookies_of(client: TenantClient, host: str) -> TenantClient:
    other = TenantClient(host=host)
    for name, cookie in client.cookies.items():
        other.cookies[name] = cookie.value
    return other


class TestSession:
    @pytest.mark.parametrize("host", HOSTS)
    def test_is_somebodys_where_it_began(self, host: str, targets: dict[str, Target]):
        assert _is_signed_in(_sign_in(host), host)

    @each_way
    def test_is_nobodys_anywhere_else(self, home: str, away: str, targets: dict[str, Target]):
        """
        Though there is somebody of the same number, name and password.
        """
        client = _sign_in(home)

        elsewhere = _with_cookies_of(client, away)

        assert not _is_signed_in(elsewhere, away)
        assert _is_signed_in(client, home)

    @each_way
    def test_is_kept_where_it_began_and_nowhere_else(
        self, home: str, away: str, targets: dict[str, Target]
    ):
        _sign_in(home)

        with context.override(targets[home]):
            assert Session.objects.count() == 1
        with context.override(targets[away]):
            assert Session.objects.count() == 0

    @each_way
    def test_ends_where_it_began_only(self, home: str, away: str, targets: dict[str, Target]):
        client = _sign_in(home)

        _with_cookies_of(client, away).post(SIGN_OUT)

        assert _is_signed_in(client, home)

    @each_way
    def test_is_a_new_one_at_sign_in_whatever_cookie_was_brought(
        self, home: str, away: str, targets: dict[str, Target]
    ):
        client = _sign_in(home)
        planted = client.cookies["sessionid"].value

        visitor = TenantClient(host=away)
        visitor.cookies["sessionid"] = planted
        visitor.post(SIGN_IN, {"username": NAME, "password": PASSWORD})

        assert visitor.cookies["sessionid"].value != planted
        assert _is_signed_in(visitor, away)
        assert _is_signed_in(client, home)

    def test_does_not_open_the_api_anywhere_else(self, targets: dict[str, Target]):
        client = _sign_in("elm.localhost")

        answers = [_with_cookies_of(client, host).get(API).status_code for host in HOSTS]

        assert answers == [200, 401, 404]

    def test_has_cookies_of_its_host_alone(self, targets: dict[str, Target]):
        """
        A cookie with a domain would be sent to the other clinics below it.
        """
        client = _sign_in("elm.localhost")
        client.get(SIGN_IN)

        assert {"sessionid", "csrftoken"} >= set(client.cookies) >= {"sessionid"}
        assert [cookie["domain"] for cookie in client.cookies.values() if cookie["domain"]] == []


class TestSignIn:
    @each_way
    def test_knows_only_the_people_of_its_host(
        self, home: str, away: str, targets: dict[str, Target]
    ):
        with context.override(targets[home]):
            User.objects.create_superuser("robin", password=PASSWORD)

        assert _is_signed_in(_sign_in(home, "robin"), home)
        assert not _is_signed_in(_sign_in(away, "robin"), away)

    @each_way
    def test_knows_only_the_passwords_of_its_host(
        self, home: str, away: str, targets: dict[str, Target]
    ):
        with context.override(targets[home]):
            sam = User.objects.get(username=NAME)
            sam.set_password("another one")
            sam.save()

        assert _is_signed_in(_sign_in(home, password="another one"), home)
        assert not _is_signed_in(_sign_in(away, password="another one"), away)

    @each_way
    def test_asks_for_the_rights_of_its_host(
        self, home: str, away: str, targets: dict[str, Target]
    ):
        """
        Sam was dismissed at one place, and works on at the other.
        """
        client, elsewhere = _sign_in(home), _sign_in(away)

        with context.override(targets[home]):
            User.objects.update(is_active=False)

        assert not _is_signed_in(client, home)
        assert _is_signed_in(elsewhere, away)

    def test_by_password_in_the_header_knows_only_the_people_of_its_host(
        self, targets: dict[str, Target]
    ):
        with context.override(targets["elm.localhost"]):
            User.objects.create_superuser("robin", password=PASSWORD)
        robin = base64.b64encode(f"robin:{PASSWORD}".encode()).decode()

        def ask(host: str) -> HttpResponse:
            return TenantClient(host=host).get(API, headers={"Authorization": f"Basic {robin}"})

        assert ask("elm.localhost").status_code == 200
        assert ask("oak.localhost").status_code == 401


class TestCommand:
    """What is typed at the server works for whoever is active, and for nobody else."""

    def test_changes_the_password_of_its_clinics_sam(
        self, targets: dict[str, Target], monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("getpass.getpass", lambda prompt: "another one")

        with context.override(targets["elm.localhost"]):
            call_command("changepassword", NAME, stdout=StringIO())

        assert _is_signed_in(_sign_in("elm.localhost", password="another one"), "elm.localhost")
        assert _is_signed_in(_sign_in("oak.localhost"), "oak.localhost")
        assert not _is_signed_in(_sign_in("oak.localhost", password="another one"), "oak.localhost")

    @pytest.mark.parametrize(
        "command",
        [
            ("changepassword", NAME),
            ("clearsessions",),
            ("createsuperuser", "--noinput", "--username=eve", "--email=eve@example.org"),
        ],
        ids=lambda command: command[0],
    )
    def test_refuses_with_nobody_active(self, command: tuple[str, ...], targets: dict[str, Target]):
        with pytest.raises(NoActiveTenant, match="No tenant is active"):
            call_command(*command)


class TestMessage:
    """What a page says once, about a patient for example, is said at its host and kept there."""

    NOBODYS = "0e6a53c1-2b4f-4c55-9d5e-3f0a1c7b8d90"

    @pytest.fixture
    def told(self, targets: dict[str, Target]) -> TenantClient:
        """Somebody at Elm who will be told at the next page that there is no such patient."""
        client = _sign_in("elm.localhost")
        client.get(reverse("admin:patients_patient_change", args=[self.NOBODYS]))
        return client

    def test_is_shown_where_it_was_meant(self, told: TenantClient):
        assert self.NOBODYS in told.get(reverse("admin:index")).text

    def test_is_shown_nowhere_else(self, told: TenantClient):
        oaks = _sign_in("oak.localhost")
        for name in set(told.cookies) - {"sessionid"}:
            oaks.cookies[name] = told.cookies[name].value

        assert self.NOBODYS not in oaks.get(reverse("admin:index")).text

    def test_is_not_put_into_a_cookie(self, told: TenantClient):
        """
        Django signs that cookie and does not encrypt it, and the signature is good at any host.
        """
        assert set(told.cookies) <= {"sessionid", "csrftoken"}


class TestForm:
    """A form that came from another host is not taken."""

    WORDS = {"username": NAME, "password": PASSWORD}

    @pytest.fixture
    def oaks(self, targets: dict[str, Target]) -> TenantClient:
        return self._open("oak.localhost")

    def _open(self, host: str) -> TenantClient:
        client = TenantClient(host=host, enforce_csrf_checks=True)
        client.get(SIGN_IN)
        return client

    def _send(self, client: TenantClient, token: str, **headers: str) -> int:
        words = {**self.WORDS, "csrfmiddlewaretoken": token}
        return client.post(SIGN_IN, words, headers=headers).status_code

    def test_is_taken_from_the_same_host(self, oaks: TenantClient):
        token = oaks.cookies["csrftoken"].value

        assert self._send(oaks, token, origin="http://oak.localhost") == 302

    def test_is_refused_with_the_token_of_another_host(self, oaks: TenantClient):
        elms = self._open("elm.localhost").cookies["csrftoken"].value

        assert self._send(oaks, elms) == 403

    def test_is_refused_with_no_cookie_of_this_host(self, oaks: TenantClient):
        token = oaks.cookies["csrftoken"].value
        stranger = TenantClient(host="oak.localhost", enforce_csrf_checks=True)

        assert self._send(stranger, token) == 403

    @pytest.mark.parametrize(
        "origin",
        [
            "http://elm.localhost",
            "http://localhost",
            "http://oak.localhost.evil.example",
            "http://oak.localhost:81",
            "https://oak.localhost",
            "http://evil.example",
            "null",
        ],
    )
    def test_is_refused_from_another_origin(self, origin: str, oaks: TenantClient):
        """
        Also with the right cookie and the right token.
        """
        token = oaks.cookies["csrftoken"].value

        assert self._send(oaks, token, origin=origin) == 403

    def test_is_trusted_from_no_other_origin(self):
        assert settings.CSRF_TRUSTED_ORIGINS == []
