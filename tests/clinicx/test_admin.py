"""Organizations and their domains on the base domain."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from clinicx.celery import app as celery_app
from tenancy import context, lifecycle, provisioning
from tenancy.models import Domain, Organization, State
from tenancy.tasks import owners
from tenancy.testing import TenantClient
from tests.fixtures.workers import PATIENCE_SECONDS, Worker

LIST = "/admin/tenancy/organization/"


@pytest.fixture
def operator(on_platform: None, platform_client: TenantClient) -> TenantClient:
    """The operator at the base domain."""
    platform_client.force_login(User.objects.create_superuser("operator", password="clinicx"))
    return platform_client


def domains(organization: Organization, host: str) -> dict[str, str]:
    return {
        "name": organization.name,
        "domains-TOTAL_FORMS": "1",
        "domains-INITIAL_FORMS": "0",
        "domains-0-domain": host,
    }


class TestOrganizations:
    def test_are_listed(self, operator: TenantClient, elm: Organization, oak: Organization) -> None:
        page = operator.get(LIST).content.decode()

        assert elm.name in page
        assert oak.schema_name in page

    def test_get_domains(self, operator: TenantClient, elm: Organization) -> None:
        response = operator.post(f"{LIST}{elm.pk}/change/", domains(elm, "Elm.Example.ORG."))

        assert response.status_code == 302
        assert Domain.objects.get(tenant=elm).domain == "elm.example.org"

    def test_refuse_what_is_no_domain(self, operator: TenantClient, elm: Organization) -> None:
        response = operator.post(f"{LIST}{elm.pk}/change/", domains(elm, "https://elm.example/x"))

        assert response.status_code == 200
        assert not Domain.objects.filter(tenant=elm).exists()

    def test_are_not_deleted_here(self, operator: TenantClient, elm: Organization) -> None:
        """A web request runs no DDL."""
        assert operator.post(f"{LIST}{elm.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_are_for_operators(self, on_platform: None, platform_client: TenantClient) -> None:
        platform_client.force_login(User.objects.create(username="visitor"))

        assert platform_client.get(LIST).status_code == 403


class TestAddOrganization:
    """A web request runs no DDL: it asks for a clinic, and shows how far that is."""

    @pytest.fixture
    def queued(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
        """What is published, in place of a broker."""
        sent: list[tuple[str, list[str], str]] = []

        def send_task(name: str, args: list[str], *, queue: str) -> None:
            sent.append((name, args, queue))

        monkeypatch.setattr(celery_app, "send_task", send_task)
        return sent

    @pytest.fixture
    def birch(self, operator: TenantClient, queued: list[Any]) -> Organization:
        """A clinic that was asked for just now."""
        operator.post(f"{LIST}add/", {"name": "Birch", "slug": "birch"})
        return Organization.objects.get(slug="birch")

    def test_asks_for_one_and_leads_to_its_page(
        self, operator: TenantClient, queued: list[Any]
    ) -> None:
        with CaptureQueriesContext(connections["ddl"]) as captured:
            response = operator.post(
                f"{LIST}add/", {"name": "Birch", "slug": "birch", "domain": "Birch.Example."}
            )

        birch = Organization.objects.get(slug="birch")
        assert response.headers["Location"] == f"{LIST}{birch.pk}/change/"
        assert birch.state == State.REQUESTED
        assert [domain.domain for domain in birch.domains.all()] == ["birch.example"]
        assert queued == [("tenancy.carry_out", [str(birch.pk)], "tenancy-owner")]
        assert len(captured) == 0

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ({"slug": "elm"}, "slug &#x27;elm&#x27; exists already"),
            ({"slug": "Birch"}, "is not a slug"),
            ({"slug": "admin"}, "is reserved"),
            ({"slug": "birch", "domain": "http://birch"}, "is not a host name"),
            ({"slug": "birch", "domain": "birch.localhost"}, "the slug decides"),
        ],
    )
    def test_says_what_cannot_be(
        self,
        operator: TenantClient,
        elm: Organization,
        queued: list[Any],
        typed: dict[str, str],
        said: str,
    ) -> None:
        page = operator.post(f"{LIST}add/", {"name": "Birch", **typed}).content.decode()

        assert said in page
        assert queued == []
        assert not Organization.objects.filter(name="Birch").exists()

    def test_shows_how_far_it_is(self, operator: TenantClient, birch: Organization) -> None:
        page = operator.get(f"{LIST}{birch.pk}/change/").content.decode()

        assert "Waiting for a worker" in page
        assert f'data-progress="{LIST}{birch.pk}/progress/"' in page
        assert "tenancy/progress.js" in page
        assert "reconcile_tenants" not in page
        Organization.objects.update(state=State.PROVISIONING)
        assert "Being made" in operator.get(f"{LIST}{birch.pk}/progress/").content.decode()

    def test_says_what_to_do_when_nobody_begins(
        self, operator: TenantClient, birch: Organization
    ) -> None:
        long_ago = timezone.now() - timedelta(minutes=1)
        Organization.objects.filter(pk=birch.pk).update(state_changed_at=long_ago)

        page = operator.get(f"{LIST}{birch.pk}/progress/").content.decode()

        assert "No worker that may make it has begun" in page
        assert "manage.py reconcile_tenants birch" in page

    def test_says_what_failed_and_tries_again(
        self, operator: TenantClient, birch: Organization, queued: list[Any]
    ) -> None:
        mine = Organization.objects.filter(pk=birch.pk)
        mine.update(state=State.PROVISIONING, state_reason="The role exists already.")
        page = operator.get(f"{LIST}{birch.pk}/progress/").content.decode()
        assert "The role exists already." in page
        assert f'formaction="{LIST}{birch.pk}/retry/"' in page

        operator.post(f"{LIST}{birch.pk}/retry/")

        assert mine.get().state_reason == ""
        assert len(queued) == 2

    def test_says_that_it_is_there(self, operator: TenantClient, birch: Organization) -> None:
        Organization.objects.filter(pk=birch.pk).update(state=State.ACTIVE)

        assert operator.get(f"{LIST}{birch.pk}/progress/").status_code == 204
        page = operator.get(f"{LIST}{birch.pk}/change/").content.decode()
        assert "It answers at birch.localhost." in page
        assert "data-progress" not in page

    def test_shows_no_more_when_that_is_no_news(
        self, operator: TenantClient, elm: Organization
    ) -> None:
        page = operator.get(f"{LIST}{elm.pk}/change/").content.decode()

        assert "tenancy-progress__step" not in page

    def test_is_for_those_who_may(self, on_platform: None, platform_client: TenantClient) -> None:
        platform_client.force_login(User.objects.create(username="visitor", is_staff=True))

        assert platform_client.get(f"{LIST}add/").status_code == 403

    @pytest.mark.parametrize("page", ["progress", "retry"])
    def test_leaves_no_door_open(
        self, on_platform: None, platform_client: TenantClient, elm: Organization, page: str
    ) -> None:
        platform_client.force_login(User.objects.create(username="visitor", is_staff=True))

        assert platform_client.post(f"{LIST}{elm.pk}/{page}/").status_code == 403
        assert platform_client.post(f"{LIST}nobody/{page}/").status_code == 404

    def test_tries_again_on_request_only(self, operator: TenantClient, birch: Organization) -> None:
        assert operator.get(f"{LIST}{birch.pk}/retry/").status_code == 405


class TestWorker:
    def test_makes_what_an_operator_asked_for(
        self, own_worker: Callable[..., Worker], committed: None
    ) -> None:
        """A real worker with the owner's address, that was told to listen elsewhere."""
        birch = provisioning.request(slug="birch", name="Birch")
        try:
            own_worker("--pool=solo")
            owners.queue_provisioning(birch)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not provisioning.get_by_slug("birch").has_schema:
                assert time.monotonic() < deadline, provisioning.get_by_slug("birch").state_reason
                time.sleep(0.1)
            with context.override(birch.as_active()):
                assert User.objects.count() == 0
        finally:
            made = provisioning.get_by_slug("birch")
            lifecycle.delete(made)
            lifecycle.purge(made)
