"""Whose request is it: resolvers and the middleware."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from tenancy import context, middleware, resolvers, tenants
from tenancy.errors import TenantNotFound
from tenancy.middleware import TenantMiddleware, TenantRequest
from tenancy.models import Domain, Organization


def request(host: str) -> Any:
    return RequestFactory().get("/", HTTP_HOST=host)


@pytest.fixture
def praxis(on_platform: None, elm: Organization) -> Domain:
    """A domain of Elm's own."""
    return Domain.objects.create(domain="praxis.example", tenant=elm)


class TestResolve:
    @pytest.mark.parametrize(
        "host", ["elm.localhost", "ELM.localhost", "elm.localhost.", "elm.localhost:8000"]
    )
    def test_finds_a_clinic_by_its_slug(
        self, on_platform: None, elm: Organization, host: str
    ) -> None:
        assert resolvers.resolve(request(host)) == elm

    @pytest.mark.parametrize("host", ["praxis.example", "Praxis.Example.:443"])
    def test_finds_a_clinic_by_its_domain(
        self, praxis: Domain, elm: Organization, host: str
    ) -> None:
        assert resolvers.resolve(request(host)) == elm

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST.:8000"])
    def test_is_nobodys_on_the_base_domain(self, on_platform: None, host: str) -> None:
        assert resolvers.resolve(request(host)) is None

    @pytest.mark.parametrize(
        "host",
        ["nowhere.localhost", "a.elm.localhost", "elm.localhost.example", "127.0.0.1", "[::1]"],
    )
    def test_refuses_any_other_host(self, on_platform: None, elm: Organization, host: str) -> None:
        with pytest.raises(TenantNotFound):
            resolvers.resolve(request(host))

    @pytest.mark.parametrize("host", ["elm.localhost", "nowhere.localhost"])
    def test_asks_the_database_once(self, on_platform: None, elm: Organization, host: str) -> None:
        def resolve() -> Organization | None:
            try:
                return resolvers.resolve(request(host))
            except TenantNotFound:
                return None

        first = resolve()
        with CaptureQueriesContext(connection) as captured:
            assert resolve() == first

        assert len(captured) == 0

    def test_asks_not_even_the_cache_for_a_moment(
        self, on_platform: None, elm: Organization, settings: Any
    ) -> None:
        """
        Each process believes for some seconds what it found; that nobody answers it asks again.
        """
        resolvers.resolve(request("elm.localhost"))
        with pytest.raises(TenantNotFound):
            resolvers.resolve(request("ash.localhost"))
        Organization.objects.filter(pk=elm.pk).update(slug="ash")
        with context.override(context.PLATFORM):
            cache.clear()

        assert resolvers.resolve(request("elm.localhost")) == elm
        assert resolvers.resolve(request("ash.localhost")) == elm
        tenants.forget_all()
        with pytest.raises(TenantNotFound):
            resolvers.resolve(request("elm.localhost"))

    def test_asks_the_cache_each_time_when_told_so(
        self, on_platform: None, elm: Organization, settings: Any
    ) -> None:
        settings.TENANCY_RESOLVER_MEMORY = timedelta(0)
        resolvers.resolve(request("elm.localhost"))
        Organization.objects.filter(pk=elm.pk).update(slug="ash")
        with context.override(context.PLATFORM):
            cache.clear()

        with pytest.raises(TenantNotFound):
            resolvers.resolve(request("elm.localhost"))

    def test_ignores_forwarded_headers(
        self, on_platform: None, elm: Organization, oak: Organization
    ) -> None:
        asked = RequestFactory().get(
            "/",
            HTTP_HOST="elm.localhost",
            HTTP_X_FORWARDED_HOST="oak.localhost",
            HTTP_X_TENANT="oak",
        )

        assert resolvers.resolve(asked) == elm


