"""Ways in beside the host, and requests that name two clinics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import reverse

from tenancy import context, resolvers
from tenancy.checks.settings import check_resolvers
from tenancy.errors import InvalidToken, TenantMismatch, TenantNotFound
from tenancy.middleware import TenantMiddleware, TenantRequest
from tenancy.models import Organization
from tenancy.testing import TenantClient

NAMES = ("subdomain", "custom_domain", "path_prefix", "header", "session", "token")
PROXY, STRANGER = "10.0.3.7", "192.0.2.1"


def verify(request: HttpRequest) -> Mapping[str, Any] | None:
    """A verifier whose tokens are their claims: `Bearer organization=elm`."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return None
    if text == "forged":
        raise InvalidToken("The signature is wrong.")
    return dict([text.split("=")])


@pytest.fixture(autouse=True)
def _all_ways(settings: Any, elm: Organization, oak: Organization) -> None:
    settings.TENANCY_RESOLVERS = [f"tenancy.resolvers.{name}" for name in NAMES]
    settings.TENANCY_PATH_PREFIX = "clinics"
    settings.TENANCY_TRUSTED_PROXIES = ("10.0.3.0/24",)
    settings.TENANCY_TOKEN_VERIFIER = f"{__name__}.verify"


def request(path: str = "/", host: str = "localhost", peer: str = STRANGER, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = RequestFactory().get(path, HTTP_HOST=host, REMOTE_ADDR=peer, headers=names)
    if "cookie" in headers:
        asked.COOKIES[resolvers.COOKIE] = headers["cookie"]
    return asked


def chosen(organization: Organization | None) -> str:
    response = HttpResponse()
    resolvers.choose(response, organization)
    return response.cookies[resolvers.COOKIE].value


Ask = Callable[[Organization], Any]
WAYS: dict[str, Ask] = {
    "subdomain": lambda organization: request(host=organization.host),
    "path_prefix": lambda organization: request(f"/clinics/{organization.slug}/patients/"),
    "header": lambda organization: request(peer=PROXY, x_tenant=organization.slug),
    "session": lambda organization: request(cookie=chosen(organization)),
    "token": lambda organization: request(authorization=f"Bearer organization={organization.slug}"),
}


@pytest.mark.usefixtures("on_platform")
class TestWays:
    @pytest.mark.parametrize("way", WAYS)
    def test_each_finds_the_clinic(self, way: str, elm: Organization, oak: Organization) -> None:
        assert resolvers.resolve(WAYS[way](elm)) == elm
        assert resolvers.resolve(WAYS[way](oak)) == oak

    @pytest.mark.parametrize("way", WAYS)
    def test_none_is_asked_that_the_setting_does_not_name(
        self, way: str, settings: Any, elm: Organization
    ) -> None:
        settings.TENANCY_RESOLVERS = [f"tenancy.resolvers.{name}" for name in NAMES if name != way]
        if way == "subdomain":
            with pytest.raises(TenantNotFound):
                resolvers.resolve(WAYS[way](elm))
        else:
            assert resolvers.resolve(WAYS[way](elm)) is None

    def test_saying_nothing_is_the_platform_at_the_base_domain_alone(self) -> None:
        assert resolvers.resolve(request()) is None
        with pytest.raises(TenantNotFound):
            resolvers.resolve(request(host="nobody.example"))

    @pytest.mark.parametrize(
        "asked",
        [
            request("/clinics/ghost/"),
            request("/clinics/Elm/"),
            request("/clinics/elm%00/"),
            request(peer=PROXY, x_tenant="ghost"),
            request(peer=PROXY, x_tenant=""),
            request(peer=PROXY, x_tenant="elm, oak"),
            request(peer=PROXY, x_tenant="x" * 10_000),
        ],
    )
    def test_naming_nobody_is_a_404(self, asked: Any) -> None:
        with pytest.raises(TenantNotFound):
            resolvers.resolve(asked)


@pytest.mark.usefixtures("on_platform")
class TestHeader:
    @pytest.mark.parametrize(
        "peer", [STRANGER, "10.0.4.7", "", "unix:", "10.0.3.7, 192.0.2.1", "::1"]
    )
    def test_of_a_stranger_is_not_read(self, peer: str, oak: Organization) -> None:
        asked = request(peer=peer, x_tenant="elm", x_forwarded_for=PROXY, host=oak.host)

        assert resolvers.resolve(asked) == oak

    @pytest.mark.parametrize("peer", [PROXY, "::ffff:10.0.3.7"])
    def test_of_a_trusted_proxy_is(self, peer: str, elm: Organization) -> None:
        assert resolvers.resolve(request(peer=peer, x_tenant="elm")) == elm


@pytest.mark.usefixtures("on_platform")
class TestSession:
    def test_a_cookie_that_is_not_ours_says_nothing(self, elm: Organization) -> None:
        signed_elsewhere = signing.Signer(salt="another").sign(str(elm.pk))

        for cookie in (str(elm.pk), f"{elm.pk}:", signed_elsewhere, "\0"):
            assert resolvers.resolve(request(cookie=cookie)) is None

    def test_it_is_forgotten_on_request(self, elm: Organization) -> None:
        response = HttpResponse()
        resolvers.choose(response, None)

        assert response.cookies[resolvers.COOKIE]["max-age"] == 0


@pytest.mark.usefixtures("on_platform")
class TestToken:
    @pytest.mark.parametrize("text", ["forged", "organization=ghost", "subject=elm"])
    def test_that_names_no_clinic_is_invalid(self, text: str) -> None:
        with pytest.raises(InvalidToken):
            resolvers.resolve(request(authorization=f"Bearer {text}"))


@pytest.mark.usefixtures("on_platform")
class TestDisagreement:
    @pytest.mark.parametrize(
        "second",
        [
            pytest.param({"path": "/clinics/oak/"}, id="path"),
            pytest.param({"peer": PROXY, "x_tenant": "oak"}, id="header"),
        ],
    )
    def test_of_two_names_is_refused(self, second: dict[str, str], elm: Organization) -> None:
        with pytest.raises(TenantMismatch):
            resolvers.resolve(request(host=elm.host, **second))

    def test_with_the_session_is_refused(self, elm: Organization, oak: Organization) -> None:
        with pytest.raises(TenantMismatch):
            resolvers.resolve(request(host=elm.host, cookie=chosen(oak)))

    def test_with_the_token_makes_the_token_invalid(self, elm: Organization) -> None:
        with pytest.raises(InvalidToken):
            resolvers.resolve(request(host=elm.host, authorization="Bearer organization=oak"))

    def test_agreeing_is_fine(self, elm: Organization) -> None:
        asked = request(
            "/clinics/elm/",
            host=elm.host,
            peer=PROXY,
            x_tenant="elm",
            cookie=chosen(elm),
            authorization="Bearer organization=elm",
        )

        assert resolvers.resolve(asked) == elm

    @pytest.mark.parametrize(
        ("headers", "status"),
        [({"x-tenant": "oak"}, 400), ({"authorization": "Bearer organization=oak"}, 401)],
    )
    def test_is_answered_without_working_for_either(
        self, elm_client: TenantClient, headers: dict[str, str], status: int
    ) -> None:
        page = elm_client.get("/", headers=headers, REMOTE_ADDR=PROXY)
        problem = elm_client.get("/api/v1/patients/", headers=headers, REMOTE_ADDR=PROXY)

        assert (page.status_code, problem.status_code) == (status, status)
        assert problem["Content-Type"] == "application/problem+json"
        assert (problem.get("WWW-Authenticate") is not None) == (status == 401)


@pytest.mark.usefixtures("on_platform")
class TestPathPrefix:
    @pytest.fixture
    def seen(self) -> list[Any]:
        return []

    @pytest.fixture
    def middleware(self, seen: list[Any]) -> TenantMiddleware:
        def view(request: TenantRequest) -> HttpResponse:
            seen.append((request.path_info, request.path, reverse("patients:list")))
            response = HttpResponse()
            response.set_cookie("sessionid", "1")
            response.set_cookie("elsewhere", "1", path="/elsewhere/")
            return response

        return TenantMiddleware(view)

    def test_views_see_the_rest_and_reverse_puts_it_back(
        self, middleware: TenantMiddleware, seen: list[Any]
    ) -> None:
        middleware(request("/clinics/elm/patients/"))

        assert seen == [("/patients/", "/clinics/elm/patients/", "/clinics/elm/patients/")]
        assert reverse("patients:list") == "/patients/"

    @pytest.mark.parametrize("path", ["/clinics/elm", "/clinics/elm/"])
    def test_the_root_of_a_clinic_is_its_root(
        self, middleware: TenantMiddleware, seen: list[Any], path: str
    ) -> None:
        middleware(request(path))

        assert seen[0][0] == "/"

    def test_another_path_is_left_alone(
        self, middleware: TenantMiddleware, seen: list[Any], elm: Organization
    ) -> None:
        middleware(request("/clinicsandmore/oak/", host=elm.host))

        assert seen[0][0] == "/clinicsandmore/oak/"

    def test_cookies_stay_below_it(self, middleware: TenantMiddleware) -> None:
        """One clinic's session cookie would else take the place of the other's."""
        response: Any = middleware(request("/clinics/elm/"))

        assert response.cookies["sessionid"]["path"] == "/clinics/elm/"
        assert response.cookies["elsewhere"]["path"] == "/elsewhere/"

    def test_static_files_are_nobodys(self) -> None:
        """Django remembers STATIC_URL below the path of whoever asks for it first."""
        django_settings.__dict__.pop("STATIC_URL", None)
        middleware = TenantMiddleware(lambda request: HttpResponse(django_settings.STATIC_URL))

        response: Any = middleware(request("/clinics/elm/"))

        assert response.content == b"/static/"

    def test_a_clinic_signs_in_below_it(self, platform_client: TenantClient) -> None:
        page = platform_client.get("/clinics/elm/patients/")

        assert page.url == "/clinics/elm/sign-in/?next=/clinics/elm/patients/"
        assert platform_client.get(page.url).status_code == 200


class TestChecks:
    def test_a_proxy_that_is_no_address(self, settings: Any) -> None:
        settings.TENANCY_TRUSTED_PROXIES = ("proxy.example", "10.0.3.7/24")

        assert [error.id for error in check_resolvers(None)] == ["tenancy.E035"] * 2

    @pytest.mark.parametrize("setting", ["PATH_PREFIX", "TRUSTED_PROXIES", "TOKEN_VERIFIER"])
    def test_a_resolver_without_its_setting(self, settings: Any, setting: str) -> None:
        assert check_resolvers(None) == []

        setattr(settings, f"TENANCY_{setting}", "")

        assert [error.id for error in check_resolvers(None)] == ["tenancy.E036"]

    def test_a_setting_without_its_resolver(self, settings: Any) -> None:
        settings.TENANCY_RESOLVERS = []

        assert [error.id for error in check_resolvers(None)] == ["tenancy.E036"] * 3


def test_the_default_reads_the_host_alone(
    on_platform: None, settings: Any, elm: Organization
) -> None:
    del settings.TENANCY_RESOLVERS
    asked = request(
        host=elm.host,
        peer=PROXY,
        x_tenant="oak",
        authorization="Bearer organization=oak",
    )

    assert resolvers.resolve(asked) == elm
    assert context.get_current() is context.PLATFORM
