"""The audit log on the base domain, and what operators do that is in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.db.models import Max, QuerySet
from django.test.utils import CaptureQueriesContext
from django.urls import reverse_lazy
from django.utils import timezone

from apps.accounts.models import User
from tenancy import audit, audit_admin, context
from tenancy.audit import AuditEvent, Outcome
from tenancy.errors import UnableToRecord
from tenancy.models import Domain, Organization, RetiredSlug, State
from tenancy.testing import TenantClient
from tests.fixtures.clinics import PASSWORD

LIST = "/admin/tenancy/auditevent/"
SIGN_IN = reverse_lazy("accounts:sign_in")
SIGN_OUT = reverse_lazy("accounts:sign_out")


@pytest.fixture
def boss(on_platform: None) -> User:
    """An operator who may do everything."""
    return User.objects.create_superuser("boss", password=PASSWORD)


@pytest.fixture
def operator(boss: User, platform_client: TenantClient) -> TenantClient:
    """Their browser, at the base domain."""
    platform_client.force_login(boss)
    return platform_client


@pytest.fixture
def events(db: None) -> Callable[[], QuerySet[AuditEvent]]:
    """
    A function that returns what was recorded since the test began.

    Nobody may delete an event, so those that other tests have committed are still there.
    """
    with context.override(context.PLATFORM, in_transaction=True):
        last = AuditEvent.objects.aggregate(last=Max("seq"))["last"] or 0
    return lambda: AuditEvent.objects.filter(seq__gt=last).order_by("seq")


@pytest.fixture
def listed(operator: TenantClient) -> Callable[..., list[Any]]:
    """A function that returns the events of the list with these filters, as it shows them."""

    def listed(**filters: str) -> list[Any]:
        response = operator.get(f"{LIST}?{urlencode(filters)}")
        assert response.status_code == 200
        return list(response.context["cl"].result_list)

    return listed


class TestList:
    def test_shows_the_newest_first(self, listed: Any, elm: Organization):
        audit.record("test.first", organization=elm)
        audit.record("test.second", organization=elm)

        assert [each.action for each in listed()[:2]] == ["test.second", "test.first"]

    @pytest.mark.parametrize("text", ["elm", "Elm Street", "elm street clinic", "tenant_elm"])
    def test_is_narrowed_by_organization(
        self, text: str, listed: Any, elm: Organization, oak: Organization
    ):
        audit.record("test.done", organization=elm)
        audit.record("test.done", organization=oak)

        found = [each for each in listed(organization=text) if each.action == "test.done"]

        assert {each.tenant for each in found} == {str(elm.pk)}
        assert [each.organization for each in found] == [elm.name]

    def test_finds_an_organization_by_its_id_and_by_the_name_it_had(
        self, listed: Any, elm: Organization
    ):
        audit.record("test.done", organization=elm)
        RetiredSlug.objects.create(slug="old-elm", organization=str(elm.pk))

        for text in (str(elm.pk), "old-elm"):
            assert "test.done" in {each.action for each in listed(organization=text)}

    def test_finds_what_is_no_organizations(self, listed: Any, elm: Organization):
        audit.record("test.done", organization=elm)
        audit.record("test.for_all")

        found = {each.action for each in listed(organization="platform")}

        assert "test.for_all" in found
        assert "test.done" not in found

    def test_calls_an_organization_as_it_is_called_now(self, listed: Any, elm: Organization):
        audit.record("test.done", organization=elm)
        Organization.objects.filter(pk=elm.pk).update(name="Ash Street", slug="ash")

        assert listed(action="test.done")[0].organization == "Ash Street"

    def test_says_that_an_organization_is_deleted(self, listed: Any, elm: Organization):
        audit.record("test.done", organization=elm)
        Organization.objects.filter(pk=elm.pk).update(state=State.DELETED)

        assert listed(action="test.done")[0].organization == "Elm Street Clinic (deleted)"

    def test_calls_one_whose_row_is_gone_as_it_was_called_then(self, listed: Any):
        audit.record("test.done", organization=Organization(slug="gone", name="Gone"))

        assert listed(action="test.done")[0].organization == "gone"

    def test_is_narrowed_by_actor_and_action(self, listed: Any):
        audit.record("test.done", actor="anna")
        audit.record("test.done", actor="kim")
        audit.record("test.other", actor="kim")

        found = [(each.action, each.actor) for each in listed(actor="KIM", action="test.done")]

        assert found == [("test.done", "kim")]

    def test_offers_the_actions_that_there_are(self, operator: TenantClient):
        for action in ("test.b", "test.a", "test.b"):
            audit.record(action)

        page = operator.get(f"{LIST}?action=test.a").content.decode()

        assert page.count(">test.b</option>") == 1
        assert "<option selected>test.a</option>" in page

    def test_is_narrowed_by_time(self, listed: Any, settings: Any):
        audit.record("test.done")
        now = timezone.localtime()
        earlier, later = (
            (now + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M") for minutes in (-5, 5)
        )

        for filters, is_found in (
            ({"from": earlier}, True),
            ({"from": later}, False),
            ({"until": later}, True),
            ({"until": earlier}, False),
            ({"from": earlier, "until": later}, True),
        ):
            found = {each.action for each in listed(**filters)}
            assert ("test.done" in found) is is_found, filters

    @pytest.mark.parametrize(
        "filters",
        [
            {"from": "2026-02-31T10:00"},
            {"from": "yesterday"},
            {"organization": "\0"},
            {"organization": "' OR 1=1 --"},
            {"actor": "%"},
            {"p": "9999999"},
            {"_facets": "True"},
        ],
    )
    def test_takes_any_text(self, operator: TenantClient, filters: dict[str, str]):
        assert operator.get(f"{LIST}?{urlencode(filters)}").status_code in (200, 302)

    def test_asks_the_same_few_questions_for_a_full_page(
        self, operator: TenantClient, elm: Organization, oak: Organization
    ):
        def ask() -> int:
            with CaptureQueriesContext(connection) as asked:
                operator.get(LIST)
            return len(asked)

        audit.record("test.done", organization=elm)
        few = ask()
        for organization in (elm, oak) * 40:
            audit.record("test.done", organization=organization)

        assert ask() == few

    def test_counts_no_further_than_anybody_turns_pages(
        self, listed: Any, monkeypatch: pytest.MonkeyPatch, operator: TenantClient
    ):
        monkeypatch.setattr(audit_admin, "MOST_COUNTED", 3)
        for _ in range(10):
            audit.record("test.done")

        with CaptureQueriesContext(connection) as asked:
            response = operator.get(LIST)

        assert response.context["cl"].result_count == 4
        counting = [each["sql"] for each in asked if "COUNT(" in each["sql"]]
        assert all("LIMIT 4" in each for each in counting)

    def test_is_for_operators_who_may(self, on_platform: None, platform_client: TenantClient):
        platform_client.force_login(User.objects.create_user("visitor", is_staff=True))

        assert platform_client.get(LIST).status_code == 403

    def test_is_not_there_at_a_clinic(
        self, in_elm: Organization, elm_client: TenantClient, sign_in: Any
    ):
        sign_in(elm_client, "clinic_admin")

        assert elm_client.get(LIST).status_code == 404


class TestEvent:
    @pytest.fixture
    def event(self, boss: User, elm: Organization) -> AuditEvent:
        audit.record("test.done", organization=elm, details={"why": "<b>asked</b>"}, table="t")
        return AuditEvent.objects.get(action="test.done")

    def test_has_a_page(self, operator: TenantClient, event: AuditEvent, elm: Organization):
        page = operator.get(f"{LIST}{event.pk}/change/").content.decode()

        for text in (elm.name, "test.done", "why: &lt;b&gt;asked&lt;/b&gt;", str(elm.pk)):
            assert text in page

    def test_is_a_404_where_there_is_none(self, operator: TenantClient):
        assert operator.get(f"{LIST}999999999/change/").status_code == 302
        assert operator.get(f"{LIST}nonsense/change/").status_code == 302

    @pytest.mark.parametrize("page", ["add/", "{pk}/delete/", "{pk}/change/"])
    def test_takes_no_change(self, operator: TenantClient, event: AuditEvent, page: str):
        response = operator.post(f"{LIST}{page.format(pk=event.pk)}", {"actor": "x", "post": "yes"})

        assert response.status_code == 403


class TestSigningIn:
    def test_on_the_base_domain_is_recorded(
        self, boss: User, platform_client: TenantClient, events: Any
    ):
        words = {"username": "boss", "password": PASSWORD}
        platform_client.post(SIGN_IN, words)
        platform_client.post(SIGN_OUT)

        found = events().filter(action__startswith="operator.")
        assert [(each.action, each.actor) for each in found] == [
            ("operator.signed_in", f"platform user {boss.pk}: boss"),
            ("operator.signed_out", f"platform user {boss.pk}: boss"),
        ]
        assert found[0].details["ip"] == "127.0.0.1"

    @pytest.mark.parametrize(("username", "said"), [("boss", "boss"), ("hunter2", "(nobody's)")])
    def test_that_fails_is_recorded_without_what_was_typed(
        self, username: str, said: str, boss: User, platform_client: TenantClient, events: Any
    ):
        words = {"username": username, "password": "wrong-password"}
        platform_client.post(SIGN_IN, words)

        event = events().get(action="operator.sign_in_failed")
        assert event.details["username"] == said
        assert event.outcome == Outcome.MINOR_FAILURE
        assert event.actor == "platform anonymous"
        assert "wrong-password" not in str(event.details)

    def test_at_a_clinic_is_the_clinics(
        self, in_elm: Organization, elm_client: TenantClient, staff: Any, events: Any
    ):
        staff("doctor")
        for password, status in (("wrong", 200), (PASSWORD, 302)):
            words = {"username": "doctor", "password": password}
            assert elm_client.post(SIGN_IN, words).status_code == status

        with context.override(context.PLATFORM, in_transaction=True):
            assert not events().filter(action__startswith="operator.").exists()

    def test_is_undone_where_it_cannot_be_recorded(
        self, boss: User, platform_client: TenantClient, monkeypatch: pytest.MonkeyPatch
    ):
        """
        The page says that the service is not available, and nobody is signed in.
        """

        def refuse(action: str, **options: Any) -> None:
            raise UnableToRecord("no log. Type: something")

        monkeypatch.setattr(audit, "record", refuse)
        words = {"username": "boss", "password": PASSWORD}
        response = platform_client.post(SIGN_IN, words)

        assert response.status_code == 503
        assert platform_client.get("/admin/").status_code == 302


class TestChange:
    def test_says_which_fields_and_no_value(
        self, operator: TenantClient, elm: Organization, events: Any
    ):
        form = {
            "name": "Ash Street",
            "domains-TOTAL_FORMS": "1",
            "domains-INITIAL_FORMS": "0",
            "domains-0-domain": "praxis.example",
        }
        response = operator.post(f"/admin/tenancy/organization/{elm.pk}/change/", form)
        assert response.status_code == 302

        event = events().get(action="organization.changed")
        assert (event.tenant, event.kind, event.object_id) == (str(elm.pk), "U", str(elm.pk))
        assert event.changed == {"changed": ["Name"], "domain added": []}
        assert "praxis" not in str(vars(event))
        assert "Ash" not in str(vars(event))

    def test_of_an_operator_is_recorded(self, operator: TenantClient, events: Any):
        form = {
            "username": "kim",
            "password1": "a-long-password-1",
            "password2": "a-long-password-1",
        }
        operator.post("/admin/accounts/user/add/", form)
        kim = User.objects.get(username="kim")
        new = dict.fromkeys(("password1", "password2"), "a-longer-one-2")
        operator.post(f"/admin/accounts/user/{kim.pk}/password/", new)

        found = events().filter(action__startswith="user.")
        assert [(each.action, each.object_id) for each in found] == [
            ("user.added", str(kim.pk)),
            ("user.changed", str(kim.pk)),
        ]
        assert {each.tenant for each in found} == {"platform"}

    def test_at_a_clinic_is_the_clinics(
        self, in_elm: Organization, elm_client: TenantClient, sign_in: Any, events: Any
    ):
        sign_in(elm_client, "clinic_admin")
        form = {
            "username": "kim",
            "password1": "a-long-password-1",
            "password2": "a-long-password-1",
        }
        elm_client.post("/admin/accounts/user/add/", form)
        assert User.objects.filter(username="kim").exists()

        with context.override(context.PLATFORM, in_transaction=True):
            assert not events().filter(action="user.added").exists()

    def test_is_rolled_back_where_it_cannot_be_recorded(
        self, operator: TenantClient, elm: Organization, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(action: str, **options: Any) -> None:
            raise UnableToRecord("no log. Type: something")

        monkeypatch.setattr(audit, "record", refuse)
        form = {
            "name": "Ash Street",
            "domains-TOTAL_FORMS": "1",
            "domains-INITIAL_FORMS": "0",
            "domains-0-domain": "praxis.example",
        }
        response = operator.post(f"/admin/tenancy/organization/{elm.pk}/change/", form)

        assert response.status_code == 503
        assert not Domain.objects.filter(domain="praxis.example").exists()
        assert Organization.objects.get(pk=elm.pk).name == elm.name


class TestDenied:
    def test_is_recorded(self, on_platform: None, platform_client: TenantClient, events: Any):
        visitor = User.objects.create_user("visitor")
        platform_client.force_login(visitor)

        assert platform_client.get("/admin/").status_code == 403

        event = events().get(action="operator.denied")
        assert event.actor == f"platform user {visitor.pk}: visitor"
        assert event.outcome == Outcome.SERIOUS_FAILURE