class TestForget:
    """What was remembered is asked again once the change is committed."""

    def test_a_new_domain_answers_at_once(
        self, on_platform: None, elm: Organization, django_capture_on_commit_callbacks: Any
    ) -> None:
        with pytest.raises(TenantNotFound):
            resolvers.resolve(request("praxis.example"))

        with django_capture_on_commit_callbacks(execute=True):
            Domain.objects.create(domain="praxis.example", tenant=elm)

        assert resolvers.resolve(request("praxis.example")) == elm

    def test_a_domain_that_is_gone_answers_no_more(
        self, praxis: Domain, django_capture_on_commit_callbacks: Any
    ) -> None:
        resolvers.resolve(request("praxis.example"))

        with django_capture_on_commit_callbacks(execute=True):
            praxis.delete()

        with pytest.raises(TenantNotFound):
            resolvers.resolve(request("praxis.example"))

    def test_a_new_name_shows_at_once(
        self, on_platform: None, elm: Organization, django_capture_on_commit_callbacks: Any
    ) -> None:
        resolvers.resolve(request("elm.localhost"))

        with django_capture_on_commit_callbacks(execute=True):
            row = Organization.objects.get(pk=elm.pk)
            row.name = "Elm & Ash"
            row.save()

        found = resolvers.resolve(request("elm.localhost"))
        assert found is not None
        assert found.name == "Elm & Ash"


class TestTenantMiddleware:
    @pytest.fixture
    def seen(self) -> list[Any]:
        return []

    @pytest.fixture
    def middleware(self, seen: list[Any]) -> TenantMiddleware:
        def view(request: TenantRequest) -> HttpResponse:
            seen.append((context.get_current(), request.tenant, getattr(request, "urlconf", None)))
            if request.GET.get("fail"):
                raise ZeroDivisionError
            return HttpResponse()

        return TenantMiddleware(view)

    def test_works_for_the_clinic(
        self, on_platform: None, elm: Organization, middleware: TenantMiddleware, seen: list[Any]
    ) -> None:
        with context.override(None):
            middleware(request("elm.localhost"))

            assert seen == [(elm.as_active(), elm, None)]
            assert context.get_current() is None

    def test_works_for_the_platform_on_the_base_domain(
        self, on_platform: None, middleware: TenantMiddleware, seen: list[Any]
    ) -> None:
        middleware(request("localhost"))

        assert seen == [(context.PLATFORM, None, "clinicx.urls.public")]

    def test_resets_the_context_after_an_error(
        self, on_platform: None, elm: Organization, middleware: TenantMiddleware
    ) -> None:
        failing = RequestFactory().get("/?fail=1", HTTP_HOST="elm.localhost")
        with context.override(None):
            with pytest.raises(ZeroDivisionError):
                middleware(failing)

            assert context.get_current() is None

    def test_answers_an_unknown_host_with_404(
        self, on_platform: None, platform_client: Any
    ) -> None:
        response = platform_client.get("/", headers={"host": "sequoia.localhost"})

        assert response.status_code == 404
        assert b"sequoia" not in response.content


class TestCacheDown:
    def test_hosts_are_still_found(
        self, on_platform: None, elm: Organization, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without Redis pages are slower, and that is all."""
        monkeypatch.setattr(cache.client, "_server", ["redis://127.0.0.1:1/0"])
        monkeypatch.setattr(cache.client, "_clients", [None])

        assert resolvers.resolve(request("elm.localhost")) == elm


class TestViews:
    def test_are_imported_before_anybody_is_active(
        self, elm: Organization, committed: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A view's `queryset` would else belong to the clinic that was asked for first.
        """
        imported: list[tuple[str, object]] = []
        monkeypatch.setattr(
            middleware, "import_module", lambda name: imported.append((name, context.get_current()))
        )

        with context.override(elm.as_active()):
            TenantMiddleware(lambda request: HttpResponse())

        assert imported == [("clinicx.urls.tenant", None), ("clinicx.urls.public", None)]
